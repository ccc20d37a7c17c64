"""Extract the pooled features of one model for whole images, at every size and told distance."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

with run_job(snakemake) as job:
    spec = job.spec
    # A device is claimed before torch is imported, so that torch sees no other.
    device = claim_device(spec["device"])
    from patchprobe.tiles.full_images import read_card
    from patchprobe.tokens.image_features import extract_image_features
    from patchprobe.tokens.image_settings import loader, read_image_card

    root, tile_card = Path(spec["checkpoint_root"]), read_card(job.input.tile_card)
    where = {"tile_card": tile_card, "checkpoint_root": root, "device": device}
    load = loader(spec["name"], spec["model"], job.input.card, **where)
    card = read_image_card(job.input.card)
    inputs = [job.input.manifest, job.input.card]
    with build_store(job.output.store, inputs=inputs, **job.made) as build:
        extract_image_features(
            build, open_store(job.input.store), card, load, name=spec["name"], device=device, **spec["extraction"]
        )
