"""Generate a data set in the layout of a real one."""

import _source  # noqa: F401

from patchprobe.datasets.demo.generators import open_generator, write_generated
from patchprobe.jobs import run_job

with run_job(snakemake) as job:
    generator = open_generator(job.spec["generate"], name=job.spec["name"])
    made = {"spec": job.spec_text, "code": job.code, "publishing": job.allowed}
    write_generated(generator, job.output.folder, **made, threads=job.threads)
