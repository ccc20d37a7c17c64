"""Reading finished zarr stores, which :mod:`patchprobe.stores.writing` describes; what is read is checked."""

import contextlib
from pathlib import Path

import xarray as xr

from patchprobe.errors import StoreError
from patchprobe.own_files import read_mapping
from patchprobe.stores.file_list import (
    BUILD_FILE,
    GROUP,
    first_difference,
    read_list,
    read_manifest,
    remove_partial,
    sizes,
)
from patchprobe.stores.located import VerifiedObjects, read_location
from patchprobe.stores.verified import VerifiedStore


def open_store(store: Path, *, keep_spare: bool = False) -> xr.Dataset:
    """Open a finished store as a lazily read, labelled data set.

    Arrays named like a dimension, and all one-dimensional ones, become coordinates. A file's checksum is compared when
    the file is first read. Where it lies is ``encoding["source"]``. Raises StoreError, here or on reading, if the manifest is missing, belongs to another build,
    or files of the store are missing or changed. A store may lie on object storage, see :mod:`patchprobe.stores.located`.
    The first reader drops the hard links that a rerun of the job that
    made the store would take over, unless it ``keep_spare``: for that job itself.
    """
    manifest, url = read_manifest(store), read_location(store)
    found = sizes(store / GROUP)
    # Of what lies on object storage the list vouches, which was written after all files were seen there.
    files, size = (len(found), sum(found.values())) if url is None else (manifest["files"], manifest["bytes"])
    if (files, size) != (manifest["files"], manifest["bytes"]) or _stamp(store) != manifest["digest"]:
        raise StoreError(
            f"{store} does not match its manifest ({files} files with {size} bytes, the manifest says "
            f"{manifest['files']} with {manifest['bytes']}); delete both and run again"
        )
    listed = read_list(store, manifest["file_list_sha256"])
    difference = first_difference(listed, found) if url is None else None
    if difference is not None:
        raise StoreError(f"{store} does not match its list of files ({difference}); delete both and run again")
    if not keep_spare:
        _drop_spare(store, manifest["digest"])
    source: VerifiedStore | VerifiedObjects
    if url is None:
        # In full: workers of a cluster read it too, from folders of their own.
        source = VerifiedStore((store / GROUP).resolve(), manifest["file_list_sha256"], files=listed)
    else:
        source = VerifiedObjects(url, manifest["file_list_sha256"], files=listed)
    # Without chunks and indexes, which would first be made of coordinates too, and take as long as all the rest.
    opened = xr.open_zarr(source, consolidated=False, chunks=None, create_default_indexes=False)
    labelled = _labelled(opened, manifest["file_list_sha256"])
    labelled.encoding["source"] = str(store)
    return labelled


def _drop_spare(store: Path, digest: str) -> None:
    partial = store.parent / ".partial" / f"{store.name}-{digest}"
    if partial.exists():
        with contextlib.suppress(OSError, StoreError):
            remove_partial(partial)


def _stamp(store: Path) -> str | None:
    try:
        return str(read_mapping(store / BUILD_FILE, {"digest": str})["digest"])
    except StoreError:
        return None


def _labelled(opened: xr.Dataset, content: str) -> xr.Dataset:
    """Return a data set with its coordinates in memory and all else as arrays of dask, in the chunks of the store.

    dask takes arrays of one name for the same, so ``content`` is the checksum of all files.
    """
    small = {str(name): v for name, v in opened.variables.items() if v.ndim == 1}
    values = {name: v.values for name, v in small.items()}
    large = opened.drop_vars(small)
    return large.assign(
        {name: v.chunk(v.encoding["preferred_chunks"], name=f"{name}-{content}") for name, v in large.variables.items()}
    ).assign_coords(
        {
            name: (small[name].dims, v.astype(object).astype(str) if v.dtype.kind in "OT" else v)
            for name, v in values.items()
        }
    )
