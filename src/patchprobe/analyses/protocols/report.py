"""Table and figure of the protocols side by side: patch classification, CAPI and Hummingbird on the same tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from patchprobe.own_files import read_mapping
from patchprobe.report.dots import Mark, draw_dots
from patchprobe.report.formats import Cell, Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import METHOD_NAMES, interval_note, order_labels, order_methods, prepare_beside

_METRICS = {"pixel_miou": "mIoU", "pixel_accuracy": "accuracy"}
_MARKS = {
    "1-nn": Mark(METHOD_NAMES["1-nn"], "o"),
    "linear": Mark(METHOD_NAMES["linear"], "o", hollow=True),
    "capi": Mark(METHOD_NAMES["capi"], "s"),
    "hummingbird": Mark(METHOD_NAMES["hummingbird"], "^"),
}
_QUIRKS = {
    "memory_size": "a memory of {} patches",
    "void_is_first_class": "void counted as the first class in training patches",
    "match_classes": "predicted classes matched to true ones",
    "absent_is_zero": "absent classes counted as 0",
}


def read_settings(paths: Sequence[Path]) -> dict[tuple[str, str], dict[str, Any]]:
    """Read which setting CAPI chose, results/{dataset}/capi/{model}.json, by data set and model.

    Raises StoreError that names a file that cannot be read.
    """
    return {(path.parents[1].name, path.stem): read_mapping(path, {"k": int, "distance": str}) for path in paths}


def table(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    settings: Sequence[Path],
    models: Sequence[str],
    interval: float,
    quirks: Mapping[str, Any],
) -> None:
    """Write a table per data set: a line per model, mIoU and accuracy over pixels for every protocol.

    ``rows`` are measurements as read, of clean tiles; ``.csv`` holds all of them. ``settings`` are files of
    :func:`read_settings`, ``models`` gives the order of lines, ``interval`` the level of the intervals, ``quirks`` the
    options of Hummingbird that may be set. Raises StoreError if seeds are mixed, ValueError for an unknown suffix.
    """
    shown, chosen = prepare_beside(rows), read_settings(settings)
    tables = [
        _scores(str(dataset), part, chosen, models, interval, quirks)
        for dataset, part in shown.groupby("dataset", sort=True)
    ]
    write_tables(outputs, "Protocols side by side", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU and accuracy over pixels of one data set, a line per model, a mark per protocol.

    ``rows`` are measurements as read, of clean tiles, ``models`` all models of the run. Raises as :func:`table`.
    """
    shown = prepare_beside(rows)
    shown = shown[shown["dataset"] == dataset]
    shown = shown.assign(mark=shown["method"])
    draw_dots(
        {name: shown[shown["metric"] == metric] for metric, name in _METRICS.items()},
        {method: mark for method, mark in _MARKS.items() if method in set(shown["method"])},
        outputs,
        quantity="score over pixels (fraction)",
        models=models,
        empty="There are no scores.",
    )


def _scores(
    dataset: str,
    rows: pd.DataFrame,
    settings: Mapping[tuple[str, str], Mapping[str, Any]],
    models: Sequence[str],
    interval: float,
    quirks: Mapping[str, Any],
) -> Table:
    keys = [(method, metric) for method in order_methods(rows) for metric in _METRICS]
    columns = [(METHOD_NAMES.get(method, method), _METRICS[metric]) for method, metric in keys]
    labels = order_labels(rows, models)
    lines: list[tuple[str, list[Cell]]] = [
        (label, list(scores)) for label, scores in lay_out_scores(rows, ["method", "metric"], labels, keys)
    ]
    if "capi" in set(rows["method"]):
        columns.append((METHOD_NAMES["capi"], "chosen"))
        lines = [(label, [*cells, _setting(settings.get((dataset, label)))]) for label, cells in lines]
        order = sorted(range(len(columns)), key=lambda i: [c[0] for c in columns].index(columns[i][0]))
        columns = [columns[i] for i in order]
        lines = [(label, [cells[i] for i in order]) for label, cells in lines]
    notes = [
        interval_note(interval),
        "All scores are over pixels. 1-NN and linear probe give one class to all pixels of a patch, the others answer "
        "for single pixels.",
    ]
    if on := [text.format(quirks[name]) for name, text in _QUIRKS.items() if quirks.get(name)]:
        notes.append(f"Hummingbird with quirks of open-hummingbird-eval: {'; '.join(on)}.")
    protocols = ", ".join(sorted(rows["protocol"].unique()))
    notes.append(f"Protocols {protocols}; seed {rows['seed'].iloc[0]}.")
    return Table(f"{dataset}-protocols", f"{dataset}: protocols side by side", "model", columns, lines, notes)


def _setting(chosen: Mapping[str, Any] | None) -> str:
    return "-" if chosen is None else f"k = {chosen['k']}, {chosen['distance']}"
