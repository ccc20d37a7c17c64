"""Classify patches by 1-NN on the tokens of every stored block, and score them."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.layers import layer_rows
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store

with run_job(snakemake) as job:
    search = {"threads": job.threads, "device": claim_device(job.device)}
    tokens, labels = open_store(job.input.tokens), open_store(job.input.labels)
    rows = layer_rows(tokens, labels, **job.spec, **search, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
