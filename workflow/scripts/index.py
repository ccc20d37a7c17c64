"""Draw the images of a data set, check them all and list them."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.index import build_index
from patchprobe.datasets.present_classes import read_present_classes
from patchprobe.files import write_atomic
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    dataset = open_dataset(spec["dataset"], Path(spec["data_root"]), name=spec["name"])
    present = read_present_classes(job.input.all("present"))
    images, classes = build_index(dataset, spec["name"], spec, seed=spec["seed"], present=present, threads=job.threads)
    write_atomic(job.output.classes, classes.to_csv(index=False))
    write_atomic(job.output.images, images.to_csv(index=False))
