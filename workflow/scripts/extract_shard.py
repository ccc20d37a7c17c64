"""Extract the tokens of a share of the tiles, of one model for all levels of one version of a data set."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.stores.reading import open_store
from patchprobe.stores.shards import Shard, build_shard

with run_job(snakemake) as job:
    shard = Shard.parse(job.wildcards.shard)
    # A device is claimed before torch is imported, so that torch sees no other.
    device = claim_device(job.spec["device"])
    from patchprobe.tokens.extraction import extract, prepare

    tiles = open_store(job.input.store)
    model, own = prepare(job.spec, job.input.card, tiles, device=device)
    # As the store itself is built, whose rule has the digest of its own script.
    made = {"inputs": [job.input.manifest, job.input.card], "spec": job.spec_text, "code": job.code}
    with build_shard(Path(job.params.store), job.output.mark, shard, **made) as build:
        extract(build, tiles, model, shard=shard, **own)
