"""Train the linear probe of a model, or of a variant of it, on clean training patches."""

import _source  # noqa: F401

from patchprobe.files import write_atomic
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.run.jobs import run_job
from patchprobe.stores.reading import open_store
from patchprobe.tokens.black import read_black
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.variants import fit_variant, sample_of

with run_job(snakemake) as job:
    spec = job.spec
    training = labelled_tokens(open_store(job.input.tokens), open_store(job.input.labels), "train")
    sample = sample_of(training, read_black(open_store(path) for path in job.input.all("black")))
    tokens = fit_variant(spec["transform"], sample, key=spec["key"])(training.tokens, training.places)
    options = ProbeOptions(**spec["linear"], batch_norm=spec["probe"]["batch_norm"])
    probe = fit_probe(tokens, training.ids, training.images, options, seed=spec["seed"])
    write_atomic(job.output.probe, probe.save)
