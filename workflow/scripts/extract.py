"""Extract the tokens of one model for all levels of one version of a data set, or a shard of them, or put shards together."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.stores.reading import open_store
from patchprobe.stores.shards import Shard, build_shard, take_over_shards
from patchprobe.stores.writing import build_store

with run_job(snakemake) as job:
    spec, shard, own = job.spec, None, job.spec["extraction"]
    inputs = [job.input.manifest, job.input.card]
    if name := job.wildcards.get("shard"):
        shard = Shard.parse(name)
        building = build_shard(
            Path(job.params.store), job.output.mark, shard, inputs=inputs, spec=job.spec_text, code=job.code
        )
    else:
        building = build_store(job.output.store, inputs=inputs, **job.made)
    if marks := job.input.all("shards"):
        with building as build:
            take_over_shards(build, marks)
    else:
        # A device is claimed before torch is imported, so that torch sees no other.
        device = claim_device(spec["device"])
        from patchprobe.models.backbone import check_card, load_model
        from patchprobe.tokens.extraction import extract

        tiles = open_store(job.input.store)
        model = load_model(
            spec["name"],
            spec["model"],
            checkpoint_root=Path(spec["checkpoint_root"]),
            input_size=spec["model"]["input_size"] or tiles.sizes["y"],
            device=device,
            norm=own.pop("norm"),
            ground_sample_distance=spec.get("ground_sample_distance"),
        )
        check_card(model, job.input.card)
        with building as build:
            extract(
                build, tiles, model, device=device, ground_of_images=spec.get("ground_of_images"), shard=shard, **own
            )
