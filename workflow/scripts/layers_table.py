"""Write the tables of the scores layer by layer from the measurements."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import layers
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    layers.table(measurements.read(job.input.all("rows")), outputs, **job.spec)
