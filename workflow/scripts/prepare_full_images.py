"""Store the drawn images and their label maps whole, at the scale of the tiles."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.index_tables import read_index
from patchprobe.run.jobs import run_job
from patchprobe.stores.writing import build_store
from patchprobe.tiles.tiling import Tiling
from patchprobe.tiles.writing import write_labels, write_tiles

with run_job(snakemake) as job:
    spec, index = job.spec, read_index(job.input.images)
    dataset = open_dataset(spec["dataset"], Path(spec["data_root"]), name=spec["name"])
    given = {"tiling": Tiling(**spec["tiling"]).whole(index), "threads": job.threads}
    inputs = [job.input.images]
    with build_store(job.output.store, inputs=inputs, **job.made) as build:
        write_tiles(build, dataset, index, **given)
    with build_store(job.output.labels, inputs=inputs, **job.made) as build:
        write_labels(build, dataset, index, **given)
