"""Zarr stores that are complete or absent.

A store ``X.zarr`` is a folder that holds one zarr v3 group, ``X.zarr/data``, and its manifest is the file
``X.manifest.json`` beside it. While a job builds it, everything lies in a hidden folder
``.partial/X.zarr-<digest>`` whose digest covers the spec, the code and the inputs, so a killed job is resumed by
the next one with the same digest and never mixed with another. A file lock keeps writers of one store apart, even
across runs. When all is written the files are linked into place by one rename and the manifest is written last;
readers refuse a store whose manifest does not match it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

from patchprobe.errors import StoreError
from patchprobe.files import disk_errors, file_sha256, locked, write_atomic

FORMAT = "patchprobe-store-v1"
GROUP = "data"
_BUILD_FILE = "build.json"
_DONE_FILE = "finished-units.txt"


def manifest_path(store: Path) -> Path:
    """Return the manifest file of a store: ``clean.zarr`` has ``clean.manifest.json`` beside it."""
    return store.with_suffix(".manifest.json")


@contextlib.contextmanager
def build_store(
    store: Path,
    *,
    spec: str,
    code: str,
    inputs: Sequence[Path] = (),
    publishing: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> Iterator["Build"]:
    """Build a store in a hidden folder and move it into place, whole, when the block ends without an error.

    ``spec`` is the canonical JSON of the config values used, ``code`` the digest of the code, ``inputs`` the
    files made from (manifests count by the content they vouch for, other files by their bytes). Whatever a killed
    run with the same three had finished is kept. Waits for another writer of the same store. Raises StoreError
    when the disk is full; what is finished by then stays for the next run.
    """
    digest = _digest(spec, code, inputs)
    partial_root = store.parent / ".partial"
    with disk_errors(store):
        partial_root.mkdir(parents=True, exist_ok=True)
        with locked(
            partial_root / f"{store.name}.lock",
            waiting=f"{store.name}: another job is writing it; waiting for that job to end",
        ):
            partial = partial_root / f"{store.name}-{digest}"
            _remove_other_partials(partial)
            build = Build(partial, digest)
            if build.sealed:
                print(f"{store.name}: an earlier run finished it; taken over as it is", file=sys.stderr)
            yield build
            if not build.sealed:
                build.seal(spec, code)
            with publishing():
                _publish(partial, store)


class Build:
    """A store under construction; made by :func:`build_store`. One thread may write at a time."""

    def __init__(self, partial: Path, digest: str) -> None:
        self._partial = partial
        self._digest = digest
        self._lock = threading.Lock()
        partial.mkdir(exist_ok=True)
        self.group: zarr.Group = zarr.open_group(partial / GROUP, mode="a", zarr_format=3)
        self._done = partial / _DONE_FILE
        lines = self._done.read_text().split("\n") if self._done.exists() else [""]
        self._finished = set(lines[:-1])
        if lines[-1]:  # a full disk cut the last line short: that unit does not count
            self._done.write_text("".join(f"{line}\n" for line in lines[:-1]))

    @property
    def sealed(self) -> bool:
        """True if an earlier run wrote everything and was killed before its result was taken over."""
        return (self._partial / _BUILD_FILE).exists()

    def array(
        self,
        name: str,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dtype: npt.DTypeLike,
        dims: tuple[str, ...],
        *,
        compress: bool = False,
    ) -> zarr.Array:
        """Create an array, or reopen the one a killed run left; written region by region.

        Stored uncompressed unless ``compress``: tokens and photographs do not compress, label maps do.
        """
        if name in self.group:
            existing = self.group[name]
            assert isinstance(existing, zarr.Array)
            # zarr does not keep this setting in the store.
            return existing.with_config({"write_empty_chunks": True})
        return self.group.create_array(
            name,
            shape=shape,
            chunks=tuple(min(c, s) if s else 1 for c, s in zip(chunks, shape, strict=True)),
            dtype=dtype,
            compressors=ZstdCodec(level=1) if compress else None,
            dimension_names=dims,
            config={"write_empty_chunks": True},
        )

    def coordinate(self, name: str, values: npt.ArrayLike, dims: tuple[str, ...]) -> None:
        """Write a small array whole; strings become variable-length UTF-8."""
        values = np.asarray(values)
        dtype: Any = str if values.dtype.kind in "UOT" else values.dtype
        array = self.array(name, values.shape, values.shape, dtype, dims, compress=dtype is str)
        if values.size and not self.sealed:
            array[...] = values.astype(object) if dtype is str else values

    def attributes(self, **values: Any) -> None:
        """Set attributes of the group; JSON values only, no times and no machine names."""
        if not self.sealed:
            self.group.attrs.update(values)

    def pending(self, units: Sequence[str]) -> list[str]:
        """Return the units that no earlier run finished, in the given order; says so when it resumes."""
        if self.sealed:
            return []
        left = [unit for unit in units if unit not in self._finished]
        if len(left) < len(units):
            print(f"resuming: {len(units) - len(left)} of {len(units)} units are finished", file=sys.stderr)
        return left

    def finish(self, unit: str) -> None:
        """Record that all data of a unit are written; a later run will not make it again."""
        with self._lock, self._done.open("a") as file:
            file.write(unit + "\n")
            self._finished.add(unit)

    def seal(self, spec: str, code: str) -> None:
        """Check that every chunk is there, checksum the content and write the manifest into the hidden folder."""
        for name, array in self.group.arrays():
            if array.nchunks_initialized != array.nchunks:
                raise StoreError(
                    f"{self._partial}: array {name!r} has {array.nchunks_initialized} of {array.nchunks} chunks "
                    "written; this is an error in the program, not in your data"
                )
        files, size, checksum = _checksum(self._partial / GROUP)
        manifest = {
            "format": FORMAT,
            "digest": self._digest,
            "spec": json.loads(spec),
            "code": code,
            "files": files,
            "bytes": size,
            "sha256": checksum,
            "arrays": {
                name: {"shape": list(array.shape), "dtype": str(array.dtype), "dims": _dims(array)}
                for name, array in sorted(self.group.arrays())
            },
        }
        write_atomic(self._partial / _BUILD_FILE, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def open_store(store: Path) -> xr.Dataset:
    """Open a finished store as a lazily read, labelled data set.

    Arrays named like a dimension, and all one-dimensional ones, become coordinates. Raises StoreError if the
    manifest is missing, belongs to another build, or files of the store are missing or truncated.
    """
    manifest = read_manifest(store)
    files, size = _count(store / GROUP) if (store / GROUP).is_dir() else (0, 0)
    if (files, size) != (manifest["files"], manifest["bytes"]) or _stamp(store) != manifest["digest"]:
        raise StoreError(
            f"{store} does not match its manifest ({files} files with {size} bytes, the manifest says "
            f"{manifest['files']} with {manifest['bytes']}); delete both and run again"
        )
    _drop_spare(store, manifest["digest"])
    # In full: workers of a cluster read it too, from folders of their own.
    dataset = xr.open_zarr((store / GROUP).resolve(), consolidated=False)
    return _with_coordinates(dataset)


def read_manifest(store: Path) -> dict[str, Any]:
    """Read the manifest of a store; raises StoreError naming the file if it is missing or not one of ours."""
    path = manifest_path(store)
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise StoreError(f"{store} has no manifest {path.name}: it was never finished; run again") from None
    except ValueError:
        raise StoreError(f"{path} is not readable as JSON; delete it and {store.name} and run again") from None
    if manifest.get("format") != FORMAT:
        raise StoreError(f"{path} has format {manifest.get('format')!r}, expected {FORMAT!r}; delete it and run again")
    return manifest


def _digest(spec: str, code: str, inputs: Sequence[Path]) -> str:
    parts = [FORMAT, spec, code]
    for path in inputs:
        content = json.loads(path.read_text()) if path.name.endswith(".manifest.json") else None
        parts.append(content["sha256"] if content else file_sha256(path))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _remove_other_partials(partial: Path) -> None:
    prefix = partial.name.rsplit("-", 1)[0] + "-"
    for other in partial.parent.iterdir():
        if other.name.startswith(prefix) and other != partial:
            shutil.rmtree(other, ignore_errors=True)


def _publish(partial: Path, store: Path) -> None:
    """Put the finished files in place with one rename, then the manifest.

    The hidden folder stays as hard links until a reader opens the store: Snakemake deletes the outputs of a job
    whose end it did not see (it was killed itself), and then the next run links them again instead of making them.
    """
    staged = partial.with_name(partial.name + ".publish")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        shutil.copytree(partial, staged, copy_function=os.link, ignore=shutil.ignore_patterns(_DONE_FILE))
    except OSError:  # a file system without hard links: there is no spare then
        shutil.rmtree(staged, ignore_errors=True)
        staged = partial
    manifest = (partial / _BUILD_FILE).read_bytes()
    manifest_path(store).unlink(missing_ok=True)
    if store.exists():
        shutil.rmtree(store)
    staged.rename(store)
    write_atomic(manifest_path(store), manifest)


def _drop_spare(store: Path, digest: str) -> None:
    shutil.rmtree(store.parent / ".partial" / f"{store.name}-{digest}", ignore_errors=True)


def _stamp(store: Path) -> str | None:
    try:
        digest: str = json.loads((store / _BUILD_FILE).read_text())["digest"]
    except (OSError, ValueError, KeyError):
        return None
    return digest


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _count(folder: Path) -> tuple[int, int]:
    files = _files(folder)
    return len(files), sum(path.stat().st_size for path in files)


def _checksum(folder: Path) -> tuple[int, int, str]:
    digest, files = hashlib.sha256(), _files(folder)
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return len(files), sum(path.stat().st_size for path in files), digest.hexdigest()


def _dims(array: zarr.Array) -> list[str]:
    names = getattr(array.metadata, "dimension_names", None) or ()
    return [str(name) for name in names]


def _with_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    small = {str(name): v for name, v in dataset.variables.items() if v.ndim == 1}
    return dataset.drop_vars(small).assign_coords(
        {
            name: (v.dims, v.values.astype(object).astype(str) if v.dtype.kind in "OT" else v.values)
            for name, v in small.items()
        }
    )
