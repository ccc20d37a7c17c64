"""Which measurements a table or figure shows, in which order and under which names."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from patchprobe import measurements
from patchprobe.datasets.index_tables import read_classes
from patchprobe.errors import StoreError

METHOD_NAMES = measurements.titles("methods")
METRIC_NAMES = measurements.titles("metrics")


@dataclass(frozen=True)
class Axis:
    """How levels of a corruption are shown: name with unit, form of one level, and the level without effect.

    ``neutral`` is None where levels have no order of strength.
    """

    name: str
    form: str
    neutral: float | None

    def title(self, level: float) -> str:
        """Return a level with its unit, such as "3 px"."""
        return self.form.format(level)


# Units as in section 6 of arXiv 2401.00463.
_AXES = {
    "blur": Axis("kernel size (px)", "{:g} px", 1.0),
    "noise": Axis("noise std (of 255)", "std {:g}", 0.0),
    "band-noise": Axis("ring centre (of Nyquist)", "ring {:g}", None),
    "shift": Axis("diagonal shift (px)", "{:g} px", 0.0),
    "rotate": Axis("rotation (degrees)", "{:g}\N{DEGREE SIGN}", 0.0),
    "scale": Axis("scale factor", "factor {:g}", 1.0),
}


def axis_of(corruption: str) -> Axis:
    """Return the axis of a corruption; one without an entry has plain levels that start from clean."""
    return _AXES.get(corruption, Axis("level", "level {:g}", 0.0))


def prepare(rows: pd.DataFrame, *, every_layer: bool = False) -> pd.DataFrame:
    """Keep the deepest layer of every model, or with ``every_layer`` all, and add ``label``, the name under which a row is shown.

    Raises StoreError if the rows mix seeds or protocols, which one table cannot show side by side.
    """
    for column in ("seed", "protocol"):
        found = sorted(rows[column].unique())
        if len(found) > 1:
            raise StoreError(
                f"measurements with {column} {found[0]} and {found[1]} cannot share a table: run both again with one seed and one version of patchprobe"
            )
    if not every_layer:
        deepest = rows.groupby(["dataset", "model", "variant"])["layer"].transform("max")
        rows = rows[rows["layer"] == deepest]
    return rows.assign(label=rows["model"].where(rows["variant"] == "", rows["model"] + " " + rows["variant"]))


def prepare_beside(rows: pd.DataFrame) -> pd.DataFrame:
    """Do what :func:`prepare` does for rows of several protocols that are to stand side by side.

    Raises StoreError if the rows mix seeds.
    """
    seeds = sorted(rows["seed"].unique())
    if len(seeds) > 1:
        raise StoreError(
            f"measurements with seed {seeds[0]} and {seeds[1]} cannot share a table: run both again with one seed and one version of patchprobe"
        )
    return pd.concat([prepare(part) for _, part in rows.groupby("protocol")], ignore_index=True)


def interval_note(interval: float, of: str = "Clean tiles") -> str:
    """Return the note of a table of scores ``of`` something that says what the intervals of level ``interval`` are."""
    return f"{of}; intervals hold {100 * interval:g} % of the bootstrap over evaluation images."


def note_of_missing(found: Mapping[str, Collection[str]], asked: Sequence[str], why: str) -> tuple[str, ...]:
    """Return a note that names what of ``asked`` models have no rows of, and ``why``; nothing where they have all.

    ``found`` has the variants of a model's rows by model.
    """
    missing = {model: [name for name in asked if name not in has] for model, has in found.items()}
    named = [f"{model} {', '.join(names)}" for model, names in missing.items() if names]
    return (f"Without a line: {'; '.join(named)}. {why}",) if named else ()


def order_labels(rows: pd.DataFrame, models: Sequence[str]) -> list[str]:
    """Return the labels of prepared rows: models as in ``models``, then the others by name; variants by name."""
    pairs = rows[["model", "variant", "label"]].drop_duplicates().to_dict("records")
    rank = {model: i for i, model in enumerate(models)}
    pairs.sort(key=lambda pair: (rank.get(pair["model"], len(rank)), pair["model"], pair["variant"]))
    return [pair["label"] for pair in pairs]


def order_corruptions(names: Iterable[str]) -> list[str]:
    """Return corruption names without ``clean``, the known ones in the usual order, then the others by name."""
    known = list(_AXES)
    found = set(names) - {"clean"}
    return sorted(found, key=lambda name: (known.index(name) if name in known else len(known), name))


def order_methods(rows: pd.DataFrame) -> list[str]:
    """Return the classifiers of the rows, 1-NN first."""
    return order_known(set(rows["method"]), METHOD_NAMES)


def order_known(names: Collection[str], known: Iterable[str]) -> list[str]:
    """Return ``names`` in the order of ``known``, those it lacks after it by name."""
    first = [name for name in known if name in names]
    return first + sorted(set(names) - set(first))


def frequent_classes(path: Path, names: Sequence[str], count: int) -> list[str]:
    """Return, in their order, the ``count`` classes of ``names`` with most evaluation pixels, by the classes table."""
    table = read_classes(path)
    pixels = table[table["split"] == "evaluation"].groupby("name")["pixels"].sum()
    chosen = set(sorted(names, key=lambda name: -pixels.get(name, 0))[:count])
    return [name for name in names if name in chosen]


def class_names(path: Path) -> list[str]:
    """Read the names of a data set's classes, without void, in their official order from its classes table."""
    table = read_classes(path)
    return [name for name in table["name"].drop_duplicates() if name != "void"]
