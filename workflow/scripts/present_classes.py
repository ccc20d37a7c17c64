"""Read which classes each label map of a split shows."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.present_classes import present_classes
from patchprobe.files import write_atomic
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    dataset = open_dataset(spec["dataset"], Path(spec["data_root"]), name=spec["name"])
    table = present_classes(dataset, job.wildcards.source, tile=spec.get("tile"), threads=job.threads)
    write_atomic(job.output.table, table.to_csv(index=False))
