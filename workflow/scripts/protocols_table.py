"""Write the scores of every protocol side by side."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import protocols
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    rows = measurements.read(job.input.all("rows"))
    protocols.table(rows, protocols.read_settings(job.input.all("settings")), outputs, **job.spec)
