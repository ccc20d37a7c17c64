"""Draw the loss of the training of the models whose weights come with the package."""

import _source  # noqa: F401

from patchprobe.checkpoint_files import WEIGHTS
from patchprobe.jobs import run_job
from patchprobe.report.loss_curves import loss_curves

with run_job(snakemake) as job:
    losses = {model: WEIGHTS / name for model, (name, _) in job.spec["losses"].items()}
    loss_curves(losses, [job.output.svg, job.output.png])
