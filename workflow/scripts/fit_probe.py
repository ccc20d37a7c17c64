"""Train the linear probe of a model, or of a variant of it, on clean training patches."""

import _source  # noqa: F401

from patchprobe.files import write_atomic
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.run.jobs import run_job
from patchprobe.stores.reading import open_store
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.transforms import fit_transform

with run_job(snakemake) as job:
    spec = job.spec
    training = labelled_tokens(open_store(job.input.tokens), open_store(job.input.labels), "train")
    tokens = fit_transform(spec["transform"], training.tokens, key=spec["key"])(training.tokens)
    options = ProbeOptions(**spec["linear"], batch_norm=spec["probe"]["batch_norm"])
    probe = fit_probe(tokens, training.ids, training.images, options, seed=spec["seed"])
    write_atomic(job.output.probe, probe.save)
