"""Write the tables of the removal sweep from the measurements."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import removal_sweep
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    removal_sweep.table(
        measurements.read(job.input.all("rows")), outputs, models=job.spec["models"], interval=job.spec["interval"]
    )
