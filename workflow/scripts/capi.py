"""Segment the evaluation tiles by k-NN with a vote for every pixel, as CAPI does, and score the maps."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses import capi
from patchprobe.jobs import run_job
from patchprobe.provenance import spec_hash
from patchprobe.stores import open_store, write_atomic

with run_job(snakemake) as job:
    spec, threads = job.spec, job.threads
    tokens, labels = open_store(job.input.tokens), open_store(job.input.labels)
    options = {"ks": spec.pop("k"), "distances": spec.pop("distances"), "threads": threads}
    known = capi.voters(tokens, labels)
    held_out = capi.hold_out(known.images, spec.pop("validation_fraction"), spec["seed"])
    transform = capi.standardisation(known.without(held_out).tokens)
    best, tried = capi.choose(known, held_out, transform, tokens, labels, **options)
    evaluated = tokens.isel(tile=tokens.split.values == "evaluation")
    votes = capi.Votes(known, transform, evaluated, labels, k=best.k, distance=best.distance, threads=threads)
    rows = capi.score(votes, best.k, tokens, labels, **spec, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
    write_atomic(job.output.setting, capi.setting_text(best, tried, held_out))
