"""The page of all tables: their columns packed, and what differences are taken between."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from patchprobe import measurements
from patchprobe.files import write_atomic
from patchprobe.own_files import read_texts
from patchprobe.report import pages

_SCHEMA = measurements.SCHEMA["properties"]
# Names, whatever they look like.
_TEXTS = {name for name, rule in _SCHEMA.items() if rule.get("type", "string") == "string"} | {
    "other_model",
    "other_variant",
    "name",
}
# What a row says of its score, and what tells apart whose score it is.
_OF_SCORE = ("value", "ci_low", "ci_high", "n", "spec")
_OF_MODEL = ("model", "variant")
# The file of the differences whose intervals are known, and the protocol of the scores that they are between.
_PAIRS, _PAIRED = "paired_differences", "patch-classification"

_log = logging.getLogger(__name__)


def page(
    tables: Sequence[Path],
    outputs: Sequence[Path],
    *,
    shown: Sequence[Mapping[str, Any]],
    also: Sequence[Mapping[str, str]],
    views: Sequence[str],
    interval: float,
    look: Sequence[str],
) -> None:
    """Write the page of all ``tables``, CSV files of any columns.

    ``shown`` has of each its ``title``, ``section`` and ``figures``, ``also`` are the other pages, ``views`` the models and variants in their order,
    ``interval`` is the level of the intervals. ``look`` are digests of style and script, which lie beside this module. Where the page
    would be too large its largest tables are left out, and the page and the log say which. Raises StoreError for a damaged file.
    """
    contents = [
        (path, facts, read_texts(path).drop(columns="spec", errors="ignore"))
        for path, facts in zip(tables, shown, strict=True)
    ]
    left_out: list[str] = []
    while True:
        header, arrays = _content(contents)
        header |= {"views": list(views), "interval": interval, "left_out": left_out, "pages": _linked(also)}
        text = pages.page("All results", Path(__file__).parent, pages.packed(header, arrays))
        if pages.fits(text):
            break
        largest = max(contents, key=lambda one: one[2].size)
        contents = [one for one in contents if one is not largest]
        left_out.append(largest[0].name)
        _log.warning(
            "%s: %s left out, since a page has %d MB at most", outputs[0].name, largest[0], pages.LIMIT // 10**6
        )
    write_atomic(outputs[0], text)


def _content(
    contents: Sequence[tuple[Path, Mapping[str, Any], pd.DataFrame]],
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return header and arrays of the page."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    found = []
    for path, facts, frame in contents:
        columns: list[dict[str, Any]] = []
        for i, name in enumerate(frame.columns):
            texts = frame.iloc[:, i]
            numbers = None if name in _TEXTS else _numbers(texts)
            if numbers is not None:
                arrays[f"{path.stem} {i}"] = numbers
                columns.append({"name": name})
            else:
                known, codes = pages.encoded_texts(texts.tolist())
                arrays[f"{path.stem} {i}"] = codes.astype(np.uint16) if len(known) < 1 << 16 else codes
                columns.append({"name": name, "texts": known})
        found.append(
            {
                "name": path.stem,
                "title": facts["title"],
                "section": facts["section"],
                "report": _in_report(f"results/tables/{path.name}"),
                "rows": len(frame),
                "columns": columns,
                "figures": _linked(facts["figures"]),
                "key": _key(frame),
            }
        )
    return {"tables": found, "pairs": _PAIRS, "paired": _PAIRED}, arrays


def _numbers(texts: "pd.Series[str]") -> npt.NDArray[np.float64] | None:
    """Return a column of numbers, NaN where it is empty, or None for one that holds anything else, or nothing at all."""
    filled = texts[texts != ""]
    numbers = pd.to_numeric(filled, errors="coerce")
    if filled.empty or not np.isfinite(numbers.to_numpy(float)).all():
        return None
    found = np.full(len(texts), np.nan)
    found[(texts != "").to_numpy()] = numbers
    return found


def _key(frame: pd.DataFrame) -> list[str] | None:
    """Return the columns in which the scores of two models agree that are compared; None for a table without scores.

    The depth of a model is its own, so it counts only where scores are of several blocks. What stands as ``variant`` is a part of
    the features, and no variant of one model, where each model has the same of them.
    """
    if not {"value", *_OF_MODEL} <= set(frame.columns):
        return None
    key = [name for name in frame.columns if name not in (*_OF_SCORE, *_OF_MODEL)]
    if "layer" in key:
        shallow = [name for name in key if name != "layer"]
        if not frame.duplicated([*shallow, *_OF_MODEL]).any():
            key = shallow
    parts = [frozenset(part) for _, part in frame.groupby("model")["variant"]]
    return [*key, "variant"] if len(parts) > 1 and len(set(parts)) == 1 and len(parts[0]) > 1 else key


def _linked(files: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{**file, "report": _in_report(f"results/{file['path']}")} for file in files]


def _in_report(path: str) -> str:
    """Return the folder of a file in Snakemake's report, beside which that of the page lies."""
    return hashlib.sha256(path.encode()).hexdigest()[:16]
