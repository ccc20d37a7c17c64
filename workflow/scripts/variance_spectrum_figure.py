"""Draw the sorted variances of the features of one data set."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import variance_spectrum
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    outputs = [job.output.svg, job.output.png]
    variance_spectrum.figure(rows, outputs, models=job.spec["models"], dataset=job.wildcards.dataset)
