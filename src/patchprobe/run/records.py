"""Records of what results were made from, and the plan of what the present run wants made.

Both are JSON below ``results/.records``, so they go where the results go. A *recipe* is the digest of a job's params
(its spec and code) and of the recipes of all its inputs: two jobs with one recipe make the same bytes. A record is
written beside the results by the job that made them; the plan is written by a run before its first job.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchprobe.files import disk_errors, file_sha256, fingerprint, locked, write_atomic

RESULTS = Path("results")
FOLDER = RESULTS / ".records"
PLAN = FOLDER / "plan.json"
_MANIFEST = ".manifest.json"


@dataclass(frozen=True)
class Record:
    """What one job made from what.

    ``params`` is the digest of its params; ``inputs`` holds recipe and content of each input that another job made. Of
    others the recipe is empty, and so is the content of those whose time counts instead. ``outputs`` holds the SHA-256
    of each file. Folders count by the manifest beside them.
    """

    recipe: str
    params: str
    inputs: Mapping[str, Sequence[str]]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Wanted:
    """What a run wants of one job; ``inputs`` names, for each input that a job makes, that job and its recipe.

    For one that no job makes there is no job, and instead of a recipe its fingerprint, or none if its time counts.
    """

    recipe: str | None
    params: str
    inputs: Mapping[str, Sequence[str | None]]


@dataclass(frozen=True)
class Plan:
    """What the latest run wants by job, and the jobs that it or an earlier one had planned and not seen finished."""

    jobs: Mapping[str, Wanted]
    pending: frozenset[str]


def params_digest(params: Iterable[object]) -> str:
    """Return the digest of a job's params, whatever their order."""
    return _digest(sorted(map(str, params)))


def recipe(params: str, inputs: Mapping[str, str | None]) -> str:
    """Return the recipe of a job with these params and inputs, each with its own recipe if a job makes it."""
    return _digest([params, {path: made or "" for path, made in inputs.items()}])


def content(path: Path) -> str:
    """Return what a result holds, as text: empty if it is absent.

    A store or folder, and the manifest that vouches for it, hold what the manifest says; other files their SHA-256.
    """
    manifest = path if path.name.endswith(_MANIFEST) else path.with_suffix(_MANIFEST) if path.is_dir() else None
    if manifest:
        known = _read(manifest).get("sha256")
        if isinstance(known, str):
            return known
        path = manifest
    return sha256(path)


def outside_content(path: Path) -> str:
    """Return the fingerprint of a file that no job of results makes, such as a checkpoint; empty if it is absent."""
    try:
        return fingerprint(path)
    except OSError:
        return ""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, of the manifest in place of a folder; empty if it is absent."""
    try:
        return file_sha256(path.with_suffix(_MANIFEST) if path.is_dir() else path)
    except FileNotFoundError:
        return ""


def record_path(job: str) -> Path:
    """Return where the record of the job with this first output is; raises ValueError if that lies outside of results."""
    return FOLDER / f"{Path(job).relative_to(RESULTS)}.json"


def read_record(job: str) -> Record | None:
    """Return the record of the job with this first output; None if there is none that can be read."""
    return _record(_read(record_path(job)))


def write_record(job: str, record: Record) -> None:
    """Write the record of a job; one that a power cut takes back only means that the job is run again."""
    write_atomic(record_path(job), _text(dataclasses.asdict(record)), lasting=False)


def recorded_files(results: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file below a folder of results that a record knows and that is there, with the SHA-256 it was made with.

    Stores and folders are not among them, but the manifests that vouch for them.
    """
    folder = results / FOLDER.name
    for path in sorted(folder.rglob("*.json")):
        if path == folder / PLAN.name:
            continue
        record = _record(_read(path))
        for output, known in record.outputs.items() if record else ():
            if RESULTS in Path(output).parents:
                file = results / Path(output).relative_to(RESULTS)
                if file.is_file():
                    yield file, known


def read_plan() -> Plan:
    """Return the plan of the latest run in this folder; empty if there is none that can be read."""
    values = _read(PLAN)
    try:
        jobs = {job: Wanted(**wanted) for job, wanted in values["jobs"].items()}
        plan = Plan(jobs, frozenset(values["pending"]))
    except (KeyError, TypeError, AttributeError):
        return Plan({}, frozenset())
    return plan if all(_pairs(wanted.inputs) for wanted in jobs.values()) else Plan({}, frozenset())


@contextlib.contextmanager
def plan_lock() -> Iterator[None]:
    """Keep plan and results from being changed by others: whoever publishes asks the plan first."""
    with disk_errors(FOLDER):
        FOLDER.mkdir(parents=True, exist_ok=True)
        with locked(FOLDER / "plan.lock"):
            yield


def write_plan(plan: Plan) -> None:
    """Write the plan; call it within :func:`plan_lock`."""
    jobs = {job: dataclasses.asdict(wanted) for job, wanted in plan.jobs.items()}
    write_atomic(PLAN, _text({"jobs": jobs, "pending": sorted(plan.pending)}))


def _record(values: Mapping[str, Any]) -> Record | None:
    """Return values as a record, None unless they are one: what was damaged is no record."""
    try:
        record = Record(**values)
    except TypeError:
        return None
    named = isinstance(record.outputs, dict) and all(isinstance(known, str) for known in record.outputs.values())
    return record if named and _pairs(record.inputs) else None


def _pairs(values: object) -> bool:
    return isinstance(values, dict) and all(isinstance(pair, list) and len(pair) == 2 for pair in values.values())


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:20]
