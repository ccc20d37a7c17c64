"""Tables of protocols and of paired differences: every number is one of the rows."""

import json

import numpy as np
import pandas as pd
import pytest
from report_data import MODELS, measurement_rows

from patchprobe import measurements
from patchprobe.analyses.paired_differences import report as paired_differences
from patchprobe.analyses.protocols import report as protocols
from patchprobe.errors import StoreError
from patchprobe.report import dots, style

METHODS = {"1-nn": "1-NN", "linear": "linear probe", "capi": "CAPI k-NN", "hummingbird": "Hummingbird"}


def cells(text, title):
    lines = text.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    return [[c.strip().replace("**", "") for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


def shown(row):
    return f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"


def protocol_rows(datasets=("camvid", "streets")):
    plain = measurement_rows(MODELS[:3], datasets, {}, ["sky", "road"])
    parts = [plain]
    for method in ("capi", "hummingbird"):
        part = plain[(plain["method"] == "1-nn") & plain["metric"].str.startswith("pixel")]
        parts.append(part.assign(method=method, protocol=f"{method}-v1", value=part["value"] + len(method) / 100))
    return pd.concat(parts, ignore_index=True)


def settings(folder, datasets=("camvid", "streets")):
    paths = []
    for i, dataset in enumerate(datasets):
        for j, model in enumerate(MODELS[:3]):
            path = folder / dataset / "capi" / f"{model}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"k": 10 * i + j + 1, "distance": "cosine"}))
            paths.append(path)
    return paths


QUIRKS = {"memory_size": None, "void_is_first_class": False, "match_classes": False, "absent_is_zero": False}


def test_protocols_stand_beside_each_other_with_their_numbers(tmp_path):
    rows = protocol_rows()
    measurements.write(rows, tmp_path / "rows.parquet")
    outputs = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    protocols.table(rows, outputs, settings=settings(tmp_path), models=MODELS, interval=0.9, quirks=QUIRKS)
    text = (tmp_path / "t.md").read_text()
    for i, dataset in enumerate(("camvid", "streets")):
        found = cells(text, f"{dataset}: protocols side by side")
        names = [f"{name} {metric}" for name in METHODS.values() for metric in ("mIoU", "accuracy")]
        assert found[0] == ["model", *names[:6], "CAPI k-NN chosen", *names[6:]]
        part = rows[rows["dataset"] == dataset].set_index(["model", "method", "metric", "class"])
        for j, line in enumerate(found[2:]):
            assert line[0] == MODELS[j] and line[7] == f"k = {10 * i + j + 1}, cosine"
            numbers = [shown(part.loc[(line[0], m, f"pixel_{u}", "")]) for m in METHODS for u in ("miou", "accuracy")]
            assert line[1:7] + line[8:] == numbers
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(rows)
    assert "quirks" not in text and "capi-v1, hummingbird-v1, patch-classification-v1; seed 0" in text


def test_quirks_are_named_and_capi_can_be_left_out(tmp_path):
    rows = protocol_rows(("camvid",))
    rows = rows[rows["method"] != "capi"]
    quirks = QUIRKS | {"memory_size": 1000, "match_classes": True}
    protocols.table(rows, [tmp_path / "t.md"], settings=[], models=MODELS, interval=0.9, quirks=quirks)
    text = (tmp_path / "t.md").read_text()
    assert "a memory of 1000 patches; predicted classes matched to true ones." in text and "CAPI" not in text


def test_figure_shows_every_protocol_of_every_model(monkeypatch):
    drawn = []
    monkeypatch.setattr(dots, "save", lambda figure, outputs: drawn.append(figure))
    rows = protocol_rows()
    protocols.figure(rows, [], models=MODELS, dataset="streets")
    colors = style.styles(MODELS)
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == list(METHODS.values())
    for ax, metric in zip(drawn[0].axes, ("pixel_miou", "pixel_accuracy"), strict=True):
        part = rows[(rows["dataset"] == "streets") & (rows["metric"] == metric)].set_index(["model", "method"])
        marks = [line for line in ax.lines if line.get_marker() != "None"]
        ends = [tuple(line.get_xdata()) for line in ax.lines if line.get_marker() == "None"]
        found = {(round(line.get_xdata()[0], 9), line.get_color()) for line in marks}
        assert found == {(round(part.loc[key, "value"], 9), colors[key[0]].color) for key in part.index}
        assert sorted(ends) == sorted(zip(part["ci_low"], part["ci_high"], strict=True))
        assert ax.get_xlabel() == "score over pixels (fraction)"
        assert ax.get_xlim() == pytest.approx((0, 1.05 * part["ci_high"].max()))
        # Lines of models from top to bottom, their marks in the order of the legend, none on another.
        heights = sorted(line.get_ydata()[0] for line in marks)
        inch = ax.get_position().height * drawn[0].get_figheight() / np.ptp(ax.get_ylim())
        assert len(marks) == 12 and min(np.diff(heights)) * inch * 72 > 4.5


def test_figure_of_mixed_seeds_is_refused():
    rows = protocol_rows(("camvid",))
    rows.loc[rows["method"] == "capi", "seed"] = 1
    with pytest.raises(StoreError, match="seed 0 and 1 cannot share a table"):
        protocols.figure(rows, [], models=MODELS, dataset="camvid")


def test_other_seeds_and_unreadable_settings_are_refused(tmp_path):
    rows = protocol_rows(("camvid",))
    rows.loc[rows["method"] == "capi", "seed"] = 1
    with pytest.raises(StoreError, match="seed 0 and 1 cannot share a table"):
        protocols.table(rows, [tmp_path / "t.md"], settings=[], models=MODELS, interval=0.9, quirks=QUIRKS)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(StoreError, match=r"bad\.json cannot be read"):
        protocols.read_settings([tmp_path / "bad.json"])


def pair_rows():
    draw = np.random.default_rng(0)
    views = [("dino", ""), ("mae", ""), ("mae", "drop-200")]
    rows = []
    for dataset in ("camvid", "streets"):
        for i, first in enumerate(views):
            for other in views[i + 1 :]:
                for method in ("1-nn", "linear"):
                    for metric in ("pixel_miou", "pixel_accuracy"):
                        value, half = draw.normal(0, 0.03, 2)
                        ends = (value - abs(half), value + abs(half))
                        common = (dataset, *first, *other, method, "paired-differences-v1", metric, value, *ends)
                        rows.append((*common, ends[0] > 0 or ends[1] < 0, 30, 0, "s"))
    names = (
        "dataset model variant other_model other_variant method protocol metric value ci_low ci_high excludes_zero "
        "images seed spec"
    )
    return pd.DataFrame(rows, columns=names.split())


def test_pairs_have_their_numbers_and_bold_leaves_out_zero(tmp_path):
    rows = pair_rows()
    for dataset, part in rows.groupby("dataset"):
        part.to_csv(tmp_path / f"{dataset}.csv", index=False)
    paths = [tmp_path / "camvid.csv", tmp_path / "streets.csv"]
    back = paired_differences.read(paths)
    pd.testing.assert_frame_equal(back, rows)
    outputs = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    paired_differences.table(paths, outputs, interval=0.9)
    text = (tmp_path / "t.md").read_text()
    lines = text.split("## streets: differences between models over pixels")[1].splitlines()
    lines = [line.split("|")[1:-1] for line in lines if line.startswith("|")][2:]
    assert [line[0].strip() for line in lines] == ["dino - mae", "dino - mae drop-200", "mae - mae drop-200"]
    part = rows[rows["dataset"] == "streets"].to_dict("records")
    for cell, row in zip([cell for line in lines for cell in line[1:]], part, strict=True):
        assert cell.strip().replace("**", "") == shown(row)
        assert ("**" in cell) == row["excludes_zero"]
    assert "30 evaluation images" in text and (tmp_path / "t.csv").read_text().count("\n") == 1 + len(rows)


def test_missing_file_of_pairs_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"none\.csv cannot be read"):
        paired_differences.read([tmp_path / "none.csv"])
