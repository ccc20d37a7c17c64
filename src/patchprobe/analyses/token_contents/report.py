"""Table and heat-map of what tokens hold: R2 by target, part of the tokens and model."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from patchprobe.analyses.token_contents.measure import SHARES
from patchprobe.analyses.token_contents.targets import TARGETS
from patchprobe.report.formats import Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import interval_note, note_of_missing, order_known, prepare
from patchprobe.report.style import RC, WIDTH, new_figure, plain, save

WITHOUT_LINE = (
    "That is a removal which would take all features of a model, since global_context.features is as large, or for which there are no "
    "directions, as in a black image of raw pixels."
)
_WHOLE = "all"
_CELL = 0.135  # inches
_ACROSS = 2


def table(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], removals: Sequence[str], interval: float
) -> None:
    """Write a table per data set: a line per model and part of its tokens, a column per target.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` and ``removals`` give the order of lines, ``interval`` the level
    of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    tables = []
    for dataset, own in shown.groupby("dataset", sort=True):
        targets = order_known(set(own["class"]), [*TARGETS, SHARES])
        labels = [
            f"{model} {part}".strip()
            for model in order_known(set(own["model"]), models)
            for part in order_parts(own.loc[own["model"] == model, "variant"], removals)
        ]
        lines = lay_out_scores(own, ["class"], labels, [(target,) for target in targets])
        notes = (
            interval_note(interval),
            "R2 of a ridge regression from the token of a patch, on evaluation patches; of the class shares from the token at the centre of a "
            "tile, on evaluation tiles, the mean over classes. Below 0 it is worse than the mean.",
            *note_of_missing(kinds_of(own), [f"drop-{removal}" for removal in removals], WITHOUT_LINE),
            f"Protocol {own['protocol'].iloc[0]}, seed {own['seed'].iloc[0]}.",
        )
        title = f"{dataset}: R2 of what a token tells"
        tables.append(
            Table(f"{dataset}-token-contents", title, "tokens", [("", name) for name in targets], lines, notes)
        )
    write_tables(outputs, "What tokens hold", rows, tables)


def figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], removals: Sequence[str], dataset: str
) -> None:
    """Draw a heat-map per model of one data set: a line per part of the tokens, a column per target. Raises as :func:`table`."""
    shown = prepare(rows)
    shown = shown[shown["dataset"] == dataset]
    targets = order_known(set(shown["class"]), [*TARGETS, SHARES])
    parts = order_parts(shown["variant"], removals, numbers=False)
    names = order_known(set(shown["model"]), models)
    down = -(-len(names) // _ACROSS)
    with matplotlib.rc_context(RC):
        drawn = new_figure(WIDTH, 1.25 + down * (0.28 + _CELL * len(parts)), layout="constrained")
        axes = drawn.subplots(down, _ACROSS, squeeze=False, sharex=True, sharey=True)
        picture = None
        for ax, name in zip(axes.ravel(), names, strict=False):
            own = shown[shown["model"] == name]
            values = own.assign(part=own["variant"].map(_kind)).pivot(index="part", columns="class", values="value")
            picture = _heat(ax, values.reindex(index=parts, columns=targets))
            ax.set_title(plain(name), loc="left")
        for ax in axes.ravel()[len(names) :]:
            ax.set_axis_off()
        for ax in axes[0]:
            ax.set_xticks(range(len(targets)), targets, rotation=60, ha="left", rotation_mode="anchor")
            ax.xaxis.tick_top()
        for ax in axes.ravel():
            ax.tick_params(length=0, labelsize=6, labeltop=ax in axes[0], labelbottom=False)
        axes[0, 0].set_yticks(range(len(parts)), [part or _WHOLE for part in parts])
        if picture is not None:
            bar = drawn.colorbar(picture, ax=axes, location="bottom", fraction=0.015, pad=0.01, aspect=60)
            bar.set_label("R2 (evaluation patches)")
            bar.outline.set_visible(False)
        save(drawn, outputs)


def order_parts(parts: pd.Series, removals: Sequence[str], *, numbers: bool = True) -> list[str]:
    """Return the parts of tokens in the order of the removals: all, what each takes, what it leaves, and the random ones beside them."""
    found = list(dict.fromkeys(parts if numbers else parts.map(_kind)))
    order = ["", *(f"{verb}-{removal}" for removal in removals for verb in ("keep", "drop")), "keep-random"]
    return sorted(found, key=lambda part: order.index(_kind(part)) if _kind(part) in order else len(order))


def kinds_of(rows: pd.DataFrame) -> dict[str, set[str]]:
    """Return the names of the parts of every model's tokens, without numbers of features."""
    return {str(model): set(own["variant"].map(_kind)) for model, own in rows.groupby("model", sort=False)}


def _kind(part: str) -> str:
    """Return the name of a part without the number of features."""
    name, _, number = part.rpartition("-")
    return name if number.isdigit() else part


def _heat(ax: Axes, values: pd.DataFrame) -> matplotlib.cm.ScalarMappable:
    """Colour R2 from 0 to 1 and write it, in hundredths; what is below 0 is said to be so."""
    numbers = values.to_numpy(float)
    picture = ax.imshow(numbers, vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="none")
    for (line, column), value in np.ndenumerate(numbers):
        text = "-" if np.isnan(value) else "<0" if value < -0.005 else f"{100 * max(value, 0):.0f}"
        color = "black" if np.isnan(value) or value > 0.55 else "white"
        ax.text(column, line, text, ha="center", va="center", fontsize=5, color=color)
    for side in ax.spines.values():
        side.set_visible(False)
    return picture
