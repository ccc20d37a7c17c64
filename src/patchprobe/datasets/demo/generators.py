"""Generators of whole data sets, found by name, and the folder that one writes: whole or absent, with a manifest.

The generator called ``street`` is the module ``patchprobe.datasets.demo.street_data`` with ``GENERATOR = StreetData`` in
it. It is built as ``GENERATOR(seed, options)`` and raises ConfigError messages that begin with the option.
"""

import contextlib
import importlib
import json
import pkgutil
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from patchprobe.datasets import demo
from patchprobe.errors import ConfigError, suggestion
from patchprobe.files import disk_errors, folder_content, locked, sync_tree, write_atomic
from patchprobe.stores.file_list import manifest_path

FORMAT = "patchprobe-generated-v1"
_SUFFIX = "_data"


class Generator(Protocol):
    """What the workflow asks of a generator."""

    def write(self, root: Path, *, threads: int = 1) -> None:
        """Write the data set below an empty folder; the same bytes for the same seed and options."""


def open_generator(entry: Mapping[str, Any], *, name: str = "<name>") -> Generator:
    """Build the generator of a config entry (keys ``generator``, ``seed`` and ``options``).

    ``name`` is the key of the data set, for messages. Raises ConfigError for an unknown generator or option.
    """
    key, generator = f"datasets.{name}.generate", str(entry["generator"])
    known = sorted(
        module.name.removesuffix(_SUFFIX)
        for module in pkgutil.iter_modules(demo.__path__)
        if module.name.endswith(_SUFFIX)
    )
    if generator not in known:
        hint = suggestion(generator, known, f"known are {', '.join(known)}")
        raise ConfigError(f"{key}.generator: there is no generator {generator!r}; {hint}")
    module = importlib.import_module(f"{demo.__name__}.{generator}{_SUFFIX}")
    try:
        built: Generator = module.GENERATOR(entry["seed"], entry.get("options") or {})
    except ConfigError as error:
        raise ConfigError(f"{key}.{error}") from None
    return built


def write_generated(
    generator: Generator,
    folder: Path,
    *,
    spec: str,
    code: str,
    publishing: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    threads: int = 1,
) -> None:
    """Write a data set into ``folder`` and its manifest beside it, as ``<folder>.manifest.json``.

    Everything is written under a hidden name first; the folder appears whole, the manifest last. The manifest holds the
    spec, the digest of the code, and number, bytes and SHA-256 of the files. ``publishing`` is entered around the giving
    of names and may refuse it. Raises StoreError when the disk is full.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    waiting = f"{folder.name}: another job writes it; waiting for that job to end"
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f".{folder.name}.lock"), waiting=waiting):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                generator.write(partial, threads=threads)
                sync_tree(partial)
            except OSError:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            manifest = {"format": FORMAT, "spec": json.loads(spec), "code": code, **folder_content(partial)}
            with publishing():
                manifest_path(folder).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                partial.rename(folder)
                write_atomic(manifest_path(folder), json.dumps(manifest, indent=1, sort_keys=True) + "\n")
