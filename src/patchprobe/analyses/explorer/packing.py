"""Arrays in JSON, as one job hands them to the next."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import StoreError


def packed(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Return an array as what JSON can hold, its bytes little-endian in base64."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"type": array.dtype.str, "shape": list(array.shape), "bytes": base64.b64encode(array.tobytes()).decode()}


def unpacked(given: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the array that :func:`packed` was given."""
    return np.frombuffer(base64.b64decode(given["bytes"]), given["type"]).reshape(given["shape"])


def read_packed(path: Path) -> dict[str, Any]:
    """Read a file of such arrays; raises StoreError that names it where it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {**found, "views": [{**view, "stops": list(view["stops"])} for view in found["views"]]}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no file of the explorer's neighbours: delete it and run again") from error
