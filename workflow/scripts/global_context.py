"""Regress the shares of classes in a tile on its central token, for the whole token and for parts of its features."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.global_context import context_rows
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store

with run_job(snakemake) as job:
    tokens, labels = open_store(job.input.tokens), open_store(job.input.labels)
    variance = measurements.read([job.input.variances]).sort_values("feature")["value"].to_numpy()
    rows = context_rows(tokens, labels, variance, **job.spec, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
