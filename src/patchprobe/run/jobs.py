"""The frame that every workflow script runs in: log, spec, and one clear message when the user's input is at fault."""

import contextlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TextIO

from patchprobe.errors import PatchprobeError, StoreError
from patchprobe.files import disk_errors
from patchprobe.run.publishing import Publication, publication


class Job:
    """What a script needs of Snakemake's job: paths by name, wildcards, threads, and the rule's params, spec and code.

    ``output`` names hidden places, from where all results get their names together when the block of :func:`run_job`
    ends. ``device`` is ``cuda`` where the rule asks for a GPU, which is to be claimed; the same results come out
    without one.
    """

    def __init__(self, snakemake: Any, publishing: Publication) -> None:
        self._publishing = publishing
        self.input = _Paths(snakemake.input, Path)
        self.output = _Paths(snakemake.output, lambda path: publishing.staged(Path(path)))
        self.wildcards = snakemake.wildcards
        self.threads: int = snakemake.threads
        self.device: Literal["cpu", "cuda"] = "cuda" if getattr(snakemake.resources, "gpu", 0) else "cpu"
        self.spec_text: str = snakemake.params.spec
        self.spec: dict[str, Any] = json.loads(self.spec_text)
        self.code: str = snakemake.params.code
        self.params = snakemake.params

    @property
    def folder(self) -> Path:
        """The folder of the results."""
        return self._publishing.outputs[0].parent

    @property
    def made(self) -> dict[str, Any]:
        """What a store or folder of this job is built with: spec, code, and a block to publish it within, which refuses
        if a later run wants another."""
        return {"spec": self.spec_text, "code": self.code, "publishing": self._publishing.allowed}


@contextlib.contextmanager
def run_job(snakemake: Any) -> Iterator[Job]:
    """Run the block with stdout and stderr, also those of C libraries, going to the rule's log, and publish its results.

    The process ends at once, with exit code 0, if another job has made them meanwhile. A PatchprobeError ends the process with exit code 1 and its message as the last line of the log; any other
    exception leaves its traceback there too.
    """
    path = Path(snakemake.log[0])
    with _open_log(path) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s", force=True)
        try:
            outputs = [Path(path) for path in snakemake.output]
            with publication(outputs, list(snakemake.params)) as publishing:
                if publishing is None:
                    print("a job of an earlier run made the same; taken over as it is", file=sys.stderr)
                    raise SystemExit(0)
                yield Job(snakemake, publishing)
        except PatchprobeError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None
        except Exception:
            traceback.print_exc()
            raise SystemExit(1) from None


def _open_log(path: Path) -> TextIO:
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not overwritten: a job that outlived its run may still write into the file of this name.
            path.unlink(missing_ok=True)
            return path.open("w", buffering=1)
    except (StoreError, OSError) as error:
        # There is no log to say it in.
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None


class _Paths:
    def __init__(self, files: Any, place: Callable[[str], Path]) -> None:
        self._files, self._place = files, place

    def __getattr__(self, name: str) -> Path:
        return self._place(getattr(self._files, name))

    def by_name(self) -> dict[str, Path | list[Path]]:
        """Return all files by their names, without manifests, which come with the stores that they vouch for."""
        values = {name: value for name, value in self._files.items() if not name.endswith("_manifest")}
        return {
            name: self._place(value) if isinstance(value, str) else self.all(name) for name, value in values.items()
        }

    def __iter__(self) -> Iterator[Path]:
        return map(self._place, self._files)

    def all(self, name: str) -> list[Path]:
        """Return the files of a name that stands for any number of them."""
        value = getattr(self._files, name, [])
        return [self._place(path) for path in ([value] if isinstance(value, str) else value)]
