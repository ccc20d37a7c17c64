"""Draw how well the central token tells the shares of classes, for one data set."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import global_context
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    outputs = [job.output.svg, job.output.png]
    global_context.figure(rows, outputs, models=job.spec["models"], dataset=job.wildcards.dataset)
