"""Generate a data set in the layout of a real one."""

import _source  # noqa: F401

from patchprobe.datasets.demo.generators import open_generator, write_generated
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    generator = open_generator(job.spec["generate"], name=job.spec["name"])
    write_generated(generator, job.output.folder, **job.made, threads=job.threads)
