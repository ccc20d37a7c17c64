"""Tables of a run's scores beside those of the paper, arXiv 2401.00463."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from patchprobe.report.formats import Cell, Score, Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import METHOD_NAMES

_COLUMNS = (
    "dataset", "model", "variant", "where", "analysis", "method", "at", "layer", "class", "metric", "paper", "value",
    "ci_low", "ci_high", "difference",
)  # fmt: skip
_TITLES = {
    "patch_classification": "patch classification",
    "removal_sweep": "removal of the features of highest variance",
    "layers": "layer by layer",
    "global_context": "global context",
    "full_images": "full images in place of tiles",
}
# What is ours where the paper says nothing [O], or where its text is lost [L]; docs/protocol.md has it whole.
_OURS = {
    "patch_classification": "the draw of images [O], whether scores are over pixels or patches [O], void and ties [O], "
    "how the probe is trained [O], the tiles of ADE20K [O].",
    "removal_sweep": "the draw of images [O], whether scores are over pixels or patches [O], void and ties [O].",
    "layers": "the draw of images [O], whether scores are over pixels or patches [O]; the norm of inner blocks is disputed.",
    "full_images": "the draw of images [O], whether scores are over pixels or patches [O], the size at which full images are "
    "seen [O], how the probe is trained [O].",
    "global_context": "the draw of images [O], the ridge penalties and their choice [O], which patch is central [O].",
}


def compare(rows: pd.DataFrame, values: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row for every paper's value that has a measurement, over pixels and over patches where it has both.

    ``values`` are those of :func:`patchprobe.analyses.paper_comparison.paper_values.comparable`; ``difference`` is ours minus the paper's. Names of
    classes count in lower and upper case alike.
    """
    clean = rows[rows["corruption"] == "clean"]
    parts = [_measured(clean, value) for value in values]
    found = pd.concat(
        [part for part in parts if len(part)] or [clean.iloc[:0].assign(where="", analysis="", paper=0.0)]
    )
    return found.assign(difference=found["value"] - found["paper"]).loc[:, list(_COLUMNS)].reset_index(drop=True)


def paper_comparison(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    values: Sequence[Mapping[str, Any]],
    images: Mapping[str, Mapping[str, int]],
    datasets: Sequence[str],
    drawn: Sequence[pd.DataFrame],
) -> None:
    """Write the comparison, a table per data set and analysis: the paper's value, ours, and the difference.

    ``rows`` are measurements as read, ``values`` as for :func:`compare`, ``images`` the paper's numbers of images by
    data set and split, ``drawn`` the images tables of this run, of ``datasets``. ``.csv`` holds every row of :func:`compare`.
    """
    compared, drawn_of = compare(rows, values), dict(zip(datasets, drawn, strict=True))
    tables = [
        _beside(str(dataset), str(analysis), part, _images_note(images[str(dataset)], drawn_of[str(dataset)]))
        for (dataset, analysis), part in compared.groupby(["dataset", "analysis"], sort=False)
    ]
    write_tables(outputs, "Beside the paper", compared, tables)


def _measured(rows: pd.DataFrame, value: Mapping[str, Any]) -> pd.DataFrame:
    """Return the measurements of one value of the paper, as columns of the comparison."""
    metric = value["metric"]
    metrics = [metric] if metric.startswith("share_") else [f"pixel_{metric}", f"patch_{metric}"]
    part = rows[
        rows["protocol"].str.startswith(value["analysis"].replace("_", "-") + "-v")
        & (rows["class"].str.lower() == value["class"].lower())
        & rows["metric"].isin(metrics)
    ]
    for column in ("dataset", "model", "variant", "method", "at"):
        part = part[part[column] == value[column]]
    part = part[part["layer"] == (part["layer"].max() if value["layer"] is None else value["layer"])]
    # Pixels first, as in all tables.
    part = part.sort_values("metric", key=lambda names: names.map(metrics.index))
    return part.assign(where=value["where"], analysis=value["analysis"], paper=value["value"])


def _beside(dataset: str, analysis: str, rows: pd.DataFrame, images: str) -> Table:
    units = [unit for unit in ("pixel", "patch") if rows["metric"].str.startswith(unit).any()] or ["share"]
    columns = [("", "paper")]
    for unit in units:
        ours = "ours" if unit == "share" else f"ours, {'pixels' if unit == 'pixel' else 'patches'}"
        columns += [("", ours), ("", "difference")]
    lines: list[tuple[str, list[Cell]]] = []
    for _, part in rows.groupby(["model", "variant", "method", "at", "layer", "class", "where"], sort=False):
        for metric, same in part.groupby(part["metric"].str.replace(r"^(pixel|patch)_", "", regex=True), sort=False):
            cells: list[Cell] = [Score(float(same["paper"].iloc[0]))]
            for unit in units:
                own = same[same["metric"].str.startswith(unit)]
                cells += _cells(own.iloc[0]) if len(own) else ["-", "-"]
            lines.append((_name(same.iloc[0], str(metric)), cells))
    where = ", ".join(rows["where"].drop_duplicates())
    notes = (
        f"Paper: arXiv 2401.00463, {where}; values to stand beside, not to reach.",
        images,
        f"Ours by our own choice, which can move scores: {_OURS[analysis]}",
    )
    title = f"{dataset}: {_TITLES[analysis]} beside the paper"
    return Table(f"{dataset}-paper-{analysis.replace('_', '-')}", title, "score", columns, lines, notes)


def _cells(row: pd.Series) -> list[Cell]:
    return [Score(row["value"], row["ci_low"], row["ci_high"]), f"{row['difference']:+.3f}"]


def _name(row: pd.Series, metric: str) -> str:
    """Say what a value is of: model and variant, classifier, and what else sets it apart."""
    words = [f"{row['model']} {row['variant']}".strip(), METHOD_NAMES.get(row["method"], row["method"])]
    if row["analysis"] == "removal_sweep":
        words.append(f"{row['at']:g} removed")
    if row["analysis"] == "layers":
        words.append(f"block {row['layer']}")
    words += [row["class"]] if row["class"] else []
    names = {"miou": "mIoU", "iou": "IoU", "share_r2": "R2", "share_mean_r2": "mean R2"}
    return ", ".join([*words, names[metric]])


def _images_note(paper: Mapping[str, int], drawn: pd.DataFrame) -> str:
    counts = drawn["split"].value_counts()
    ours = {split: int(counts.get(split, 0)) for split in ("train", "evaluation")}
    said = f"{ours['train']} training and {ours['evaluation']} evaluation images"
    if ours == dict(paper):
        return f"{said}, as many as in the paper."
    return f"{said}; the paper has {paper['train']} and {paper['evaluation']}, so scores differ for that reason too."
