"""Classify the patches of full images by both methods, and score them."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.full_images import full_image_rows
from patchprobe.probes.fitting import ProbeOptions
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store

with run_job(snakemake) as job:
    spec = job.spec
    options = ProbeOptions(**spec.pop("linear"), **spec.pop("probe"))
    own = {**spec, "threads": job.threads, "device": claim_device(job.device), "spec": spec_hash(job.spec_text)}
    rows = full_image_rows(open_store(job.input.tokens), open_store(job.input.labels), options, **own)
    measurements.write(rows, job.output.rows)
