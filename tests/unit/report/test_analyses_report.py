"""Tables and figures of the analyses of single questions: every number is one of the rows."""

import numpy as np
import pandas as pd
import pytest
from report_data import MODELS, measurement_rows

from patchprobe import measurements
from patchprobe.analyses.full_images import report as full_images
from patchprobe.analyses.global_context import report as global_context
from patchprobe.analyses.layers import report as layers
from patchprobe.analyses.training_size import report as training_size
from patchprobe.analyses.variance_overlap import report as variance_overlap
from patchprobe.errors import StoreError
from patchprobe.report import curves, dots


def cells(text, title):
    lines = text.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    return [[c.strip().replace("**", "") for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


def shown(row):
    return f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    for module in (curves, dots):
        monkeypatch.setattr(module, "save", lambda figure, outputs: kept.append(figure))
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


def size_rows():
    parts = []
    for images in (18, 36, 72):
        part = measurement_rows(["dino", "mae"], ("camvid",), {}, ["sky", "road"])
        part["value"] -= 1 / images
        part[["ci_low", "ci_high"]] -= 1 / images
        parts.append(part.assign(axis="training_images", at=images, protocol="training-size-v1"))
    return pd.concat(parts, ignore_index=True)


def test_training_size_tables_and_lines_hold_the_numbers_of_the_rows(tmp_path, drawn):
    rows = size_rows()
    measurements.write(rows, tmp_path / "rows.parquet")
    training_size.table(rows, [tmp_path / "t.md"], models=MODELS, interval=0.95)
    found = cells((tmp_path / "t.md").read_text(), "camvid: accuracy over patches by training images, linear probe")
    assert found[0] == ["training images", "dino", "mae"] and [line[0] for line in found[2:]] == ["18", "36", "72"]
    part = rows.query("metric == 'patch_accuracy' and method == 'linear'").set_index(["at", "model"])
    for line in found[2:]:
        assert line[1:] == [shown(part.loc[int(line[0]), model]) for model in ("dino", "mae")]
    training_size.figure(rows, [], models=MODELS, dataset="camvid")
    for ax, method in zip(drawn[0].axes, ("1-nn", "linear"), strict=True):
        assert [t.get_text() for t in ax.get_xticklabels()] == ["18", "36", "72"]
        miou = rows.query(f"metric == 'pixel_miou' and method == '{method}'")
        for line, model in zip(ax.lines, ("dino", "mae"), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), miou.loc[miou["model"] == model, "value"])


def context_rows(names=("road", "sky"), parts=("", "drop-top-variance-20", "keep-random-20", "keep-top-variance-20")):
    base = measurement_rows(["dino", "mae"], ("camvid",), {}, []).drop_duplicates(["model"]).drop(columns=["metric"])
    rows = [
        base.assign(
            **{"class": name},
            metric="share_r2" if name else "share_mean_r2",
            method="ridge",
            variant=part,
            protocol="global-context-v1",
            value=base["value"] - 0.1 * i - 0.01 * j,
            ci_low=base["value"] - 0.5,
            ci_high=base["value"] + 0.1,
        )
        for i, part in enumerate(parts)
        for j, name in enumerate([*names, ""])
    ]
    return pd.concat(rows, ignore_index=True)


def test_context_table_and_dots_hold_the_numbers_of_the_rows(tmp_path, drawn):
    rows = context_rows()
    measurements.write(rows, tmp_path / "rows.parquet")
    global_context.table(rows, [tmp_path / "t.md"], models=MODELS, interval=0.95, classes=["sky", "road"])
    found = cells((tmp_path / "t.md").read_text(), "camvid: R2 of the shares of classes from the central token")
    assert found[0] == ["features", "sky", "road", "mean"] and len(found) == 2 + 8
    part = rows.set_index(["model", "variant", "class"])
    for line in found[2:]:
        model, _, variant = line[0].partition(" ")
        assert line[1:] == [shown(part.loc[model, variant, name]) for name in ("sky", "road", "")]
    global_context.figure(rows, [], models=MODELS, dataset="camvid")
    left, right = drawn[0].axes[0].get_xlim()
    assert left < min(rows["value"].min(), 0) and right > 1
    titles = [ax.get_title(loc="left") for ax in drawn[0].axes]
    assert titles == ["mean", "road", "sky"]
    for ax, name in zip(drawn[0].axes, ("", "road", "sky"), strict=True):
        dots = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
        assert sorted(dots) == sorted(rows.loc[rows["class"] == name, "value"])


def test_interval_without_end_leaves_the_dots_apart(drawn):
    rows = context_rows().assign(ci_low=-400.0)
    global_context.figure(rows, [], models=MODELS, dataset="camvid")
    assert -0.5 < drawn[0].axes[0].get_xlim()[0] < min(rows["value"].min(), -0.25)
    rows.loc[0, "value"] = -3.0
    global_context.figure(rows, [], models=MODELS, dataset="camvid")
    assert -3.1 < drawn[1].axes[0].get_xlim()[0] < -3


def test_context_without_any_class_says_so(drawn, tmp_path):
    rows = context_rows()[:0]
    global_context.table(rows, [tmp_path / "t.md"], models=MODELS, interval=0.95, classes=["road"])
    global_context.figure(rows, [], models=MODELS, dataset="camvid")
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["The data set has none of the classes."]


def full_rows(models=("dino", "mae")):
    """Return rows of tiles, with corruptions that do not belong there, and lower ones of full images."""
    tiles = measurement_rows(list(models), ("camvid", "streets"), {"blur": [3]}, ["sky", "road"])
    full = tiles[tiles["corruption"] == "clean"].assign(protocol="full-images-v1")
    full[["value", "ci_low", "ci_high"]] -= 0.03
    return pd.concat([tiles, full], ignore_index=True)


def test_full_images_stand_beside_tiles_in_table_and_dots(tmp_path, drawn):
    rows = full_rows()
    measurements.write(rows, tmp_path / "rows.parquet")
    full_images.table(rows, [tmp_path / "t.md", tmp_path / "t.csv"], models=MODELS, interval=0.9)
    text = (tmp_path / "t.md").read_text()
    assert "Clean images; intervals hold 90 %" in text and text.count("## ") == 2 * 4
    assert "Protocols full-images-v1, patch-classification-v1; seed 0." in text
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(rows)
    found = cells(text, "streets: accuracy over patches, tiles and full images")
    methods = {"1-nn": "1-NN", "linear": "linear probe"}
    assert found[0] == ["model", *(f"{name} {mark}" for name in methods.values() for mark in ("tiles", "full images"))]
    part = rows.query("dataset == 'streets' and metric == 'patch_accuracy' and corruption == 'clean'")
    part = part.set_index(["model", "method", "protocol"])
    order = [(method, f"{name}-v1") for method in methods for name in ("patch-classification", "full-images")]
    assert [line[0] for line in found[2:]] == ["dino", "mae"]
    for line in found[2:]:
        assert line[1:] == [shown(part.loc[line[0], method, protocol]) for method, protocol in order]
    full_images.figure(rows, [], models=MODELS, dataset="streets")
    part = rows.query("dataset == 'streets' and metric == 'pixel_miou' and corruption == 'clean'")
    assert [ax.get_title(loc="left") for ax in drawn[0].axes] == list(methods.values())
    for ax, method in zip(drawn[0].axes, methods, strict=True):
        own = part[part["method"] == method]
        assert ax.get_xlim()[0] == 0 and ax.get_xlim()[1] > part["ci_high"].max()
        drawn_dots = [line for line in ax.lines if len(line.get_xdata()) == 1]
        assert sorted(line.get_xdata()[0] for line in drawn_dots) == sorted(own["value"])
        hollow = [line.get_xdata()[0] for line in drawn_dots if line.get_markerfacecolor() == "white"]
        assert sorted(hollow) == sorted(own.loc[own["protocol"] == "full-images-v1", "value"])
    with pytest.raises(StoreError, match="seed 0 and 1 cannot share a table"):
        full_images.figure(rows.assign(seed=[1, *rows["seed"][1:]]), [], models=MODELS, dataset="streets")


def overlap_rows():
    base = {
        "variant": "", "layer": 12, "corruption": "clean", "level": 0.0, "method": "", "class": "", "ci_low": np.nan,
        "protocol": "variance-overlap-v1", "ci_high": np.nan, "n": 200, "seed": 0, "spec": "s", "feature": -1,
    }  # fmt: skip
    pairs = {("ade20k", "cityscapes"): [196, 150], ("ade20k", "camvid"): [100, 52]}
    return pd.DataFrame(
        base | {"dataset": one, "other_dataset": other, "model": model, "metric": metric, "value": value}
        for (one, other), counts in pairs.items()
        for model, count in zip(("dino", "mae"), counts, strict=True)
        for metric, value in (("shared_features", count / 200), ("shared_features_by_chance", 200 / 768))
    )


def test_overlap_tables_and_dots_hold_the_numbers_of_the_rows(tmp_path, drawn):
    rows = overlap_rows()
    measurements.write(rows, tmp_path / "rows.parquet")
    paper = {"ade20k and cityscapes": 196}
    variance_overlap.table(
        measurements.read([tmp_path / "rows.parquet"]), [tmp_path / "t.md"], models=MODELS, paper=paper
    )
    text = (tmp_path / "t.md").read_text()
    assert "arXiv 2401.00463 has 196 of 200." in text
    found = cells(text, "ade20k and cityscapes: shared features of highest variance")
    assert found[2:] == [["dino", "196", "52.1", "200"], ["mae", "150", "52.1", "200"]]
    variance_overlap.figure(rows, [], models=MODELS)
    assert [ax.get_title(loc="left") for ax in drawn[0].axes] == ["ade20k, camvid", "ade20k, cityscapes"]
    dots = [line.get_xdata()[0] for line in drawn[0].axes[1].lines if len(line.get_xdata()) == 1]
    assert sorted(dots) == pytest.approx([200 / 768, 200 / 768, 0.75, 0.98])


def test_equal_rows_give_equal_files(tmp_path):
    for name, draw, rows in (
        ("context", lambda r, o: global_context.figure(r, o, models=MODELS, dataset="camvid"), context_rows()),
        ("full", lambda r, o: full_images.figure(r, o, models=MODELS, dataset="camvid"), full_rows()),
        ("overlap", lambda r, o: variance_overlap.figure(r, o, models=MODELS), overlap_rows()),
    ):
        for turn, part in (("a", rows), ("b", rows.sample(frac=1, random_state=2))):
            draw(part, [tmp_path / f"{turn}.{name}.svg"])
        assert (tmp_path / f"a.{name}.svg").read_bytes() == (tmp_path / f"b.{name}.svg").read_bytes()
