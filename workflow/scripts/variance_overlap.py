"""Compare the features of highest variance of one model between data sets."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.analyses.variance_overlap import overlap_rows
from patchprobe.run.jobs import run_job
from patchprobe.run.provenance import spec_hash

with run_job(snakemake) as job:
    spectra = measurements.read(job.input.all("rows"))
    rows = overlap_rows(spectra, **job.spec, spec=spec_hash(job.spec_text))
    measurements.write(rows, job.output.rows)
