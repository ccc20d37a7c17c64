"""Write what each data set consists of: images, tiles, pixels and patches of every class."""

import _source  # noqa: F401

from patchprobe.report import tables
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    names, models, given = job.spec["datasets"], job.spec["models"], job.input
    stores = given.all("predictions")
    tables.datasets(
        dict(zip(names, given.all("images"), strict=True)),
        dict(zip(names, given.all("classes"), strict=True)),
        dict(zip(names, given.all("labels"), strict=True)),
        {name: stores[i * len(models) : (i + 1) * len(models)] for i, name in enumerate(names)},
        [job.output.csv, job.output.md, job.output.tex, job.output.html],
    )
