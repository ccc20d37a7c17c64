"""Reconstruct the evaluation tiles of a data set with a model's own decoder, and compare them with the tiles."""

from pathlib import Path

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

with run_job(snakemake) as job:
    spec = job.spec
    # A device is claimed before torch is imported, so that torch sees no other.
    device = claim_device(spec["device"])
    from patchprobe.analyses.reconstruction.reconstructing import Options, reconstruct
    from patchprobe.models.backbone import check_card, load_model
    from patchprobe.models.decoders.reconstruction import check_decoder_card, open_autoencoder

    model = load_model(
        spec["name"],
        spec["model"],
        checkpoint_root=Path(spec["checkpoint_root"]),
        input_size=spec["input_size"],
        device=device,
    )
    check_card(model, job.input.card)
    autoencoder = open_autoencoder(model, spec["decoder"], Path(spec["decoder_root"]))
    check_decoder_card(autoencoder, job.input.decoder_card)
    variance = measurements.read([job.input.variances]).sort_values("feature")["value"].to_numpy()
    options = Options(**{name: spec[name] for name in Options.__dataclass_fields__})
    inputs = [job.input.manifest, job.input.variances, job.input.card, job.input.decoder_card]
    with build_store(job.output.store, inputs=inputs, **job.made) as build:
        given = {"seed": spec["seed"], "batch_size": spec["batch_size"]}
        reconstruct(build, open_store(job.input.store), autoencoder, variance, options, **given)
