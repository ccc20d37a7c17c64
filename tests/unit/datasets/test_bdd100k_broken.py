"""Labels of BDD100K that are broken, hostile or large."""

import json
import time

import pytest
from video_data import VIDEO, coco, frame, label, write_frame, write_video

from patchprobe.datasets.adapters.bdd100k import BDD100K
from patchprobe.errors import DataError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([frame(1, label(), label())], r"identity '00000001' stands twice in frame 1 of video"),
        ([frame(1, label("1"), label("1", "bus"))], r"identity '1' stands twice in frame 1"),
        ([frame(1), frame(1)], r"frame 2: .*0000001\.jpg stands there twice"),
        (
            [frame(1, label(box=(5, 2, 4, 9)))],
            r"0000001\.jpg, label 1: its box \[5\.0, 2\.0, 4\.0, 9\.0\] is -1 px wide and 7 px high",
        ),
        ([frame(1, label(box=(1, 2, float("nan"), 9)))], r"label 1: its box .*nan.* is no place in an image"),
        ([frame(1, label(), label("2", box=(1, 2, float("inf"), 9)))], r"label 2: its box .*inf.* is no place"),
        ([frame(1, label(box=(1, 2, 10**400, 9)))], r"label 1: x2 is 1.*0 and no number"),
        ([frame(1, label(box=(1, 2, "3", 9)))], r"label 1: x2 is '3' and no number"),
        ([frame(1, label(box=(1, 2, True, 9)))], r"label 1: x2 is True and no number"),
        ([frame(1, label(box=[1, 2, 3, 4]))], r"label 1: its box2d is \[1, 2, 3, 4\] and no mapping"),
        ([frame(1, label(category="cat"))], r"'cat' is no category of BDD100K MOT 2020 \(did you mean car\?\)"),
        ([frame(1, label(category=["car"]))], r"its category is \['car'\] and no text"),
        ([frame(1, label(i={}))], r"its id is \{\} and neither text nor a whole number"),
        ([frame(1, label(i=True))], r"its id is True and neither"),
        ([frame(1, label(i=1.5))], r"its id is 1\.5 and neither"),
        ([frame(1, label(i="a\nb"))], r"its id is 'a\\nb' and neither"),
        ([frame(1, label(i=""))], r"its id is '' and neither"),
        ([frame(1, label(attributes={"crowd": "yes"}))], r"its attribute crowd is 'yes' and not true or false"),
        ([frame(1, label(attributes={"crowd": True, "Crowd": False}))], r"its attribute crowd is True, False and not"),
        ([frame(1, label(attributes=[True]))], r"its attributes is \[True\] and no mapping"),
        ([frame(1, "car")], r"0000001\.jpg, label 1: it is 'car' and no mapping"),
        ([{**frame(1), "labels": {}}], r"its labels are \{\} and no list"),
        ([frame(1, frameIndex=1)], r"has frameIndex 1 and not 0"),
        ([frame(1, index="0")], r"has index '0' and not 0"),
        ([frame(1, videoName="other")], r"0000001\.jpg is said to be of video 'other'"),
        ([frame(1, name="../../0000001.jpg")], r"'\.\./\.\./0000001\.jpg' is no name such as"),
        ([frame(1, name=None)], "None is no name such as"),
        ([None], "frame 1: it is None and no mapping"),
        ({"images": 3, "annotations": []}, "images is no list"),
        ({"a": 1}, "is neither a list of frames .Scalabel. nor has it images"),
        ("3", "is neither a list of frames"),
        ("", r"cannot be read as JSON"),
        ("[" * 100_000, r"cannot be read as JSON .*recursion"),
        ('[{"a":' * 50_000, r"cannot be read as JSON"),
        ("[" + "9" * 10_000 + "]", r"cannot be read as JSON"),
        ('{"frames": [', r"cannot be read as JSON"),
        ("\x00\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), r"cannot be read as JSON"),
    ],
)
def test_labels_that_are_wrong_are_named(tmp_path, content, message):
    path = write_video(tmp_path, content, images=1)
    with pytest.raises(DataError, match=message) as caught:
        BDD100K(tmp_path, {}).records("val")
    assert len(str(caught.value)) < 700 and path.name in str(caught.value)


@pytest.mark.parametrize(
    ("table", "entry", "message"),
    [
        ("annotations", {"image_id": 99}, "annotation 2: image_id 99 is none of its images"),
        ("annotations", {"image_id": []}, r"annotation 2: image_id is \[\] and no whole number"),
        ("annotations", {"image_id": 1, "category_id": 77, "bbox": [1, 2, 3, 4]}, "its category is None and no text"),
        ("annotations", {"image_id": 1, "category_id": 3, "bbox": [1, 2, 3]}, r"its bbox is \[1, 2, 3\] and not"),
        (
            "annotations",
            {"image_id": 1, "category_id": 3, "bbox": [1, 2, 0.5, 3]},
            "its box .* is -0.5 px wide and 2 px high",
        ),
        ("annotations", {"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}, "its id is None and neither"),
        ("annotations", 3, "annotation 2: it is 3 and no mapping"),
        ("images", {"id": 9, "file_name": 3}, "image 4: 3 is no name such as"),
        ("images", {"id": 9, "file_name": f"{VIDEO}-0000001.jpg"}, "image 4: .*stands there twice"),
        (
            "images",
            {"id": 9, "file_name": f"{VIDEO}-0000004.jpg", "video_id": {}},
            "image 4: video_id is {} and no whole",
        ),
        ("images", {"id": 9, "file_name": f"{VIDEO}-0000004.jpg", "frame_id": 9}, "has frameIndex 9 and not 3"),
        ("categories", {"name": "car"}, "categories 9: id is None and no whole number"),
    ],
)
def test_coco_forms_that_are_wrong_are_named(tmp_path, table, entry, message):
    write_video(tmp_path, "").unlink()
    content = coco([frame(n, *([label()] if n == 1 else [])) for n in (1, 2, 3)])
    if isinstance(entry, dict) and "bbox" in entry and "None and neither" not in message:
        entry = {"scalabel_id": "7", **entry}
    content[table].append(entry)
    (tmp_path / "labels/box_track_val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        BDD100K(tmp_path, {}).records("val")


def test_one_broken_file_of_many_videos_is_read_once(tmp_path):
    for name in map("video{:03d}".format, range(100)):
        write_frame(tmp_path / f"images/track/val/{name}/{name}-0000001.jpg")
    path = tmp_path / "labels/box_track_20/box_track_val.json"
    path.parent.mkdir(parents=True)
    path.write_text("[" + "[]," * 1_000_000)
    begin = time.monotonic()
    with pytest.raises(DataError, match="cannot be read as JSON"):
        BDD100K(tmp_path, {}).records("val")
    assert time.monotonic() - begin < 10


def test_a_hundred_thousand_objects_are_read_in_seconds(tmp_path):
    content = [frame(n, *(label(str(i), box=(i, n, i + 5, n + 5)) for i in range(1000))) for n in range(1, 101)]
    write_video(tmp_path, content, images=1)
    for number in range(2, 101):
        write_frame(tmp_path / f"images/track/val/{VIDEO}/{VIDEO}-{number:07d}.jpg")
    begin = time.monotonic()
    dataset = BDD100K(tmp_path, {})
    records = dataset.records("val")
    assert sum(len(dataset.objects(record)) for record in records) == 100_000
    dataset.read_label(records[0])
    assert time.monotonic() - begin < 20
