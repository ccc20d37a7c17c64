"""Train the linear probe of a model on clean training patches."""

import _source  # noqa: F401

from patchprobe.jobs import run_job
from patchprobe.labelled_tokens import labelled_tokens
from patchprobe.probe_fitting import ProbeOptions, fit_probe
from patchprobe.stores import open_store, write_atomic

with run_job(snakemake) as job:
    spec = job.spec
    training = labelled_tokens(open_store(job.input.tokens), open_store(job.input.labels), "train")
    options = ProbeOptions(**spec["linear"], batch_norm=spec["probe"]["batch_norm"])
    probe = fit_probe(training.tokens, training.ids, training.images, options, seed=spec["seed"])
    write_atomic(job.output.probe, probe.save)
