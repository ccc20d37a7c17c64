"""Write a table or draw a figure of one analysis."""

import importlib

import _source  # noqa: F401

from patchprobe.analyses.opened import opened
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    show = getattr(importlib.import_module(job.params.module), job.params.function)
    inputs = {name: opened(given) for name, given in job.input.by_name().items()}
    show(**inputs, **job.spec, **dict(job.wildcards.items()), outputs=list(job.output))
