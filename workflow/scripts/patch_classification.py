"""Classify the evaluation patches of one version of a data set by 1-NN and by the linear probe, and score them."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.patch_classification.classification import (
    PatchClassifier,
    read_predictions,
    score,
    write_predictions,
)
from patchprobe.probes.linear import LinearProbe
from patchprobe.run.devices import claim_device
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tokens.black import read_black
from patchprobe.tokens.labelled import evaluation_labels, labelled_tokens
from patchprobe.tokens.variants import fit_variant, sample_of

with run_job(snakemake) as job:
    spec = job.spec
    transform, key = spec.pop("transform"), spec.pop("key")
    labels, tokens = open_store(job.input.labels), open_store(job.input.tokens)

    def classifier() -> PatchClassifier:  # noqa: D103
        device = claim_device(job.device)
        training = labelled_tokens(open_store(job.input.bank), labels, "train")
        probe = LinearProbe.load(job.input.probe)
        sample = sample_of(training, read_black(open_store(path) for path in job.input.all("black")))
        fitted = fit_variant(transform, sample, key=key)
        return PatchClassifier(training, probe, fitted, threads=job.threads, device=device)

    inputs = [job.input.bank_manifest, job.input.tokens_manifest, job.input.labels_manifest, job.input.probe]
    inputs += job.input.all("black_manifest")
    with build_store(job.output.store, inputs=inputs, **job.made) as build:
        write_predictions(build, tokens, classifier)
    # The spare is kept: if this job is killed now, the next one takes the predictions over and only scores.
    predictions = read_predictions(open_store(job.output.store, keep_spare=True))
    truth = evaluation_labels(open_store(job.input.tiles), labels)
    rows = score(predictions, truth, labels.attrs, **spec, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
