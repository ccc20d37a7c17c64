"""Write the paired differences of all data sets."""

import _source  # noqa: F401

from patchprobe.report import paired_differences
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    paired_differences.table(paired_differences.read(job.input.all("rows")), outputs, interval=job.spec["interval"])
