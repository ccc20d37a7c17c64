"""Get the checkpoint of a model from its address, or say what to put where."""

import _source  # noqa: F401

from patchprobe.models.checkpoints.fetching import Checkpoint, fetch
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    fetch(Checkpoint(path=job.output.file, **spec))
