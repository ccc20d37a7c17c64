"""Build a model at every size that it sees whole images at, before anything expensive, and describe it."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.files import write_atomic
from patchprobe.run.jobs import run_job
from patchprobe.tiles.full_images import read_card
from patchprobe.tokens.image_settings import describe_settings

with run_job(snakemake) as job:
    spec = job.spec
    card = describe_settings(
        spec["name"],
        spec["model"],
        read_card(job.input.card),
        checkpoint_root=Path(spec["checkpoint_root"]),
        stored=spec["stored"],
        settings=spec["settings"],
        dataset=spec["dataset"],
        unknown=spec["unknown"],
    )
    write_atomic(job.output.card, card)
