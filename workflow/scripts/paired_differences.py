"""Compare the scores of all models and variants of one data set, pair by pair, on the same resamples of images."""

import _source  # noqa: F401

from patchprobe.analyses.paired_differences import differences
from patchprobe.files import write_atomic
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash
from patchprobe.stores.reading import open_store

with run_job(snakemake) as job:
    spec, given = job.spec, job.input
    views = [tuple(view) for view in spec.pop("views")]
    stores = {view: open_store(path) for view, path in zip(views, given.all("predictions"), strict=True)}
    rows = differences(stores, open_store(given.labels), **spec, spec=spec_hash(job.spec_text))
    write_atomic(job.output.rows, rows.to_csv(index=False, lineterminator="\n"))
