"""List the objects in the frames of a data set of videos."""

from pathlib import Path
from typing import cast

import _source  # noqa: F401

from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.index_tables import read_index
from patchprobe.datasets.objects import objects_table
from patchprobe.datasets.videos import VideoDataset
from patchprobe.files import write_atomic
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    dataset = open_dataset(spec["dataset"], Path(spec["data_root"]), name=spec["name"])
    table = objects_table(cast(VideoDataset, dataset), read_index(job.input.images))
    write_atomic(job.output.objects, table.to_csv(index=False))
