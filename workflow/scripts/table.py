"""Write the tables of one analysis."""

import importlib

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    report = importlib.import_module(job.params.module)
    beside = {name: job.input.all(name) for name in job.input.by_name() if name != "rows"}
    report.table(measurements.read(job.input.all("rows")), list(job.output), **beside, **job.spec)
