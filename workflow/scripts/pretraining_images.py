"""Write the images that all objectives learn from into one store."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.pretraining.images import open_source, write_images
from patchprobe.run.jobs import run_job
from patchprobe.stores.writing import build_store

with run_job(snakemake) as job:
    spec = job.spec
    source = open_source(spec["images"], data_root=Path(spec["data_root"]), seed=spec["seed"])
    with build_store(job.output.store, **job.made) as build:
        write_images(build, source, processes=job.threads)
