"""The files that an analysis takes, opened as its functions expect them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from patchprobe import measurements
from patchprobe.stores.reading import open_store


def opened(given: Path | Sequence[Path]) -> Any:
    """Open one input: ``.zarr`` as labelled data set, a list of them as a list, ``.parquet`` (one or more) as one table of
    measurements; anything else stays a path."""
    paths = [given] if isinstance(given, Path) else list(given)
    if paths and all(path.suffix == ".parquet" for path in paths):
        return measurements.read(paths)
    found = [open_store(path) if path.suffix == ".zarr" else path for path in paths]
    return found[0] if isinstance(given, Path) else found


def measured(
    measure: Callable[..., Any], inputs: Mapping[str, Path | Sequence[Path]], **options: Any
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Call a function ``measure`` and return its rows, and other texts by name.

    Of ``threads`` and ``device`` it gets those that it takes.
    """
    known = inspect.signature(measure).parameters
    options = {key: value for key, value in options.items() if key in known or key not in ("threads", "device")}
    made = measure(**{name: opened(given) for name, given in inputs.items()}, **options)
    rows, texts = made if isinstance(made, tuple) else (made, {})
    return rows, texts
