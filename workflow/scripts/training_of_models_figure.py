"""Draw the loss of the training of the models whose weights come with the package."""

import _source  # noqa: F401

from patchprobe.models.checkpoints.files import WEIGHTS
from patchprobe.pretraining.report import loss_curves
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    losses = {model: WEIGHTS / name for model, (name, _) in job.spec["losses"].items()}
    loss_curves(losses, [job.output.svg, job.output.png])
