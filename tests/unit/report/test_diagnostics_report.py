"""Tables and figures of what tokens hold, of their diagnostics and of overclustering hold the numbers of the rows."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from patchprobe.analyses.overclustering import report as overclustering
from patchprobe.analyses.token_contents import report as contents
from patchprobe.analyses.token_diagnostics import report as diagnostics

MODELS = ["mae", "pixels"]
COMMON = {"dataset": "d", "layer": 2, "corruption": "clean", "level": 0.0, "class": "", "seed": 0, "n": 9, "spec": "s"}
COMMON |= {"axis": "", "at": 0.0, "variant": "", "ci_low": np.nan, "ci_high": np.nan}


def lines(text):
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {line[0]: line[1:] for line in found[2:]}, found[0][1:]


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are saved."""
    saved: list[Figure] = []
    for module in (contents, diagnostics, overclustering.draw_dots.__globals__):
        if isinstance(module, dict):
            monkeypatch.setitem(module, "save", lambda figure, _: saved.append(figure))
        else:
            monkeypatch.setattr(module, "save", lambda figure, _: saved.append(figure))
    return saved


def content_rows():
    parts = {"": 0.9, "keep-top-variance-20": 0.5, "drop-top-variance-20": 0.7, "keep-random-20": -0.2}
    return pd.DataFrame(
        COMMON
        | {
            "model": model,
            "variant": part,
            "class": target,
            "metric": "content_r2",
            "protocol": "p-v1",
            "method": "ridge",
        }
        | {"value": value - 0.01 * i - 0.1 * j}
        for i, model in enumerate(MODELS)
        for part, value in parts.items()
        for j, target in enumerate(["row", "brightness"])
    )


def test_contents_are_laid_out_by_target_part_and_model(tmp_path, drawn):
    rows = content_rows()
    contents.table(rows, [tmp_path / "t.md"], models=MODELS, removals=["top-variance"], interval=0.9)
    found, head = lines((tmp_path / "t.md").read_text())
    assert head == ["brightness", "row"]  # in the order of targets
    order = ["mae", "mae keep-top-variance-20", "mae drop-top-variance-20", "mae keep-random-20"]
    assert list(found)[:4] == order and len(found) == 8
    assert found["pixels drop-top-variance-20"] == ["0.590", "0.690"]
    contents.figure(rows, [], models=MODELS, removals=["top-variance"], dataset="d")
    first, second = drawn[0].axes[:2]
    assert [ax.get_title(loc="left") for ax in (first, second)] == MODELS
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "all",
        "keep-top-variance",
        "drop-top-variance",
        "keep-random",
    ]
    assert [text.get_text() for text in first.texts] == ["80", "90", "40", "50", "60", "70", "<0", "<0"]
    np.testing.assert_allclose(second.images[0].get_array()[0], [0.79, 0.89])


def diagnosed_rows():
    values = {
        **{("token_norm", at): 10 + at for at in (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)},
        ("norm_outliers", 0): 0.0,
        ("norm_outliers_relative", 0): 0.25,
        ("norm_outliers_relative_at_border", 0): 1.0,
        ("places_at_border", 0): 1.0,
        ("rankme", 0): 12.5,
        ("effective_rank", 0): 6.5,
        ("participation_ratio", 0): 2.5,
        ("variance_in_top", 1): 0.4,
        ("variance_in_top", 10): 0.8,
        ("position_variance", 0): 0.3,
        ("position_variance_by_chance", 0): 0.1,
        ("token_similarity", 1): 0.6,
        **{("token_norm_of_place", at): at + 1 for at in range(4)},
    }
    return pd.DataFrame(
        COMMON
        | {
            "model": model,
            "layer": layer,
            "metric": metric,
            "at": float(at),
            "value": value / layer,
            "protocol": "p-v1",
        }
        for model, layers in {"mae": [1, 2], "pixels": [1]}.items()
        for layer in layers
        for (metric, at), value in values.items()
    )


def test_diagnostics_are_those_of_the_last_block(tmp_path, drawn):
    rows = diagnosed_rows()
    diagnostics.table(rows, [tmp_path / "t.md"], models=MODELS, norm_cut=150.0, relative_cut=3.5, interval=0.9)
    found, head = lines((tmp_path / "t.md").read_text())
    assert "share of the variance in top 10" in head and len(head) == 15
    assert found["mae"][:4] == ["5", "5.25", "5.495", "5.5"]
    assert found["pixels"][4:10] == ["0.000", "0.250", "1.000", "12.5", "6.5", "2.5"]
    assert found["mae"][10:] == ["0.200", "0.400", "0.150", "0.050", "0.300"]
    diagnostics.figure(rows, [], models=MODELS, dataset="d")
    rank = drawn[0].axes[0]
    assert rank.get_title(loc="left") == "RankMe"
    assert [line.get_ydata().tolist() for line in rank.lines] == [[12.5, 12.5 / 2], [12.5]]
    diagnostics.token_norms_figure(rows, [], models=MODELS, norm_cut=8.0, dataset="d")
    first, second = drawn[1].axes[:2]
    median = next(line for line in first.lines if line.get_linestyle() == "-")
    assert median.get_ydata().tolist() == [10.5, 5.25]
    assert [line.get_ydata()[0] for line in second.lines if line.get_linestyle() == "--"] == [8.0]


def test_pictures_show_each_model(tmp_path):
    rng = np.random.default_rng(0)
    owners = {"tile": ["a#r0c0", "a#r0c1"], "image_id": ("tile", ["a", "a"]), "split": ("tile", ["evaluation"] * 2)}
    corners = {"top": ("tile", [0, 0]), "left": ("tile", [0, 8])}
    image = rng.integers(0, 256, (1, 2, 8, 8, 3)).astype(np.uint8)
    tiles = xr.Dataset({"image": (("level", "tile", "y", "x", "channel"), image)}, coords=owners | corners)
    labels = xr.Dataset({"label": (("tile", "y", "x"), image[0, ..., 0])}, coords=owners | corners)
    labels.attrs |= {"tile_size": 8}
    places = {"patch_row": ("patch", [0, 0, 1, 1]), "patch_col": ("patch", [0, 1, 0, 1])}
    dims = ("level", "layer", "tile", "patch", "feature")
    stores = [
        xr.Dataset({"tokens": (dims, rng.standard_normal((1, 1, 2, 4, 5)))}, coords=owners | places) for _ in MODELS
    ]
    outputs = [tmp_path / "p.svg", tmp_path / "p.png"]
    rows = diagnosed_rows()
    diagnostics.token_pictures_sheet(rows, tiles, labels, stores, outputs, models=MODELS, images=2, dataset="d")
    # The photograph, and of each model components, lengths and the map of places.
    assert len(re.findall("<image ", outputs[0].read_text())) == 1 + 3 * len(MODELS)
    assert len(np.unique(np.asarray(Image.open(outputs[1])))) > 100


def test_clusters_are_laid_out_by_number_and_removal(tmp_path, drawn):
    rows = pd.DataFrame(
        COMMON
        | {
            "model": model,
            "variant": variant,
            "axis": "clusters",
            "at": at,
            "metric": metric,
            "value": value * at / unit,
        }
        | {"protocol": "p-v1", "method": "k-means"}
        for model in MODELS
        for variant, value in {"": 0.2, "drop-top-variance-20": 0.3}.items()
        for at in (10.0, 20.0)
        for metric, unit in {"cluster_miou": 10, "cluster_miou_deviation": 100}.items()
    )
    settings = {"components": 50, "seeds": 5, "restarts": 4, "iterations": 100, "points_per_cluster": 256, "mask": 99}
    options = {"models": MODELS, "removals": ["top-variance"]}
    overclustering.table(rows, [tmp_path / "t.md"], interval=0.9, **options, **settings)
    text = (tmp_path / "t.md").read_text()
    found, head = lines(text)
    assert head[:2] == ["10 clusters mIoU", "10 clusters deviation of runs"]
    assert found["mae drop-top-variance-20"] == ["**0.300**", "0.030", "**0.600**", "0.060"]
    for stated in ("50 principal components", "5 runs", "best of 4", "256", "99 x 99"):
        assert stated in text
    overclustering.figure(rows, [], dataset="d", **options)
    assert [ax.get_title(loc="left") for ax in drawn[0].axes] == ["10 clusters", "20 clusters"]
