"""What the workflow wrote and reads again, damaged in every way that a disk or an editor can damage it."""

import json

import pandas as pd
import pytest

from patchprobe.analyses.paired_differences import report as paired_differences
from patchprobe.analyses.paired_differences.measure import COLUMNS as PAIR_COLUMNS
from patchprobe.analyses.protocols import report as protocols
from patchprobe.datasets.index_tables import read_classes, read_index
from patchprobe.datasets.present_classes import read_present_classes
from patchprobe.errors import ModelError, StoreError
from patchprobe.measurements import SCHEMA_ID, read
from patchprobe.own_files import read_mapping, read_table
from patchprobe.pretraining import report as loss_curves
from patchprobe.probes.linear import LinearProbe
from patchprobe.tiles.full_images import read_card

NO_TEXT = bytes(range(128, 256))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no JSON"),
        (b'{"provenance": {"a"', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (NO_TEXT, "no text"),
        (bytes(64), "no JSON"),
        (b"[1, 2]", "no mapping but a list"),
        (b"null", "no mapping but a NoneType"),
        (b"{}", "no dict named provenance"),
        (b'{"provenance": [1]}', "no dict named provenance"),
    ],
)
def test_damaged_mapping_is_named_with_the_remedy(tmp_path, content, what):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=rf"card\.json cannot be read \({what}.*: delete it and run again") as caught:
        read_mapping(path, {"provenance": dict})
    assert "\n" not in str(caught.value)


def test_mapping_that_is_not_there_or_a_folder_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"card\.json cannot be read \(No such file"):
        read_mapping(tmp_path / "card.json")
    (tmp_path / "card.json").mkdir()
    with pytest.raises(StoreError, match=r"card\.json cannot be read \(Is a directory"):
        read_mapping(tmp_path / "card.json")


def test_whole_mapping_is_read(tmp_path):
    (tmp_path / "card.json").write_text(json.dumps({"provenance": {"a": 1}, "grid": [2, 3]}))
    found = read_mapping(tmp_path / "card.json", {"provenance": dict, "grid": list})
    assert found == {"provenance": {"a": 1}, "grid": [2, 3]}


TABLE = "name,count,share,known\nNA,1,,True\n,2,0.1,False\n"
COLUMNS = {"name": str, "count": int, "share": float, "known": bool}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\n", "no column name"),
        (TABLE.encode()[:-1], "cut short"),
        (NO_TEXT, "no text"),
        (bytes(64), "cut short"),
        (bytes(64) + b"\n", "no "),
        (b"name,count,share\nroad,1,0.5\n", "no column known"),
        (b"name,count,share,known\n", "no rows"),
        (b"name,count,share,known\nroad,1,0.5,True\nsky,1\n", "2 values for 4 columns in row 2"),
        (b"name,count,share,known\nroad,1.5,0.5,True\n", "column count is not of type int"),
        (b"name,count,share,known\nroad,,0.5,True\n", "column count is not of type int"),
        (b"name,count,share,known\nroad,1,much,True\n", "column share is not of type float"),
        (b"name,count,share,known\nroad,1,0.5,yes\n", "column known is not of type bool"),
        (b'name,count,share,known\n"road,1,0.5,True\n', "no table"),
    ],
)
def test_damaged_table_is_named_with_the_remedy(tmp_path, content, what):
    path = tmp_path / "images.csv"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=rf"images\.csv cannot be read \({what}.*: delete it and run again") as caught:
        read_table(path, COLUMNS)
    assert "\n" not in str(caught.value)


def test_whole_table_is_read_with_its_types(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    table = read_table(tmp_path / "t.csv", COLUMNS)
    assert table["name"].tolist() == ["NA", ""] and table["count"].tolist() == [1, 2]
    assert table["share"].isna().tolist() == [True, False] and table["share"][1] == 0.1
    assert table["known"].tolist() == [True, False] and table["known"].dtype == bool
    assert list(read_table(tmp_path / "t.csv", {"count": int}).columns) == ["count"]


def test_numbers_come_back_to_the_last_bit(tmp_path):
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308]
    pd.DataFrame({"value": values}).to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv", {"value": float})["value"].tolist() == values


def test_table_without_rows_is_allowed_where_there_may_be_none(tmp_path):
    (tmp_path / "t.csv").write_text("image_id,classes\n")
    assert len(read_table(tmp_path / "t.csv", {"image_id": str, "classes": str}, may_be_empty=True)) == 0


READERS = {
    "images.csv": read_index,
    "classes.csv": read_classes,
    "train.csv": lambda path: read_present_classes([path]),
    "loss.csv": loss_curves.read_losses,
    "paired_differences.csv": lambda path: paired_differences.read([path]),
    "capi.json": lambda path: protocols.read_settings([path]),
    "card.json": read_card,
    "rows.parquet": lambda path: read([path]),
    "probe.safetensors": LinearProbe.load,
}


@pytest.mark.parametrize("content", [b"", NO_TEXT, b"[]", b"{}", b"a\n1\n", bytes(4096)])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_names_its_damaged_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((StoreError, ModelError), match=name.replace(".", r"\.")) as caught:
        READERS[name](tmp_path / name)
    assert "\n" not in str(caught.value) and ("run again" in str(caught.value) or "fit it again" in str(caught.value))


def test_classes_that_are_no_ids_are_named(tmp_path):
    (tmp_path / "train.csv").write_text("source,image_id,classes\ntrain,a,1 two\n")
    with pytest.raises(StoreError, match=r"train\.csv cannot be read \(column classes holds no ids"):
        read_present_classes([tmp_path / "train.csv"])


def test_pairs_without_rows_are_none(tmp_path):
    (tmp_path / "p.csv").write_text(",".join(PAIR_COLUMNS) + "\n")
    assert len(paired_differences.read([tmp_path / "p.csv"])) == 0


def test_parquet_of_ours_without_columns_is_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"dataset": ["streets"]}).replace_schema_metadata({"schema": SCHEMA_ID})
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(StoreError, match=r"rows\.parquet lacks columns of schema .*; delete it and run again"):
        read([tmp_path / "rows.parquet"])


@pytest.mark.parametrize("facts", [None, "", "[]", "{}", '{"format": "FORMAT", "learning_rate": 1}'])
def test_probe_without_its_facts_is_named(tmp_path, facts):
    import numpy as np
    from safetensors.numpy import save_file

    from patchprobe.probes.linear import FORMAT

    metadata = {} if facts is None else {"probe": facts.replace("FORMAT", FORMAT)}
    save_file({"weights": np.zeros((2, 3), np.float32)}, tmp_path / "probe.safetensors", metadata=metadata)
    with pytest.raises(
        ModelError, match=r"probe\.safetensors (is not|cannot be read as) a linear probe .*fit it again"
    ):
        LinearProbe.load(tmp_path / "probe.safetensors")
