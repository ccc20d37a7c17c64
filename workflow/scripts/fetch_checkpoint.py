"""Get the checkpoint of a model from its address, or say what to put where."""

import _source  # noqa: F401

from patchprobe.models.checkpoints.fetching import Checkpoint, fetch
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    fetch(Checkpoint(job.spec["name"], job.output.file, job.spec["url"], job.spec["sha256"]))
