"""Write the tables of the overlap of high-variance features from the measurements."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import variance_overlap
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    rows = measurements.read(job.input.all("rows"))
    variance_overlap.table(rows, outputs, **job.spec)
