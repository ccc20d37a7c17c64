"""Cut the drawn images into tiles."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.index_tables import read_index
from patchprobe.run.jobs import run_job
from patchprobe.stores.writing import build_store
from patchprobe.tiles.tiling import Tiling
from patchprobe.tiles.writing import write_tiles

with run_job(snakemake) as job:
    spec, images = job.spec, job.input.images
    dataset = open_dataset(spec["dataset"], Path(spec["data_root"]), name=spec["name"])
    with build_store(job.output.store, inputs=[images], **job.made) as build:
        write_tiles(build, dataset, read_index(images), tiling=Tiling(**spec["tiling"]), threads=job.threads)
