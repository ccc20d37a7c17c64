"""Measurement files: what is written is what is read, and rows against the schema are refused."""

import json
import math
import random

import jsonschema
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from patchprobe import measurements
from patchprobe.errors import StoreError

ROW = {
    "dataset": "camvid", "model": "dino", "variant": "", "axis": "", "at": 0.0, "layer": 12,
    "corruption": "clean", "level": 0.0, "method": "1-nn", "protocol": "patch-classification-v1", "class": "",
    "feature": -1, "other_dataset": "", "metric": "pixel_miou",
    "value": 0.345, "ci_low": 0.3, "ci_high": 0.4, "n": 6000, "seed": 0, "spec": "ab12",
}  # fmt: skip
ABSENT = ROW | {
    "metric": "patch_iou",
    "class": "bus",
    "value": math.nan,
    "ci_low": math.nan,
    "ci_high": math.nan,
}
VARIANCE = ROW | {
    "metric": "feature_variance",
    "method": "",
    "feature": 7,
    "value": 812.5,
    "ci_low": math.nan,
    "ci_high": math.nan,
}


def _rows(count: int = 40) -> list[dict]:
    draw = random.Random(1)
    return [ROW | {"layer": i % 12, "model": f"m{i}", "value": draw.random()} for i in range(count)] + [
        ABSENT,
        VARIANCE,
    ]


def test_what_is_written_is_read(tmp_path):
    rows = _rows()
    measurements.write(rows, tmp_path / "a.parquet")
    back = measurements.read([tmp_path / "a.parquet"])
    assert list(back.columns) == list(ROW) == list(measurements.COLUMNS)
    expected = {(r["model"], r["metric"]): r for r in rows}
    assert len(back) == len(rows)
    for row in back.to_dict("records"):
        for column, value in expected[row["model"], row["metric"]].items():
            assert row[column] == value or (math.isnan(value) and math.isnan(row[column])), column


def test_same_rows_in_any_order_give_the_same_bytes(tmp_path):
    rows = _rows()
    shuffled = random.Random(2).sample(rows, len(rows))
    measurements.write(rows, tmp_path / "a.parquet")
    measurements.write(pd.DataFrame(shuffled)[list(reversed(ROW))], tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_numpy_scalars_are_numbers(tmp_path):
    row = ROW | {"layer": np.int32(3), "n": np.uint64(7), "value": np.float32(0.5), "level": 0}
    measurements.write([row], tmp_path / "a.parquet")
    back = measurements.read([tmp_path / "a.parquet"]).iloc[0]
    assert (back["layer"], back["n"], back["value"], back["level"]) == (3, 7, 0.5, 0.0)


def test_files_are_joined_in_the_order_of_the_key(tmp_path):
    for model in ("zeta", "alpha"):
        measurements.write([ROW | {"model": model}], tmp_path / f"{model}.parquet")
    rows = measurements.read([tmp_path / "zeta.parquet", tmp_path / "alpha.parquet"])
    assert list(rows["model"]) == ["alpha", "zeta"]


BAD = [
    ({"metric": "iou"}, "metric of row 1 is 'iou': not one of ceiling, cluster_miou"),
    ({"method": "knn"}, "method of row 1 is 'knn': not one of 1-nn, linear"),
    ({"layer": 12.0}, "layer of row 1 is 12.0: not of type integer"),
    ({"layer": True}, "layer of row 1 is True"),
    ({"layer": -1}, "below 0"),
    ({"dataset": ""}, "dataset of row 1 is '': empty"),
    ({"dataset": None}, "not of type string"),
    ({"protocol": "patch-classification"}, "does not match"),
    ({"value": math.inf}, "infinite"),
    ({"value": "0.3"}, "not of type number"),
    ({"level": math.nan}, "level of row 1 is nan"),
    ({"axis": "images"}, "axis of row 1 is 'images': not one of removed_features, training_images"),
    ({"axis": "training_images", "at": math.nan}, "at of row 1 is nan: not a number"),
    ({"feature": -2}, "feature of row 1 is -2: below -1"),
]
BAD_BEYOND_JSON = [
    ({"at": 3.0}, "at of row 1 is 3.0: not 0 without an axis"),
    ({"value": math.nan}, "value of row 1 is nan: missing"),
    ({"ci_low": 0.5}, "ci_low of row 1 is 0.5: above ci_high"),
    ({"ci_low": math.nan}, "one end of the interval only"),
    ({"class": "road"}, "only and always set per class"),
    ({"metric": "pixel_iou"}, "only and always set per class"),
    ({"level": 2.0}, "not 0 for clean"),
    ({"feature": 3}, "0 or more only and always per feature"),
    (VARIANCE | {"feature": -1}, "0 or more only and always per feature"),
    ({"method": ""}, "empty only and always for metrics of features themselves"),
    (VARIANCE | {"method": "linear"}, "empty only and always for metrics of features themselves"),
    (ABSENT | {"ci_low": 0.1, "ci_high": 0.2}, "an interval without a value"),
]


@pytest.mark.parametrize(("change", "message"), BAD + BAD_BEYOND_JSON)
def test_bad_rows_are_refused_and_nothing_is_written(tmp_path, change, message):
    rows = pd.DataFrame([ROW | {"model": "other"}, ROW | change], dtype=object)
    with pytest.raises(StoreError, match=r"a\.parquet") as error:
        measurements.write(rows, tmp_path / "a.parquet")
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


# JSON knows neither floats that are integers nor infinity.
@pytest.mark.parametrize("change", [c for c, _ in BAD if c not in ({"layer": 12.0}, {"value": math.inf})])
def test_the_json_schema_itself_refuses_the_same_rows(change):
    row = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in (ROW | change).items()}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(row, measurements.SCHEMA)


def test_the_json_schema_is_valid_and_accepts_good_rows():
    jsonschema.Draft202012Validator.check_schema(measurements.SCHEMA)
    for row in (ROW, ABSENT, VARIANCE):
        clean = json.loads(pd.Series(row).to_json())
        jsonschema.validate(clean, measurements.SCHEMA)
    assert measurements.SCHEMA["required"] == list(measurements.SCHEMA["properties"])


def test_columns_must_be_those_of_the_schema(tmp_path):
    row = {k: v for k, v in ROW.items() if k != "seed"} | {"time": 1}
    with pytest.raises(StoreError, match=r"missing: \['seed'\], unknown: \['time'\]"):
        measurements.write([row], tmp_path / "a.parquet")


def test_columns_of_one_analysis_may_be_left_out(tmp_path):
    short = {key: value for key, value in ROW.items() if key not in ("axis", "at", "other_dataset")}
    measurements.write([short], tmp_path / "short.parquet")
    measurements.write([ROW], tmp_path / "whole.parquet")
    assert (tmp_path / "short.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_row_must_not_occur_twice(tmp_path):
    with pytest.raises(StoreError, match="1 rows occur twice"):
        measurements.write([ROW, ROW | {"value": 0.1, "ci_low": 0.0}], tmp_path / "a.parquet")
    for name in "ab":
        measurements.write([ROW], tmp_path / name)
    with pytest.raises(StoreError, match="occur twice"):
        measurements.read([tmp_path / "a", tmp_path / "b"])


def test_a_missing_a_broken_and_a_foreign_file_are_named(tmp_path):
    with pytest.raises(StoreError, match=r"a\.parquet is missing: run the analysis"):
        measurements.read([tmp_path / "a.parquet"])
    (tmp_path / "b.parquet").write_bytes(b"not parquet")
    with pytest.raises(StoreError, match=r"b\.parquet is not readable as Parquet"):
        measurements.read([tmp_path / "b.parquet"])
    measurements.write([ROW], tmp_path / "c.parquet")
    pq.write_table(
        pq.read_table(tmp_path / "c.parquet").replace_schema_metadata({"schema": "old"}),
        tmp_path / "c.parquet",
    )
    with pytest.raises(StoreError, match="has schema old, expected patchprobe-measurements-v4"):
        measurements.read([tmp_path / "c.parquet"])
