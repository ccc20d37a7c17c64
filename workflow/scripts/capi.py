"""Segment the evaluation tiles by k-NN with a vote for every pixel, as CAPI does, and score the maps."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.capi import capi_rows
from patchprobe.files import write_atomic
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store

with run_job(snakemake) as job:
    search = {"threads": job.threads, "device": claim_device(job.device)}
    tokens, labels = open_store(job.input.tokens), open_store(job.input.labels)
    rows, setting = capi_rows(tokens, labels, **job.spec, **search, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
    write_atomic(job.output.setting, setting)
