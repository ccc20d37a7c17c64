"""Train one network by one objective, from the last snapshot on if there is one."""

import _source  # noqa: F401

from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    # A device is claimed before torch is imported, so that torch sees no other.
    device = claim_device(job.spec["device"])
    from patchprobe.pretraining.images import read_images
    from patchprobe.pretraining.run import Outputs, pretrain

    pretrain(
        job.spec,
        read_images(job.input.store),
        Outputs(job.output.encoder, next(iter(job.output.all("decoder")), None), job.output.losses, job.output.card),
        identity=job.spec_text + job.code,
        snapshots=job.folder.parent / ".partial",
        device=device,
    )
