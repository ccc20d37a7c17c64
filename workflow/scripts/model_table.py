"""Write everything that was measured of one model, on all data sets, as one table."""

import _source  # noqa: F401

from patchprobe import measurements
from patchprobe.files import write_atomic
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    write_atomic(job.output.csv, measurements.read(job.input.all("rows")).to_csv(index=False))
