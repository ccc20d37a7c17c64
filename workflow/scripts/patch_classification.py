"""Classify the evaluation patches of one version of a data set by 1-NN and by the linear probe, and score them."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.patch_classification import classify_patches, score, write_predictions
from patchprobe.devices import claim_device
from patchprobe.jobs import run_job
from patchprobe.labelled_tokens import evaluation_labels, labelled_tokens
from patchprobe.probes import LinearProbe
from patchprobe.provenance import spec_hash
from patchprobe.stores import build_store, open_store
from patchprobe.variance import fit_transform

with run_job(snakemake) as job:
    spec = job.spec
    device = claim_device(job.device)
    labels, tokens = open_store(job.input.labels), open_store(job.input.tokens)
    truth = evaluation_labels(open_store(job.input.tiles), labels)
    training = labelled_tokens(open_store(job.input.bank), labels, "train")
    transform = fit_transform(spec.pop("transform"), training.tokens, key=spec.pop("key"))
    probe = LinearProbe.load(job.input.probe)
    inputs = [job.input.bank_manifest, job.input.tokens_manifest, job.input.labels_manifest, job.input.probe]
    predictions = classify_patches(training, probe, tokens, transform, threads=job.threads, device=device)
    with build_store(job.output.store, inputs=inputs, **job.made) as build:
        write_predictions(build, predictions)
    rows = score(predictions, truth, labels.attrs, **spec, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
