"""Draw the scores of full images beside those of tiles, for one data set."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import full_images
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    rows = measurements.read(job.input.all("rows"))
    full_images.figure(rows, [job.output.svg, job.output.png], models=job.spec["models"], dataset=job.wildcards.dataset)
