"""Get a release of a data set into its folder, or say what to put where."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.datasets.obtaining import Obtained, obtain
from patchprobe.datasets.released import wanted_release
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    release = wanted_release(f"datasets.{spec['name']}", spec["entry"])
    obtain(Obtained(spec["name"], release, Path(spec["root"]), Path(spec["data_root"]), spec["mirror"]))
