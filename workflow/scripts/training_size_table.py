"""Write the tables of scores against the number of training images from the measurements."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import training_size
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    rows = measurements.read(job.input.all("rows"))
    training_size.table(rows, outputs, models=job.spec["models"], interval=job.spec["interval"])
