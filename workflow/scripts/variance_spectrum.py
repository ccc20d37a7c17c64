"""Measure the variance of every feature over the training patches."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.variance_spectrum import variance_rows
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store
from patchprobe.tokens.labelled import labelled_tokens

with run_job(snakemake) as job:
    tokens = open_store(job.input.tokens)
    training = labelled_tokens(tokens, open_store(job.input.labels), "train")
    layer = int(tokens.layer.values[-1])
    measurements.write(variance_rows(training, layer=layer, **job.spec, spec=spec_hash(job.spec_text)), job.output.rows)
