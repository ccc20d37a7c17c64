"""Extract the tokens of one model for full images."""

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
    from patchprobe.models.backbone import check_card, load_model
    from patchprobe.tiles.full_images import read_card, tiles_each
    from patchprobe.tokens.extraction import extract

    tile_card, card = (read_card(path) for path in (job.input.tile_card, job.input.card))
    model = load_model(
        spec["name"],
        spec["model"] | {"input_size": card["input_size"]},
        checkpoint_root=Path(spec["checkpoint_root"]),
        input_size=card["input_size"],
        device=device,
        norm=spec["extraction"].pop("norm"),
    )
    check_card(model, job.input.card)
    own = {**spec["extraction"], "device": device, "tiles_each": tiles_each(tile_card, card)}
    inputs = [job.input.manifest, job.input.card]
    with build_store(job.output.store, inputs=inputs, **job.made) as build:
        extract(build, open_store(job.input.store), model, **own)
