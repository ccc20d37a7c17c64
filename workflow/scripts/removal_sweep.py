"""Classify patches by both methods without the features of highest variance, and score them."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.removal_sweep import counts_below, score, sweep
from patchprobe.probes.fitting import ProbeOptions
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store
from patchprobe.tokens.labelled import labelled_tokens

with run_job(snakemake) as job:
    spec = job.spec
    tokens, labels = open_store(job.input.tokens), open_store(job.input.labels)
    counts = counts_below(spec.pop("features"), tokens.sizes["feature"])
    options = ProbeOptions(**spec.pop("linear"), **spec.pop("probe"))
    training = labelled_tokens(tokens, labels, "train")
    search = {"threads": job.threads, "device": claim_device(job.device)}
    found = sweep(training, tokens, counts, options, seed=spec["seed"], **search)
    measurements.write(score(found, tokens, labels, **spec, spec=spec_hash(job.spec_text)), job.output.rows)
