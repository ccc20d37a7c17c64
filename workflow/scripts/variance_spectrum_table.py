"""Write the tables of the variance spectrum from the measurements."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import variance_spectrum
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    variance_spectrum.table(measurements.read(job.input.all("rows")), outputs, models=job.spec["models"])
