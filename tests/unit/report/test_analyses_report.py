"""Tables and figures of the analyses of single questions: every number is one of the rows."""

import numpy as np
import pandas as pd
import pytest
from report_data import MODELS, measurement_rows

from patchprobe import measurements
from patchprobe.report import curves, layers


def cells(text, title):
    lines = text.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    return [[c.strip().replace("**", "") for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


def shown(row):
    return f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    monkeypatch.setattr(curves, "save", lambda figure, outputs: kept.append(figure))
    return kept


def layer_rows(models=("dino", "mae"), blocks=(1, 2, 12), groups=("easy", "rest")):
    """Return rows of 1-NN block by block; the second model has no last block."""
    parts = []
    for block in blocks:
        chosen = models if block != blocks[-1] else models[:1]
        part = measurement_rows(chosen, ("camvid", "streets"), {}, ["sky", "road"])
        part = part[part["method"] == "1-nn"].assign(layer=block, protocol="layers-v1")
        part["value"] -= np.random.default_rng(block).uniform(0, 0.01, len(part))
        means = part[part["metric"].str.endswith("miou")]
        apart = [means.assign(metric=means["metric"] + f"_{g}", value=means["value"] + 0.01) for g in groups]
        parts += [part, *apart]
    return pd.concat(parts, ignore_index=True)


def test_layers_tables_hold_the_numbers_of_the_rows(tmp_path):
    rows = layer_rows()
    measurements.write(rows, tmp_path / "rows.parquet")
    outputs = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    layers.table(rows, outputs, models=MODELS, interval=0.9, easy_classes=["road", "car"])
    text = (tmp_path / "t.md").read_text()
    assert "intervals hold 90 %" in text and "easy classes, where there: road, car." in text
    for metric, name in (
        ("pixel_miou", "mIoU over pixels"),
        ("pixel_miou_easy", "mIoU over pixels of easy classes"),
        ("patch_miou_rest", "mIoU over patches of the other classes"),
    ):
        found = cells(text, f"streets: {name}, block by block")
        assert found[0] == ["block", "dino", "mae"] and [line[0] for line in found[2:]] == ["1", "2", "12"]
        part = rows[(rows["metric"] == metric) & (rows["dataset"] == "streets")].set_index(["layer", "model"])
        for line in found[2:]:
            for model, cell in zip(("dino", "mae"), line[1:], strict=True):
                key = (int(line[0]), model)
                assert cell == ("-" if key == (12, "mae") else shown(part.loc[key]))
    assert text.count("## ") == 2 * 6


def test_layers_panels_are_groups_of_classes(drawn):
    rows = layer_rows()
    layers.figure(rows, [], models=MODELS, dataset="streets")
    metrics = ("pixel_miou", "pixel_miou_easy", "pixel_miou_rest")
    for ax, metric, title in zip(drawn[0].axes, metrics, ("all", "easy", "other"), strict=True):
        assert ax.get_title(loc="left") == f"{title} classes" and ax.get_xlabel() == "block"
        assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2", "12"]
        for line, model in zip(ax.lines, ("dino", "mae"), strict=True):
            part = rows[(rows["metric"] == metric) & (rows["model"] == model) & (rows["dataset"] == "streets")]
            expected = part.set_index("layer")["value"].reindex([1, 2, 12])
            np.testing.assert_array_equal(line.get_ydata(), expected)


def test_layers_of_a_data_set_of_easy_classes_alone_have_no_panel_of_others(drawn, tmp_path):
    rows = layer_rows(groups=("easy",))
    layers.figure(rows, [], models=MODELS, dataset="camvid")
    assert [ax.get_title(loc="left") for ax in drawn[0].axes] == ["all classes", "easy classes"]
    layers.table(rows, [tmp_path / "t.md"], models=MODELS, interval=0.95, easy_classes=[])
    assert "other classes" not in (tmp_path / "t.md").read_text()
