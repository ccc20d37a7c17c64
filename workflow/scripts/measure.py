"""Make the measurements of one analysis, of one model on one data set."""

import importlib

import _source  # noqa: F401

from patchprobe.analyses.opened import opened, write_made
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash

with run_job(snakemake) as job:
    measure = importlib.import_module(job.params.module).measure
    search = {"threads": job.threads, "device": claim_device(job.device)} if job.params.searches else {}
    inputs = {name: opened(given) for name, given in job.input.by_name().items()}
    write_made(measure(**inputs, **job.spec, **search, spec=spec_hash(job.spec_text)), job.output.by_name())
