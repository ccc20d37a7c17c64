"""Join a model to its decoder once, before anything expensive, and describe the decoder."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.analyses.reconstruction.reconstructing import check_masked
from patchprobe.files import write_atomic
from patchprobe.models.backbone import load_model
from patchprobe.models.decoders.reconstruction import describe_autoencoder, open_autoencoder
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    model = load_model(
        spec["name"],
        spec["model"],
        checkpoint_root=Path(spec["checkpoint_root"]),
        input_size=spec["input_size"],
        device="cpu",
    )
    autoencoder = open_autoencoder(model, spec["decoder"], Path(spec["decoder_root"]))
    check_masked(autoencoder, spec["masked"])
    write_atomic(job.output.card, describe_autoencoder(autoencoder))
