"""Tables and figure of whole images from rows whose numbers are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from patchprobe import measurements
from patchprobe.analyses.image_knn.report import figure, table
from patchprobe.errors import StoreError
from patchprobe.report import curves

WAYS = ("knn", "weighted-knn", "scale-mae-knn", "linear")
OPTIONS = {"models": ["scalemae", "mae", "pixels"], "interval": 0.95, "k": 7, "temperature": 0.2}


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    found = []
    for d, dataset in enumerate(("land", "scenes")):
        told = ("relative_size", "relative_size_sensor") if dataset == "land" else ("relative_size",)
        for m, (model, variant) in enumerate(
            (
                ("mae", ""),
                ("mae", "drop-200"),
                ("mae", "white"),
                ("pixels", ""),
                ("scalemae", ""),
                ("scalemae", "drop-200"),
            )
        ):
            for a, axis in enumerate(told if model == "scalemae" else told[:1]):
                for p, pooling in enumerate(("cls", "mean")[model == "pixels" :]):
                    for w, way in enumerate(WAYS):
                        for at in (0.25, 1.0):
                            value = (500 * at + 100 * d + 10 * m + 40 * a + 20 * w + p) / 1000
                            common = {"dataset": dataset, "model": model, "variant": variant, "axis": axis, "at": at}
                            common |= {"layer": 12, "corruption": "clean", "level": 0.0, "method": f"{way}-{pooling}"}
                            common |= {"protocol": "image-knn-v1", "class": "", "metric": "image_accuracy", "n": 420}
                            ends = {"ci_low": value - 0.01, "ci_high": value + 0.01}
                            found.append({**common, **ends, "value": value, "seed": 0, "spec": "x"})
    measurements.write(found, tmp_path / "rows.parquet")
    return measurements.read([tmp_path / "rows.parquet"])


def lines_of(text: str, title: str) -> dict[str, list[str]]:
    part = text.split(f"## {title}\n")[1].split("## ")[0].replace("*", "").replace("\\", "")
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")
    ]
    return {name: [cell.split(" [0")[0] for cell in cells] for name, *cells in found}


def test_tables_hold_the_numbers_of_the_rows(rows: pd.DataFrame, tmp_path: Path) -> None:
    outputs = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    table(rows, outputs, **OPTIONS)
    text = outputs[1].read_text()
    found = lines_of(text, "land: accuracy on images, Scale-MAE's k-NN")
    assert list(found) == [
        *("model", "---", "scalemae", "scalemae drop-200", "scalemae drop-200 sensor", "scalemae sensor"),
        *("mae", "mae drop-200", "mae white", "pixels"),
    ]
    poolings = ("[CLS]", "mean of patch tokens")
    assert found["model"] == [f"{pooling} {size} %" for pooling in poolings for size in (25, 100)]
    # 500 at + 10 m + 20 w thousandths, 40 more with the sensor's distance, and 1 for the mean.
    assert found["scalemae"] == ["0.205", "0.580", "0.206", "0.581"]
    assert found["scalemae sensor"] == ["0.245", "0.620", "0.246", "0.621"]
    assert found["pixels"][:2] == ["-", "-"] and found["pixels"][2:] == ["0.195", "0.570"]
    assert "Lines with sensor are told the ground sample distance" in text.split("## scenes")[0]
    assert "Lines with sensor" not in text.split("## scenes")[1]
    assert (
        "The 7 nearest training images by cosine vote, with the weight exp(cosine / 0.2); all of them where there are fewer."
        in text
    )
    assert "420 images, made smaller to a share of their side; intervals hold 95 %" in text
    assert len(pd.read_csv(outputs[0])) == len(rows)
    assert text.count("## ") == 8 and "table" in outputs[2].read_text() and "land" in outputs[3].read_text()


def test_the_figure_draws_scale_maes_k_nn_with_and_without_loud_features(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(curves, "save", lambda figure, outputs: drawn.append(figure))
    dropped = {"mae": ["drop-200"], "scalemae": ["drop-200"], "pixels": []}
    figure(rows, [], models=OPTIONS["models"], dataset="land", dropped=dropped)
    labels = [
        "scalemae",
        "scalemae drop-200",
        "scalemae drop-200 sensor",
        "scalemae sensor",
        "mae",
        "mae drop-200",
        "pixels",
    ]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == labels
    for ax, title, more in zip(drawn[0].axes, ("[CLS]", "mean of patch tokens"), (0, 0.001), strict=True):
        assert ax.get_title(loc="left") == title
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["25", "100"]
        values = {label: line.get_ydata() for label, line in zip(labels, ax.lines, strict=True)}
        # 500 at + 10 m + 40 thousandths of Scale-MAE's k-NN, 40 more with the sensor's distance.
        np.testing.assert_allclose(values["scalemae"], np.array([0.205, 0.58]) + more)
        np.testing.assert_allclose(values["scalemae drop-200 sensor"], np.array([0.255, 0.63]) + more)
        np.testing.assert_allclose(values["mae drop-200"], np.array([0.175, 0.55]) + more)
        np.testing.assert_allclose(values["pixels"], np.array([0.195, 0.57]) if more else [np.nan, np.nan])


def test_the_figure_is_drawn_and_the_same_each_time(rows: pd.DataFrame, tmp_path: Path) -> None:
    dropped = {"mae": ["drop-200"], "scalemae": ["drop-200"], "pixels": []}
    for part, name in ((rows, "a"), (rows.sample(frac=1, random_state=0), "b")):
        outputs = [tmp_path / f"{name}.{suffix}" for suffix in ("svg", "png")]
        figure(part, outputs, models=OPTIONS["models"], dataset="scenes", dropped=dropped)
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_rows_of_two_seeds_share_no_table(rows: pd.DataFrame, tmp_path: Path) -> None:
    mixed = rows.assign(seed=np.arange(len(rows)) % 2)
    with pytest.raises(StoreError, match="measurements with seed 0 and 1 cannot share a table"):
        table(mixed, [tmp_path / "t.md"], **OPTIONS)
