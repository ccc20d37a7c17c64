"""Write the tables of patch classification from the measurements."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.report import tables
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec = job.spec
    tables.patch_classification(
        measurements.read(job.input.all("rows")),
        [job.output.csv, job.output.md, job.output.tex, job.output.html],
        models=spec["models"],
        classes=dict(zip(spec["datasets"], job.input.all("classes"), strict=True)),
        interval=spec["interval"],
    )
