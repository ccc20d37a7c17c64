"""Runs of the real workflow, as a user makes them, in a copy of the project with a tiny configuration."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import preloaded
import pytest
import yaml

from patchprobe.run import forkserver, provenance

PARTS = ["Snakefile", "rules", "workflow", "src", "config", "profiles", "envs"]
TINY = {
    "seed": 0,
    "device": "auto",
    "threads": 1,
    "fork_jobs": True,
    "datasets": {
        "streets": {
            "adapter": "synthetic",
            "options": {"images": 4, "height": 64, "width": 128},
            "splits": {"train": {"source": "train"}, "evaluation": {"source": "val", "images": 3}},
            "tiling": {"size": 64, "resize": 32},
        }
    },
    "models": {
        "pixels-a": {
            "source": "pixels",
            "patch_size": 8,
            "variants": {"no-top-20": {"transform": "drop-top-variance", "features": 20}},
        },
        "pixels-b": {"source": "pixels", "patch_size": 16},
    },
    "corruptions": {"noise": {"levels": [10, 50]}, "rotate": {"levels": [10]}},
    "patch_classification": {"linear": {"steps": 20}, "bootstrap": {"resamples": 100}},
    "removal_sweep": {"features": [0, 20, 190, 500], "steps": 10},
    "training_size": {"shares": [0.25, 1.0], "steps": 10},
    "global_context": {"features": 20},
    "token_contents": {"removals": []},
    "token_diagnostics": {"enabled": False},
    "overclustering": {"clusters": []},
    "hummingbird": {"k": 3},
    "removal_curves": {"removals": []},
    "removal_stability": {"removals": []},
    "report": {"images": 2},
}
# The finished run has what no other run of the tests has.
FINISHED = TINY | {
    "full_images": {"models": ["pixels-a"]},
    "token_contents": {"tiles": 4},
    "token_diagnostics": {"tiles": 4, "pictures": 1},
    "overclustering": {"clusters": ["classes", 10], "seeds": 2, "restarts": 1},
}

# The variable that names the server of all tests, from which jobs are forked where the configuration says fork_jobs; see
# conftest.py.
FORKSERVER: dict[str, str] = {}


@dataclass
class Project:
    """A copy of the project in a folder of its own."""

    folder: Path
    # The environment that has the snakemake to run, and variables beyond those of a user's shell.
    programs: Path = Path(sys.executable).parent
    variables: dict[str, str] = field(default_factory=dict)
    patience: float = 600  # seconds for a line

    def config(self) -> dict[str, Any]:
        return yaml.safe_load((self.folder / "config/config.yaml").read_text())

    def write_config(self, config: dict[str, Any], *, sort_keys: bool = False) -> None:
        (self.folder / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=sort_keys))

    def command(self, *words: str) -> list[str]:
        return [str(self.programs / "snakemake"), *words]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder; stdout and stderr come back together."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment() | FORKSERVER | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.patience,
        )

    def snakemake(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a line of Snakemake."""
        if self.programs == Path(sys.executable).parent:
            variables = environment() | FORKSERVER | self.variables
            done = preloaded.snakemake(words, self.folder, variables, self.patience)
        else:
            done = self.run(*self.command(*words))
        if check and done.returncode:
            pytest.fail(f"snakemake {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done

    def plan(self, *words: str) -> Counter[str]:
        """Return what a dry run would do, as 'rule wildcards' with their numbers."""
        text = self.snakemake("--cores", "2", "--dry-run", *words).stdout
        jobs: Counter[str] = Counter()
        rule = None
        for line in text.splitlines():
            if match := re.match(r"(?:local)?rule (\w+):", line):
                rule = match[1]
                jobs[rule] += 1
            elif rule and (match := re.match(r"    wildcards: (.*)", line)):
                jobs[rule] -= 1
                values = dict(part.split("=") for part in match[1].split(", "))
                if "variant" in values:
                    values["model"] += values.pop("variant")
                jobs[f"{rule} {','.join(values.values())}"] += 1
        jobs.pop("all", None)
        return +jobs

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new, 1))

    def tables(self) -> dict[str, bytes]:
        folders = [self.folder / "results/tables", self.folder / "results/models"]
        return {p.name: p.read_bytes() for folder in folders for p in sorted(folder.glob("*")) if p.is_file()}

    def copy(self, folder: Path) -> "Project":
        # In half the processor time that shutil takes for these thousands of small files.
        subprocess.run(
            ["cp", "--recursive", "--no-dereference", "--preserve=mode,timestamps", self.folder, folder], check=True
        )
        return Project(folder)


def environment() -> dict[str, str]:
    """The environment of a user's shell in which the project's environment comes first, and threads that wait do so idly."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "OMP_", "MKL_"))}
    return clean | {
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_THREAD_TIMEOUT": forkserver.ENVIRONMENT["OPENBLAS_THREAD_TIMEOUT"],
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@contextmanager
def fork_server(address: Path, *words: str, python: str = sys.executable, folder: Path | None = None) -> Iterator[int]:
    """Run a server of jobs, which ``words`` tell what not to import, and yield the number of its process."""
    process = subprocess.Popen(
        [python, forkserver.__file__, str(address), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        env=environment() | forkserver.ENVIRONMENT,
    )
    try:
        while not address.exists():
            assert process.poll() is None
            time.sleep(0.1)
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(60)


def make_project(repository: Path, folder: Path, config: dict[str, Any]) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        # With what Python has compiled of it.
        source = repository / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            shutil.copy2(source, folder / part)
    (folder / provenance.KNOWN_CODE).parent.mkdir()
    shutil.copy2(_known_code(repository), folder / provenance.KNOWN_CODE)
    project = Project(folder)
    project.write_config(config)
    return project


@cache
def _known_code(repository: Path) -> Path:
    """What a run has read of the code, which a first run takes a second for."""
    sources = provenance.Sources(repository / "src")
    for script in sorted((repository / "workflow/scripts").glob("*.py")):
        sources.digest(script)
    path = Path(tempfile.mkdtemp()) / provenance.KNOWN_CODE.name
    atexit.register(shutil.rmtree, path.parent)
    provenance.remember(path)
    return path
