"""Draw what each model makes of example tiles of one data set, beside the truth."""

import _source  # noqa: F401

from patchprobe.report import sheets
from patchprobe.run.jobs import run_job

with run_job(snakemake) as job:
    spec, given = job.spec, job.input
    outputs = [job.output.svg, job.output.png]
    labels = [view.replace("@", " ") for view in spec["models"]]
    predictions = dict(zip(labels, given.all("predictions"), strict=True))
    sheets.segmentation_sheet(given.tiles, given.labels, predictions, outputs, images=spec["images"])
