"""Draw example tiles of one data set under every corruption."""

import _source  # noqa: F401

from patchprobe.report import sheets
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec, outputs = job.spec, [job.output.svg, job.output.png]
    tiles = dict(zip(spec["versions"], job.input.all("tiles"), strict=True))
    sheets.corruption_sheet(tiles, job.input.labels, outputs, images=spec["images"])
