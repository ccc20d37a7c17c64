"""Draw how many features of highest variance data sets share."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import variance_overlap
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    variance_overlap.figure(rows, [job.output.svg, job.output.png], models=job.spec["models"])
