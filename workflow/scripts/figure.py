"""Draw the figure of one analysis, of one data set or of all."""

import importlib

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    report = importlib.import_module(job.params.module)
    report.figure(measurements.read(job.input.all("rows")), list(job.output), **job.spec, **dict(job.wildcards.items()))
