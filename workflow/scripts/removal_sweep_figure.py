"""Draw the scores without the features of highest variance of one data set."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import removal_sweep
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    outputs = [job.output.svg, job.output.png]
    removal_sweep.figure(rows, outputs, models=job.spec["models"], dataset=job.wildcards.dataset)
