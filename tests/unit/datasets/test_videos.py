"""What all data sets of videos have: draws of whole videos, the check of every frame, the table of objects."""

import json
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from video_data import frame, label, write_frame, write_sequence, write_video

from patchprobe.analyses.opened import opened
from patchprobe.config.inputs import raw_state
from patchprobe.datasets.adapters.bdd100k import BDD100K
from patchprobe.datasets.adapters.mot17 import MOT17
from patchprobe.datasets.dataset import Record
from patchprobe.datasets.draws import draw_videos
from patchprobe.datasets.index import build_index
from patchprobe.datasets.index_tables import OBJECTS, read_index
from patchprobe.datasets.objects import objects_table
from patchprobe.errors import DataError, StoreError

RECORDS = [
    Record(f"{video}/{n:07d}", video, Path(f"{video}/{n}.jpg"), Path(f"{video}.json"))
    for video, frames in (("a", 3), ("b", 5), ("c", 2), ("d", 4), ("e", 1))
    for n in range(1, frames + 1)
]
TILING = {"size": 20, "resize": 20, "interpolation": "bicubic"}


def entry(**splits):
    return {"splits": splits, "tiling": TILING}


def index_of(dataset, tmp_path, **rule):
    images, _ = build_index(dataset, "films", entry(evaluation=rule), seed=0, threads=2)
    (tmp_path / "images.csv").write_text(images.to_csv(index=False))
    return read_index(tmp_path / "images.csv")


def test_a_draw_takes_whole_videos_and_a_larger_one_holds_the_smaller():
    sizes = Counter(record.group for record in RECORDS)
    before: set[str] = set()
    for number in range(1, 6):
        drawn = draw_videos(RECORDS[::-1], videos=number, seed=3, source="val")
        groups = Counter(d.record.group for d in drawn)
        assert len(groups) == number and all(groups[video] == sizes[video] for video in groups)
        assert [d.record.image_id for d in drawn] == sorted(d.record.image_id for d in drawn)
        assert before < set(groups) and {d.drawn_for for d in drawn} == {""}
        before = set(groups)
    seeds = {
        tuple(sorted({d.record.group for d in draw_videos(RECORDS, videos=2, seed=s, source="val")})) for s in range(20)
    }
    assert len(seeds) > 3
    with pytest.raises(DataError, match=r"videos asks for 6, but split 'val' has 5; lower videos"):
        draw_videos(RECORDS, videos=6, seed=3, source="val")


def test_training_videos_are_others_than_those_evaluated(tmp_path):
    for name in "abcd":
        write_video(tmp_path, [frame(n, label(), video=name) for n in (1, 2, 3)], video=name)
    rules = {"train": {"source": "val", "videos": 2}, "evaluation": {"source": "val", "images": 1}}
    images, _ = build_index(BDD100K(tmp_path, {}), "films", entry(**rules), seed=0)
    train, evaluated = (set(images.loc[images["split"] == split, "group"]) for split in ("train", "evaluation"))
    assert len(train) == 2 and not train & evaluated and Counter(images["split"]) == {"train": 6, "evaluation": 1}
    with pytest.raises(DataError, match=r"films\.splits\.train: videos asks for 4, but split 'val' has 3"):
        build_index(BDD100K(tmp_path, {}), "films", entry(**{**rules, "train": {"source": "val", "videos": 4}}), seed=0)


def test_tiles_that_overlap_are_refused_before_anything_is_cut(tmp_path):
    write_video(tmp_path, [frame(n, label()) for n in (1, 2, 3)])
    tiling = {"tiling": {"size": 25, "resize": 25}, "splits": {"evaluation": {"source": "val"}}}
    with pytest.raises(
        DataError, match=r"datasets\.films\.tiling: tiles of 25 px overlap .*60 x 40 px.*such as \[50, 50\]"
    ):
        build_index(BDD100K(tmp_path, {}), "films", tiling, seed=0)
    tiling["tiling"]["image_size"] = [50, 75]
    assert len(build_index(BDD100K(tmp_path, {}), "films", tiling, seed=0)[0]) == 3


def test_the_log_says_how_many_videos_and_frames_there_are(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write_video(tmp_path, [frame(n, label()) for n in (1, 2, 3)])
    index_of(BDD100K(tmp_path, {}), tmp_path, source="val")
    assert "films val: subset, 1 of 200 videos, 3 frames" in caplog.text
    write_sequence(tmp_path, ["1,1,1,1,9,9,1,1,1"])
    index_of(MOT17(tmp_path, {}), tmp_path, source="train")
    assert "films train: subset, 1 of 7 videos, 3 of 5316 frames" in caplog.text


def test_every_frame_is_checked(tmp_path):
    write_video(tmp_path, [frame(n, label()) for n in range(1, 6)], images=5)
    folder = next((tmp_path / "images/track/val").iterdir())
    frames = sorted(folder.iterdir())
    frames[3].write_bytes(frames[3].read_bytes()[:300])
    write_frame(frames[4], (20, 30))
    with pytest.raises(
        DataError,
        match=r"2 images or label maps cannot be used: \(1\) .*0000004\.jpg cannot .*\(2\) .*0000005\.jpg is 30 x 20",
    ):
        index_of(BDD100K(tmp_path, {}), tmp_path, source="val")


def test_objects_of_every_frame_in_order(tmp_path):
    content = [
        frame(4, label("9", "bus", (-3.5, 0, 70, 41), attributes={"Occluded": True})),
        frame(1, label("b", "rider"), label("a", "car", attributes=None)),
        frame(2),
    ]
    write_video(tmp_path, content, images=2)
    folder = next((tmp_path / "images/track/val").iterdir())
    write_frame(folder / f"{folder.name}-0000004.jpg")
    dataset = BDD100K(tmp_path, {"frames_per_second": 2})
    index = index_of(dataset, tmp_path, source="val")
    assert [name[-1] for name in index["image_id"]] == ["1", "2", "4"]
    table = objects_table(dataset, index)
    assert list(table.columns) == list(OBJECTS)
    (tmp_path / "objects.csv").write_text(table.to_csv(index=False))
    read = opened(tmp_path / "objects.csv")
    video = folder.name
    assert read.astype({"occluded": object}).where(read.notna(), None).to_numpy().tolist() == [
        [f"{video}/0000001", video, 0, 0.0, "a", "car", "vehicle", 1, 2, 11.5, 12, None],
        [f"{video}/0000001", video, 0, 0.0, "b", "rider", "person", 1, 2, 11.5, 12, 0],
        [f"{video}/0000004", video, 3, 1.5, "9", "bus", "vehicle", -3.5, 0, 70, 41, 1],
    ]
    # Only the frames of the index.
    part = objects_table(dataset, index[index["image_id"].str.endswith("4")])
    assert part["object_id"].tolist() == ["9"]
    assert (tmp_path / "objects.csv").read_text().splitlines()[1].endswith(",12.0,")


def test_numbers_and_texts_survive_the_file(tmp_path):
    box = (0.1 + 0.2, 1 / 3, 75.41276162779963, 407.4496307987563)
    write_video(
        tmp_path, [frame(1, label("007", box=box)), frame(2, label("NA", box=box)), frame(3, label("1e3", box=box))]
    )
    dataset = BDD100K(tmp_path, {})
    table = objects_table(dataset, index_of(dataset, tmp_path, source="val"))
    (tmp_path / "objects.csv").write_text(table.to_csv(index=False))
    read = opened(tmp_path / "objects.csv")
    assert read["object_id"].tolist() == ["007", "NA", "1e3"]
    assert (read[["x1", "y1", "x2", "y2"]].to_numpy() == box).all()


def test_videos_without_any_object_and_a_damaged_table_are_refused(tmp_path):
    write_sequence(tmp_path, ["1,1,1,1,9,9,0,1,1"])
    dataset = MOT17(tmp_path, {"classes": ["pedestrian"]})
    index = pd.DataFrame(
        [
            {
                "image_id": r.image_id,
                "group": r.group,
                "image": r.image.as_posix(),
                "label": r.label.as_posix(),
                "top": 0,
            }
            | {"left": 0, "height": 40, "width": 60, "label_sha256": dataset.digests(r)[1]}
            for r in dataset.records("train")
        ]
    )
    path = tmp_path / "objects.csv"
    with pytest.raises(DataError, match="no frame of the 1 videos has an object that is kept: complete the labels"):
        objects_table(dataset, index)
    write_sequence(tmp_path, ["1,1,1,1,9,9,1,1,1"])
    index["label_sha256"] = [MOT17(tmp_path, {}).digests(r)[1] for r in dataset.records("train")]
    path.write_text(objects_table(MOT17(tmp_path, {}), index).to_csv(index=False))
    assert len(opened(path)) == 1 and list(opened(path).columns) == list(OBJECTS)
    head = path.read_text()
    for damage in (
        head[:-5],
        head.replace("object_id", "object"),
        head + "a,b,x,0.0,c,d,e,1,2,3,4,1\n",
        head + "a,b\n",
        "\0",
    ):
        path.write_text(damage)
        with pytest.raises(StoreError, match=r"objects\.csv cannot be read .*: delete it and run again"):
            opened(path)


def test_labels_that_were_changed_after_the_index_are_refused(tmp_path):
    path = write_video(tmp_path, [frame(n, label()) for n in (1, 2, 3)])
    index = index_of(BDD100K(tmp_path, {}), tmp_path, source="val")
    path.write_text(json.dumps([frame(n, label("2")) for n in (1, 2, 3)]))
    with pytest.raises(
        DataError, match=r"\.json was changed after the images were checked; delete the data set's images\.csv"
    ):
        objects_table(BDD100K(tmp_path, {}), index)


@pytest.mark.parametrize("adapter", ["bdd100k", "mot17"])
def test_the_state_of_the_files_counts_what_labels_say(tmp_path, adapter):
    root = tmp_path / "data"
    path = (
        write_video(root, [frame(1, label())]) if adapter == "bdd100k" else write_sequence(root, ["1,1,1,1,9,9,1,1,1"])
    )
    split = "val" if adapter == "bdd100k" else "train"
    splits = {"evaluation": {"source": split}}
    values = {"adapter": adapter, "root": "data", "generate": None, "download": False, "options": {}, "splits": splits}
    config = {"data_root": str(tmp_path), "datasets": {"films": values}}
    first = raw_state(config, "films")
    path.touch()
    assert raw_state(config, "films") == first
    path.write_text(path.read_text().replace("1", "2", 1))  # in place, so that the times of folders are the same
    second = raw_state(config, "films")
    assert second != first
    if adapter == "mot17":
        (path.parents[1] / "seqinfo.ini").write_text("[Sequence]\n")
    else:
        write_frame(next((root / "images/track/val").iterdir()) / "new.jpg")
    assert raw_state(config, "films") != second


def test_label_maps_show_the_smaller_of_two_boxes(tmp_path):
    content = [
        frame(
            1,
            label("1", "truck", (0, 0, 60, 40)),
            label("2", "car", (10.4, 5, 20.6, 15)),
            label("3", "bus", (3, 3, 3, 9)),
        )
    ]
    write_video(tmp_path, content, images=1)
    dataset = BDD100K(tmp_path, {})
    ids = dict(zip(dataset.classes.names, dataset.classes.ids, strict=True))
    expected = np.full((40, 60), ids["truck"], np.uint8)
    expected[5:15, 10:21] = ids["car"]  # pixels whose centre is inside
    np.testing.assert_array_equal(dataset.read_label(dataset.records("val")[0]), expected)
