"""The few-shot draw and the check of every drawn file."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.adapters.camvid import CamVid
from patchprobe.datasets.adapters.synthetic import Synthetic
from patchprobe.datasets.dataset import Classes, Record, Window, open_dataset
from patchprobe.datasets.draws import Drawn, draw, draw_per_class
from patchprobe.datasets.index import build_index, index_records
from patchprobe.datasets.index_tables import read_index
from patchprobe.datasets.present_classes import class_sets, present_classes, read_present_classes
from patchprobe.errors import ConfigError, DataError

WritePair = Callable[..., None]

RECORDS = [
    Record(f"train/{city}_{i:02}", city, Path(f"{city}_{i:02}.png"), Path(f"{city}_{i:02}l.png"))
    for city, number in (("aachen", 9), ("ulm", 5), ("jena", 7))
    for i in range(number)
]


def entry(train: Any = None, evaluation: Any = None, size: int = 32) -> dict[str, Any]:
    """Return the index keys of a config entry."""
    return {
        "splits": {
            "train": {"source": "train", "images": None, "per_group": None, **(train or {})},
            "evaluation": {"source": "val", "images": None, "per_group": None, **(evaluation or {})},
        },
        "tiling": {"size": size, "resize": size, "interpolation": "bicubic"},
    }


def test_draw_is_sorted_seeded_and_independent_of_the_input_order() -> None:
    first = draw(RECORDS, images=6, per_group=None, seed=0, source="train")
    assert len(first) == 6 and first == sorted(first, key=lambda d: d.record.image_id)
    assert {d.drawn_for for d in first} == {""}
    assert first == draw(RECORDS[::-1], images=6, per_group=None, seed=0, source="train")
    draws = {tuple(draw(RECORDS, images=6, per_group=None, seed=s, source="train")) for s in range(5)}
    assert len(draws) == 5


def test_draw_per_group_is_balanced_nested_and_independent_of_other_groups() -> None:
    previous: set[Drawn] = set()
    for n in (1, 2, 4, 5):
        chosen = draw(RECORDS, images=None, per_group=n, seed=3, source="train")
        assert Counter(d.record.group for d in chosen) == {"aachen": n, "ulm": n, "jena": n}
        assert all(d.drawn_for == d.record.group for d in chosen)
        assert previous < set(chosen)
        previous = set(chosen)
    ulm = [r for r in RECORDS if r.group == "ulm"]
    assert set(draw(ulm, images=None, per_group=4, seed=3, source="train")) <= previous


def test_draw_of_all_and_of_too_many() -> None:
    assert len(draw(RECORDS, images=None, per_group=None, seed=0, source="train")) == len(RECORDS)
    with pytest.raises(DataError, match=r"images asks for 22 images but split 'train' has 21; lower images"):
        draw(RECORDS, images=22, per_group=None, seed=0, source="train")
    with pytest.raises(DataError, match=r"per_group asks for 6 images but group 'ulm' of split 'train' has 5"):
        draw(RECORDS, images=None, per_group=6, seed=0, source="train")


CLASSES = Classes((1, 2, 3, 4), ("common", "middle", "rare", "absent"), 0, tuple((i, 0, 0) for i in range(4)))
PRESENT = {
    r.image_id: {1} | ({2} if i % 2 else set()) | ({3} if i in (5, 6, 7, 9, 11, 14) else set())
    for i, r in enumerate(RECORDS)
}


def test_draw_per_class_takes_each_image_once_for_a_class_that_it_shows() -> None:
    previous: set[Drawn] = set()
    for n in (1, 2, 3):
        chosen = draw_per_class(RECORDS, PRESENT, CLASSES, per_class=n, seed=3, source="train")
        assert Counter(d.drawn_for for d in chosen) == {"common": n, "middle": n, "rare": n}
        assert len({d.record for d in chosen}) == len(chosen) == 3 * n
        assert all(CLASSES.names.index(d.drawn_for) + 1 in PRESENT[d.record.image_id] for d in chosen)
        assert chosen == sorted(chosen, key=lambda d: d.record.image_id)
        assert previous < set(chosen)
        previous = set(chosen)
    again = draw_per_class(RECORDS[::-1], PRESENT, CLASSES, per_class=3, seed=3, source="train")
    assert set(again) == previous
    seeds = {tuple(draw_per_class(RECORDS, PRESENT, CLASSES, per_class=3, seed=s, source="train")) for s in range(5)}
    assert len(seeds) == 5


def test_draw_per_class_serves_the_rarest_class_first() -> None:
    """Of two images one shows both classes; only if the rare class chooses first does each get an image."""
    records, classes = RECORDS[:2], Classes((1, 2), ("common", "rare"), 0, ((1, 1, 1), (2, 2, 2)))
    present = {records[0].image_id: {1, 2}, records[1].image_id: {1}}
    for seed in range(8):
        chosen = draw_per_class(records, present, classes, per_class=1, seed=seed, source="train")
        assert [(d.record, d.drawn_for) for d in chosen] == [(records[0], "rare"), (records[1], "common")]


def test_draw_per_class_of_too_many() -> None:
    message = (
        r"per_class asks for 3 images of class 'rare', but of the 2 in split 'train' that show it [12] are left beside those "
        "drawn for other classes; lower per_class"
    )
    present = {image_id: {i for i in (1, 3) if i == 1 or k < 2} for k, image_id in enumerate(PRESENT)}
    with pytest.raises(DataError, match=message):
        draw_per_class(RECORDS, present, CLASSES, per_class=3, seed=3, source="train")
    with pytest.raises(DataError, match=r"aachen_00l\.png are not known; delete present_classes\.csv"):
        draw_per_class(RECORDS, {}, CLASSES, per_class=1, seed=3, source="train")


def labels_of_classes(root: Path, write_pair: WritePair, split: str, number: int) -> None:
    """Write a miniature CamVid in which image i shows class 0, and class i % 3 in one pixel."""
    for i in range(number):
        label = np.zeros((36, 48), np.uint8)
        label[0, 0], label[-1] = i % 3, 11
        write_pair(root, split, f"0001_{i:02}", label)


def test_index_per_class(tmp_path: Path, write_pair: WritePair, caplog: pytest.LogCaptureFixture) -> None:
    labels_of_classes(tmp_path, write_pair, "train", 12)
    labels_of_classes(tmp_path, write_pair, "val", 2)
    dataset = CamVid(tmp_path, {})
    table = present_classes(dataset, "train")
    assert table["classes"].tolist() == ["0", "0 1", "0 2"] * 4
    assert table.equals(present_classes(dataset, "train", threads=3))
    table.to_csv(tmp_path / "train.csv", index=False)
    present = read_present_classes([tmp_path / "train.csv"])
    assert present == class_sets(table) and present["train/0001_02"] == {0, 2}
    index, _ = build_index(dataset, "street", entry({"per_class": 2}), seed=0, present=present)
    train = index[index["split"] == "train"]
    assert train["drawn_for"].value_counts().to_dict() == {"Sky": 2, "Building": 2, "Pole": 2}
    for image_id, name in zip(train["image_id"], train["drawn_for"], strict=True):
        assert name == "Sky" or int(image_id[-2:]) % 3 == ["Sky", "Building", "Pole"].index(name)
    assert index.loc[index["split"] == "evaluation", "drawn_for"].tolist() == ["", ""]
    index.to_csv(tmp_path / "images.csv", index=False)
    assert read_index(tmp_path / "images.csv")["drawn_for"].tolist() == index["drawn_for"].tolist()
    assert "street train: nothing shows 8 of the 11 classes, such as Road; none is drawn for them" in caplog.text
    with pytest.raises(
        DataError, match=r"^datasets\.street\.splits\.train: per_class asks for 5 images of class '(Building|Pole)'"
    ):
        build_index(dataset, "street", entry({"per_class": 5}), seed=0, present=present)


def test_splits_of_one_source_share_no_image_and_the_evaluation_stays(tmp_path: Path, write_pair: WritePair) -> None:
    labels_of_classes(tmp_path, write_pair, "train", 9)
    dataset = CamVid(tmp_path, {})
    evaluated, previous = set(), set()
    for number in (1, 3, 6):
        index, _ = build_index(dataset, "s", entry({"images": number}, {"source": "train", "images": 3}), seed=0)
        parts = {split: set(part["image_id"]) for split, part in index.groupby("split")}
        assert len(parts["train"]) == number and not parts["train"] & parts["evaluation"]
        evaluated.add(frozenset(parts["evaluation"]))
        assert previous < parts["train"]
        previous = parts["train"]
    assert len(evaluated) == 1
    with pytest.raises(DataError, match=r"train: images asks for 7 images but split 'train' has 6"):
        build_index(dataset, "s", entry({"images": 7}, {"source": "train", "images": 3}), seed=0)


def test_a_complete_split_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    dataset = Synthetic(None, {"images": 3, "height": 32, "width": 64})
    with caplog.at_level(logging.INFO):
        build_index(dataset, "demo", entry(), seed=0)
    assert "demo train: complete, 3 images" in caplog.text and "subset" not in caplog.text


def test_index_tables(tmp_path: Path, write_pair: WritePair, caplog: pytest.LogCaptureFixture) -> None:
    label = np.zeros((36, 48), np.uint8)
    label[:6, :10], label[30:] = 3, 11
    write_pair(tmp_path, "train", "0001_2", label)
    write_pair(tmp_path, "train", "0001_1")
    write_pair(tmp_path, "val", "NA_1", label)
    dataset = CamVid(tmp_path, {})
    with caplog.at_level(logging.WARNING):
        index, classes = build_index(dataset, "street", entry(), seed=0)
    assert "street train: subset, 2 of 367 images" in caplog.text
    assert index["image_id"].tolist() == ["train/0001_1", "train/0001_2", "val/NA_1"]
    assert index["split"].tolist() == ["train", "train", "evaluation"]
    assert index["height"].tolist() == [36] * 3 and index["width"].tolist() == [48] * 3
    rows = classes.set_index(["split", "id"])
    assert rows.loc[("train", 3), "pixels"] == 60 and rows.loc[("train", 3), "images"] == 1
    assert rows.loc[("train", 11), "pixels"] == 6 * 48 and rows.loc[("train", 11), "name"] == "void"
    assert rows.loc[("train", 0), "pixels"] == 2 * 36 * 48 - 60 - 6 * 48
    assert rows.loc[("evaluation", 5), "pixels"] == 0
    assert rows["pixels"].sum() == 3 * 36 * 48

    path = tmp_path / "images.csv"
    index.to_csv(path, index=False)
    again = read_index(path)
    whole = Window(0, 0, 36, 48)
    assert index_records(again) == [
        replace(record, window=whole) for record in (*dataset.records("train"), *dataset.records("val"))
    ]
    assert (again[["top", "left"]] == 0).all(axis=None) and again["ground_sample_distance"].isna().all()
    assert again["group"].tolist() == ["0001", "0001", "NA"]
    assert again["height"].dtype.kind == "i" and again.equals(again.assign(split=index["split"].tolist()))


def test_index_does_not_depend_on_threads() -> None:
    dataset = Synthetic(None, {"images": 5, "height": 32, "width": 64})
    one, many = (build_index(dataset, "demo", entry(), seed=0, threads=n) for n in (1, 4))
    assert one[0].equals(many[0]) and one[1].equals(many[1])


def test_bad_files_are_found_before_anything_else(tmp_path: Path, write_pair: WritePair) -> None:
    write_pair(tmp_path, "val", "v_1")

    def rebuilt(label: np.ndarray) -> CamVid:
        (tmp_path / "train.txt").unlink(missing_ok=True)
        write_pair(tmp_path, "train", "a_1", label)
        return CamVid(tmp_path, {})

    wrong = np.zeros((36, 48), np.uint8)
    wrong[2:4, 5] = 12
    with pytest.raises(DataError, match=r"trainannot/a_1\.png holds id 12 at 2 pixels; allowed are 0-11:"):
        build_index(rebuilt(wrong), "street", entry(), seed=0)
    dataset = rebuilt(np.zeros((36, 48), np.uint8))
    Image.fromarray(np.zeros((36, 40), np.uint8)).save(tmp_path / "trainannot" / "a_1.png")
    with pytest.raises(DataError, match=r"train/a_1\.png is 48 x 36 pixels .*trainannot/a_1\.png is 40 x 36"):
        build_index(dataset, "street", entry(), seed=0)
    with pytest.raises(DataError, match=r"datasets\.street\.tiling\.size is 37, but image .* is 48 x 36 pixels"):
        build_index(rebuilt(np.zeros((36, 48), np.uint8)), "street", entry(size=37), seed=0)
    resized = entry(size=37)
    resized["tiling"]["image_size"] = [40, 80]
    assert len(build_index(rebuilt(np.zeros((36, 48), np.uint8)), "street", resized, seed=0)[0]) == 2
    (tmp_path / "train" / "a_1.png").write_bytes((tmp_path / "train" / "a_1.png").read_bytes()[:200])
    with pytest.raises(DataError, match=r"train/a_1\.png cannot be decoded"):
        build_index(dataset, "street", entry(), seed=0)
    (tmp_path / "train.txt").write_text("")
    with pytest.raises(DataError, match=r"datasets\.street\.splits\.train\.source: split 'train' holds no images"):
        build_index(dataset, "street", entry(), seed=0)


def test_bad_splits_name_their_key() -> None:
    dataset = Synthetic(None, {"images": 4, "height": 32, "width": 32})
    with pytest.raises(ConfigError, match=r"datasets\.demo\.splits\.train\.source: .* 'test'; take one of train, val"):
        build_index(dataset, "demo", entry({"source": "test"}), seed=0)
    with pytest.raises(
        DataError, match=r"datasets\.demo\.splits\.evaluation: images asks for 9 images but split 'val'"
    ):
        build_index(dataset, "demo", entry({}, {"images": 9}), seed=0)
    with pytest.raises(
        DataError,
        match=r"datasets\.demo\.splits\.train\.source: all 4 images of split 'train' are taken for the evaluation",
    ):
        build_index(dataset, "demo", entry({}, {"source": "train"}), seed=0)
    with pytest.raises(ConfigError, match=r"datasets\.demo\.splits\.train: images and per_class are both set"):
        build_index(dataset, "demo", entry({"images": 2, "per_class": 1}), seed=0)


def test_real_camvid(shared: Path) -> None:
    dataset = open_dataset({"adapter": "camvid", "root": "CamVid"}, shared / "samples" / "camvid")
    index, classes = build_index(
        dataset, "camvid", entry({"images": 10}, {"images": 5, "source": "test"}, 360), seed=0, threads=2
    )
    assert index.groupby("split").size().to_dict() == {"evaluation": 5, "train": 10}
    assert classes.groupby("split")["pixels"].sum().to_dict() == {"evaluation": 5 * 360 * 480, "train": 10 * 360 * 480}
