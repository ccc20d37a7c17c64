"""Draw the loss of every pretraining run."""

import _source  # noqa: F401

from patchprobe.pretraining.report import loss_curves
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    losses = dict(zip(job.spec["objectives"], job.input.all("losses"), strict=True))
    loss_curves(losses, [job.output.svg, job.output.png])
