"""Classify patches by both methods from fewer and fewer training images, and score them."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.training_size import nested_subsets, size_rows
from patchprobe.datasets.index_tables import read_index
from patchprobe.probes.fitting import ProbeOptions
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store
from patchprobe.tokens.labelled import labelled_tokens

with run_job(snakemake) as job:
    spec = job.spec
    tokens, labels = open_store(job.input.tokens), open_store(job.input.labels)
    images = read_index(job.input.images).query("split == 'train'")
    subsets = nested_subsets(images["image_id"], images["drawn_for"], **spec.pop("sizes"), seed=spec["seed"])
    options = ProbeOptions(**spec.pop("linear"), **spec.pop("probe"))
    training = labelled_tokens(tokens, labels, "train")
    search = {"threads": job.threads, "device": claim_device(job.device)}
    own = {**spec, **search, "spec": spec_hash(job.spec_text)}
    measurements.write(size_rows(training, tokens, labels, subsets, options, **own), job.output.rows)
