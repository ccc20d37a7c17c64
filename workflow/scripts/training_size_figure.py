"""Draw the scores of one data set against the number of training images."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import training_size
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    training_size.figure(
        rows, [job.output.svg, job.output.png], models=job.spec["models"], dataset=job.wildcards.dataset
    )
