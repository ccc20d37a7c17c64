"""Extract the tokens of one model for a black image of the size that it sees tiles or full images at."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.stores.writing import build_store

with run_job(snakemake) as job:
    spec = job.spec
    # A device is claimed before torch is imported, so that torch sees no other.
    device = claim_device(spec["device"])
    from patchprobe.models.backbone import check_card, load_model
    from patchprobe.tiles.full_images import read_card
    from patchprobe.tokens.black import black_image
    from patchprobe.tokens.extraction import extract

    size = read_card(job.input.card)["input_size"]
    model = load_model(
        spec["name"],
        spec["model"] | {"input_size": size},
        checkpoint_root=Path(spec["checkpoint_root"]),
        input_size=size,
        device=device,
        norm=spec["extraction"].pop("norm"),
        ground_sample_distance=spec.get("ground_sample_distance"),
    )
    check_card(model, job.input.card)
    with build_store(job.output.store, inputs=[job.input.card], **job.made) as build:
        extract(build, black_image(tuple(size)), model, device=device, **spec["extraction"])
