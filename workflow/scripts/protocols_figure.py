"""Draw the scores of every protocol side by side, for one data set."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import protocols
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    outputs = [job.output.svg, job.output.png]
    protocols.figure(rows, outputs, models=job.spec["models"], dataset=job.wildcards.dataset)
