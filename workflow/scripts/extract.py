"""Extract the tokens of one model for all levels of one version of a data set, or put the shards of them together."""

import _source  # noqa: F401

from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.stores.reading import open_store
from patchprobe.stores.shards import take_over_shards
from patchprobe.stores.writing import build_store

with run_job(snakemake) as job:
    inputs = [job.input.manifest, job.input.card]
    building = build_store(job.output.store, inputs=inputs, **job.made)
    if marks := job.input.all("shards"):
        with building as build:
            take_over_shards(build, marks)
    else:
        # A device is claimed before torch is imported, so that torch sees no other.
        device = claim_device(job.spec["device"])
        from patchprobe.tokens.extraction import extract, prepare

        tiles = open_store(job.input.store)
        model, own = prepare(job.spec, job.input.card, tiles, device=device)
        with building as build:
            extract(build, tiles, model, **own)
