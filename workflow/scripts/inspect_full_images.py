"""Build a model for full images once, before anything expensive, and describe it."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.datasets.index_tables import read_index
from patchprobe.files import write_atomic
from patchprobe.run.jobs import run_job
from patchprobe.tiles.full_images import describe_for_full_images, read_card
from patchprobe.tiles.tiling import Tiling

with run_job(snakemake) as job:
    spec = job.spec
    tiling = Tiling(**spec["tiling"])
    card = describe_for_full_images(
        spec["name"],
        spec["model"],
        read_card(job.input.card),
        checkpoint_root=Path(spec["checkpoint_root"]),
        tiling=tiling,
        whole=tiling.whole(read_index(job.input.images)),
    )
    write_atomic(job.output.card, card)
