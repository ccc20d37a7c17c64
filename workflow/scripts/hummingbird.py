"""Segment the evaluation tiles by retrieval from the training patches, as Hummingbird does, and score the maps."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.hummingbird import Quirks, memory, predict, score
from patchprobe.jobs import run_job
from patchprobe.provenance import spec_hash
from patchprobe.stores import open_store

with run_job(snakemake) as job:
    spec = job.spec
    tokens, labels = open_store(job.input.tokens), open_store(job.input.labels)
    quirks, options = Quirks(**spec.pop("quirks")), {key: spec.pop(key) for key in ("k", "temperature")}
    remembered = memory(tokens, labels, quirks, seed=spec["seed"])
    shape = labels.label.shape[1:]
    maps = predict(remembered, tokens, labels.attrs["class_ids"], shape, **options, threads=job.threads)
    rows = score(maps, tokens, labels, quirks, **spec, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
