"""The configurations of disturbed runs, and a change of each kind of key, with the right bytes of each."""

import copy
import fcntl
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projects import PARTS, TINY, Project, make_project

from disturbance.comparison import digests

OFF = {
    "training_size": {"shares": []},
    "global_context": {"classes": []},
    "token_contents": {"removals": []},
    "token_diagnostics": {"enabled": False},
    "overclustering": {"clusters": []},
    "capi": {"enabled": False},
    "hummingbird": {"enabled": False},
    "removal_curves": {"removals": []},
    "removal_stability": {"removals": []},
    "paired_differences": {"enabled": False},
    "extraction": {"layers": {"clean": "last"}},
}
# One data set, one model with a variant, one corruption, one analysis.
SMALL = {
    "seed": 0,
    "device": "cpu",
    "threads": 1,
    "fork_jobs": True,
    "datasets": TINY["datasets"],
    "models": {
        "pixels": {
            "source": "pixels",
            "patch_size": 8,
            "variants": {"less": {"transform": "drop-top-variance", "features": 20}},
        }
    },
    "corruptions": {"noise": {"levels": [10]}},
    "patch_classification": {
        "linear": {"steps": 20, "learning_rates": [0.01], "weight_decays": [0.0]},
        "bootstrap": {"resamples": 100},
    },
    "removal_sweep": {"features": [0, 20], "steps": 10},
    "report": {"images": 1},
    **OFF,
}
# Everything that one data set and one model can have.
FULL = {key: value for key, value in SMALL.items() if key not in OFF} | {
    "training_size": {"shares": [0.5, 1.0], "steps": 10},
    "global_context": {"features": 20},
    "token_contents": {"removals": []},
    "token_diagnostics": {"enabled": False},
    "overclustering": {"clusters": []},
    "hummingbird": {"k": 3},
    "removal_curves": {"removals": []},
    "removal_stability": {"removals": []},
    "full_images": {"models": ["pixels"]},
}
# A chain of jobs and nothing else.
CHAIN = {key: value for key, value in SMALL.items() if key != "corruptions"} | {"corruptions": {}}
TARGETS = {
    "small": (
        "results/tables/patch_classification.csv",
        "results/models/pixels.csv",
        "results/figures/removal_sweep.streets.svg",
        "results/figures/corruptions.streets.png",
    ),
    "full": ("all",),
    "chain": ("results/streets/patch_classification/pixels.clean.parquet",),
}
CONFIGS = {"small": SMALL, "full": FULL, "chain": CHAIN}


@dataclass(frozen=True)
class Change:
    """A change of a finished run: of values of its configuration, or of a text in its code."""

    name: str
    values: tuple[tuple[str, Any], ...] = ()
    edit: tuple[str, str, str] | None = None

    def apply(self, project: Project) -> None:
        config = project.config()
        for key, value in self.values:
            entry = config
            *path, last = key.split(".")
            for part in path:
                entry = entry.setdefault(part, {})
            entry[last] = value
        project.write_config(config)
        if self.edit:
            project.edit(*self.edit)


NOTHING = Change("unchanged")
CHANGES = {
    change.name: change
    for change in (
        Change("patch-size", (("models.pixels.patch_size", 16),)),
        Change("variant", (("models.pixels.variants.less.features", 30),)),
        Change("options", (("datasets.streets.options.width", 192),)),
        Change("splits", (("datasets.streets.splits.evaluation.images", 2),)),
        Change("tiling", (("datasets.streets.tiling.resize", 64),)),
        Change("levels", (("corruptions.noise.levels", [50]),)),
        Change("extraction", (("extraction.dtype", "float32"),)),
        Change("linear", (("patch_classification.linear.steps", 30),)),
        Change("bootstrap", (("patch_classification.bootstrap.resamples", 150),)),
        Change("seed", (("seed", 1),)),
        Change("analysis", (("removal_sweep.features", [0, 30]),)),
        Change("report", (("report.images", 2),)),
        Change("code", edit=("src/patchprobe/models/sources/pixels.py", "images.float()", "images.float() ** 2")),
    )
}
# Jobs of every rule run after it.
EVERYTHING = Change(
    "everything",
    (
        ("seed", 1),
        ("models.pixels.patch_size", 16),
        ("datasets.streets.options.width", 192),
        ("report.images", 2),
        ("patch_classification.bootstrap.level", 0.9),
    ),
)


class Cases:
    """Finished undisturbed runs of one configuration and its changes, each made once and kept in a folder."""

    def __init__(self, repository: Path, folder: Path, config: str = "small", cores: int = 2) -> None:
        self.repository, self.folder, self.name = repository, folder, config
        self.line = ("--cores", str(cores), "--resources", "gpu=1", "--", *TARGETS[config])
        self._code = _digest_of_code(repository)
        folder.mkdir(parents=True, exist_ok=True)

    def new(self, folder: Path, change: Change = NOTHING) -> Project:
        """A project that has run nothing."""
        project = make_project(self.repository, folder, copy.deepcopy(CONFIGS[self.name]))
        change.apply(project)
        return project

    def finished(self, change: Change = NOTHING) -> Project:
        """The project after an undisturbed run from nothing; not to be changed."""
        text = json.dumps([self.name, CONFIGS[self.name], self.line, change.values, change.edit])
        digest = hashlib.sha256((self._code + text).encode()).hexdigest()[:16]
        folder = self.folder / f"{self.name}-{change.name}-{digest}"
        # Workers may want the same run at the same time.
        with (self.folder / f".{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                making = folder.with_name(f".{folder.name}")
                shutil.rmtree(making, ignore_errors=True)
                self.new(making, change).snakemake(*self.line)
                making.rename(folder)
        return Project(folder)

    def right(self, change: Change = NOTHING) -> dict[str, str]:
        """The results of an undisturbed run."""
        return digests(self.finished(change).folder / "results")


def _digest_of_code(repository: Path) -> str:
    digest = hashlib.sha256()
    for part in PARTS:
        top = repository / part
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix in (".py", ".smk", ".yaml", ".json", ".csv", ""):
                digest.update(f"{path.relative_to(repository)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
