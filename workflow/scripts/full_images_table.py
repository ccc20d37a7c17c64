"""Write the tables of scores of full images beside those of tiles."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import full_images
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    rows = measurements.read(job.input.all("rows"))
    full_images.table(rows, outputs, models=job.spec["models"], interval=job.spec["interval"])
