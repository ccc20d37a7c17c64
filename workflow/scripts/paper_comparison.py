"""Write this run's scores beside those of the paper."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import paper
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec, given = job.spec, job.input
    drawn = dict(zip(spec.pop("datasets"), given.all("images"), strict=True))
    outputs = [job.output.csv, job.output.md, job.output.tex, job.output.html]
    paper.table(measurements.read(given.all("rows")), outputs, drawn=drawn, **spec)
