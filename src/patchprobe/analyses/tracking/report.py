"""Tables and figures of tracking."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from patchprobe.analyses.tracking.strips import draw_strips
from patchprobe.report.curves import draw_curves
from patchprobe.report.formats import Score, Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import METHOD_NAMES, interval_note, order_labels, order_methods, prepare

_CHANCE = "(chance)"
# How a metric that has one of chance beside it is called.
_METRICS = {
    "tracked_identity": "right identity",
    "tracked_category": "right category",
    "tracked_category_of_wrong": "right category if wrong",
}
_UNITS = {"frames": "", "seconds": " s"}
_GROUPS = {"class": "category", "size": "size of the box", "occlusion": "occlusion"}
_ORDER = ("small", "medium", "large", "visible", "occluded")


def table(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    interval: float,
    sizes: Sequence[float],
    frames: Sequence[int],
) -> None:
    """Write the tables of every data set: shares by distance in frames and seconds beside chance, and by group of boxes.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of lines, ``interval`` is the
    level of the intervals, ``sizes`` are the sides that part boxes by size, ``frames`` the distances that were asked for. Raises StoreError if seeds or protocols are
    mixed, ValueError for an unknown suffix.
    """
    shown, tables = prepare(rows), []
    for name, part in shown.groupby("dataset", sort=True):
        for method in order_methods(part):
            own = part[part["method"] == method]
            for axis in _UNITS:
                by = own[own["axis"] == axis]
                tables += [
                    _by_distance(
                        str(name),
                        method,
                        metric,
                        by[by["metric"].str.startswith(metric)],
                        axis,
                        models,
                        interval,
                        frames,
                    )
                    for metric in _METRICS
                    if (by["metric"] == metric).any()
                ]
            tables.append(_by_group(str(name), method, own, models, sizes))
    write_tables(outputs, "Tracking", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw the shares of one data set against the distance in frames, from tiles, with that of chance. Raises as :func:`table`."""
    shown = prepare(rows)
    own = shown[(shown["dataset"] == dataset) & (shown["axis"] == "frames")]
    own = own[own["method"] == order_methods(own)[0]]
    panels = {title: _with_chance(own, metric) for metric, title in _METRICS.items() if (own["metric"] == metric).any()}
    draw_curves(panels, "at", outputs, axis="frames later", quantity="share of matches", models=models, beside=_CHANCE)


def tracking_full_frames_figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str
) -> None:
    """Draw the share of right identities from tiles beside that from full frames, for the models that see both. Raises as :func:`table`."""
    shown = prepare(rows)
    own = shown[(shown["dataset"] == dataset) & (shown["axis"] == "frames")]
    panels = {
        METHOD_NAMES[method]: _with_chance(own[own["method"] == method], "tracked_identity")
        for method in order_methods(own)
    }
    draw_curves(
        panels, "at", outputs, axis="frames later", quantity="share of right identities", models=models, beside=_CHANCE
    )


def tracking_strips_sheet(
    examples: Sequence[Path],
    tiles: xr.Dataset,
    images: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    number: int,
    dataset: str,
) -> None:
    """Draw objects and what every model takes them for, later and later; see :func:`draw_strips`."""
    draw_strips(examples, tiles, images, outputs, models=models, number=number)


def _with_chance(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of a metric and, as one more label, those of chance, which are the same for all models but where matches are wrong."""
    own = rows[rows["metric"] == metric]
    chance = rows[rows["metric"] == f"{metric}_chance"].groupby("at", as_index=False)["value"].mean()
    return pd.concat([own, chance.assign(model=_CHANCE, label=_CHANCE, variant="")], ignore_index=True)


def _by_distance(
    dataset: str,
    method: str,
    metric: str,
    rows: pd.DataFrame,
    axis: str,
    models: Sequence[str],
    interval: float,
    frames: Sequence[int],
) -> Table:
    rows = rows[rows["metric"].isin([metric, f"{metric}_chance"])]
    keys = [(at,) for at in sorted(rows["at"].unique())]
    lines = _lines(_with_chance(rows, metric), ["at"], keys, models)
    counts = ", ".join(f"{n:,}" for n in rows[rows["metric"] == "tracked_identity"].groupby("at")["n"].max())
    what = f"Objects of a frame and their nearest object some {axis} later"
    notes = [
        interval_note(interval, what).replace("evaluation images", "videos")
        if rows["ci_low"].notna().any()
        else f"{what}; without intervals, which are over videos."
    ]
    if absent := [d for d in frames if axis == "frames" and (d,) not in keys]:
        notes.append(f"No object is in two frames that are {', '.join(map(str, absent))} apart.")
    if counts:
        notes.append(f"Objects that are in both frames, by distance: {counts}.")
    if metric == "tracked_category_of_wrong":
        notes.append(
            "Chance is that of a wrong object drawn at random, for the same wrong matches; the mean over models."
        )
    notes.append(_same(rows))
    return Table(
        f"{dataset}-{method}-{metric.replace('_', '-')}-{axis}",
        f"{dataset}: {_METRICS[metric]}, {METHOD_NAMES[method]}, by {axis}",
        "model",
        [("", f"+{at:g}{_UNITS[axis]}") for (at,) in keys],
        lines,
        notes,
    )


def _by_group(dataset: str, method: str, rows: pd.DataFrame, models: Sequence[str], sizes: Sequence[float]) -> Table:
    """Return the share of right identities by groups of boxes, at the middle one of the distances in frames."""
    distances = sorted(rows.loc[rows["axis"] == "frames", "at"].unique())
    at = distances[len(distances) // 2]
    rows = rows[(rows["axis"] == "frames") & (rows["at"] == at)]
    metrics = {f"tracked_identity_of_{by}": title for by, title in _GROUPS.items()}
    own = rows[rows["metric"].isin(metrics)]
    chance = rows[rows["metric"].isin([f"tracked_identity_chance_of_{by}" for by in _GROUPS])]
    chance = chance.assign(metric=chance["metric"].str.replace("_chance", ""), ci_low=np.nan, ci_high=np.nan)
    chance = chance.drop_duplicates(["metric", "class"]).assign(model=_CHANCE, label=_CHANCE, variant="")
    keys = sorted(
        set(zip(own["metric"], own["class"], strict=True)), key=lambda key: (list(metrics).index(key[0]), _rank(key[1]))
    )
    lines = _lines(pd.concat([own, chance], ignore_index=True), ["metric", "class"], keys, models)
    counts = own.groupby(["metric", "class"])["n"].max()
    number = ", ".join(f"{name} {counts.loc[metric, name]:,}" for metric, name in keys)
    notes = (
        f"{at:g} frames later. Objects: {number}.",
        f"Boxes are small below {sizes[0]:g} x {sizes[0]:g} px of the frame, large from {sizes[1]:g} x {sizes[1]:g} px on.",
        _same(rows),
    )
    return Table(
        f"{dataset}-{method}-groups",
        f"{dataset}: right identity by kind of box, {METHOD_NAMES[method]}",
        "model",
        [(metrics[metric], name) for metric, name in keys],
        lines,
        notes,
    )


def _lines(
    rows: pd.DataFrame, by: Sequence[str], keys: Sequence[tuple[Any, ...]], models: Sequence[str]
) -> list[tuple[str, list[Score]]]:
    """Lay scores out, and chance below them, which is never the best."""
    of_chance = rows["label"] == _CHANCE
    below = lay_out_scores(rows[of_chance], by, [_CHANCE], keys)
    unmarked = [(label, [replace(score, best=False) for score in scores]) for label, scores in below]
    return lay_out_scores(rows[~of_chance], by, order_labels(rows[~of_chance], models), keys) + unmarked


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else -1, name)


def _same(rows: pd.DataFrame) -> str:
    return f"Protocol {rows['protocol'].iloc[0]}, seed {rows['seed'].iloc[0]}."
