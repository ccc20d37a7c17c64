"""Draw how the scores on one data set fall under each corruption."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import figures
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    outputs = [job.output.svg, job.output.png]
    figures.robustness(rows, outputs, models=job.spec["models"], dataset=job.wildcards.dataset)
