"""Write the table of global context from the measurements."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import global_context
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    rows = measurements.read(job.input.all("rows"))
    global_context.table(rows, outputs, **job.spec)
