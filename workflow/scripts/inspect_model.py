"""Build a model once, before anything expensive: its names, files and keys are checked and it is described."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe.files import write_atomic
from patchprobe.models.backbone import describe_model
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    card = describe_model(
        spec["name"],
        spec["model"],
        checkpoint_root=Path(spec["checkpoint_root"]),
        input_size=spec["input_size"],
        ground_sample_distance=spec.get("ground_sample_distance"),
    )
    write_atomic(job.output.card, card)
