"""The MOT17 adapter: genuine sequences against their text, TrackEval's choice of boxes, layouts, and files that are broken."""

import os
import shutil

import numpy as np
import pytest
from video_data import SEQINFO, write_frame, write_sequence

from patchprobe.datasets.adapters.mot17 import MOT17
from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.videos import frame_number
from patchprobe.errors import ConfigError, DataError

GOOD = ["1,7,3,5,10,20,1,1,0.9", "2,7,4,5,10,20,1,1,0.2", "1,8,-4,1,20,10,0,3,-1"]
EVERYTHING = [
    *(
        "pedestrian",
        "person_on_vehicle",
        "car",
        "bicycle",
        "motorbike",
        "non_mot_vehicle",
        "static_person",
        "distractor",
    ),
    *("occluder", "occluder_on_ground", "occluder_full", "reflection", "crowd"),
]


def sightings(dataset, split="train"):
    return {(r.group, frame_number(r)): list(dataset.objects(r)) for r in dataset.records(split)}


def test_genuine_sequences_hold_what_their_text_says(shared):
    dataset = open_dataset({"adapter": "mot17", "root": "MOT17"}, shared / "samples/mot17")
    records = dataset.records("train")
    assert len(records) == 4 + 8 + 6 + 4 + 5 and [r.image_id for r in records] == sorted(r.image_id for r in records)
    assert records[0].image_id == "MOT17-02-FRCNN/0000001" and records[0].group == "MOT17-02-FRCNN"
    kept = 0
    for record in records:
        path = dataset.root / record.label
        rows = np.loadtxt(path, delimiter=",", ndmin=2)
        rows = rows[(rows[:, 0] == frame_number(record)) & (rows[:, 6] == 1) & (rows[:, 7] == 1)]
        found = dataset.objects(record)
        assert [s.object_id for s in found] == [str(int(i)) for i in rows[:, 1]]
        left, top, width, height = rows[:, 2:6].T
        boxes = np.array([s.box for s in found])
        np.testing.assert_array_equal(boxes, np.stack([left - 1, top - 1, left - 1 + width, top - 1 + height], axis=1))
        assert [s.occluded for s in found] == (rows[:, 8] < 0.5).tolist() and {s.category for s in found} == {
            "pedestrian"
        }
        kept += len(found)
    assert kept == 588
    rates = {r.group: dataset.frames_per_second(r) for r in records}
    assert rates == {
        f"MOT17-{n}-FRCNN": rate for n, rate in (("02", 30), ("04", 30), ("05", 14), ("09", 30), ("10", 30))
    }
    image, label = dataset.read_image(records[0]), dataset.read_label(records[0])
    assert image.shape == (1080, 1920, 3) and label.shape == (1080, 1920) and set(np.unique(label)) == {0, 1}


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("mot17", {}),
        ("mot20", {}),
        ("mot15", {"classes": EVERYTHING}),
        ("mot17_no_preproc", {"classes": EVERYTHING}),
    ],
)
def test_the_boxes_kept_are_those_of_trackeval(shared, tmp_path, case, options):
    cases = np.load(shared / "golden_protocols/trackeval_preprocessing/cases.npz")
    text, want = cases[f"{case}/in/gt_txt"].tobytes().decode(), cases[f"{case}/out/gt_kept"]
    write_sequence(tmp_path, text.splitlines(), frames=6, length=6)
    found = sightings(MOT17(tmp_path, options))
    ids = sorted({int(s.object_id) for own in found.values() for s in own})
    rows = [
        (number - 1, ids.index(int(s.object_id)), x1 + 1, y1 + 1, x2 - x1, y2 - y1)
        for (_, number), own in found.items()
        for s in own
        for x1, y1, x2, y2 in [s.box]
    ]
    key = np.lexsort(want[:, 1::-1].T)
    np.testing.assert_allclose(sorted(rows), want[np.lexsort((want[:, 1], want[:, 0]))], rtol=0, atol=1e-12)
    assert len(key) == cases[f"{case}/out/counts"][0] and len(ids) == cases[f"{case}/out/counts"][1]


def test_boxes_are_of_pixels_from_0_on_and_may_leave_the_frame(tmp_path):
    write_sequence(tmp_path, GOOD)
    dataset = MOT17(tmp_path, {"classes": ["pedestrian", "car"], "flags": "any"})
    assert dataset.classes.names == ("background", "pedestrian", "car") and dataset.classes.ids == (0, 1, 2)
    assert dataset.classes.supercategories == ("background", "person", "vehicle")
    first, second, third = dataset.records("train")
    assert {(s.object_id, s.category, s.box, s.occluded) for s in dataset.objects(first)} == {
        ("7", "pedestrian", (2, 4, 12, 24), False),
        ("8", "car", (-5, 0, 15, 10), None),
    }
    assert dataset.objects(second)[0].occluded is True and dataset.objects(third) == ()
    # Of equal boxes the later counts.
    expected = np.zeros((40, 60), np.uint8)
    expected[4:24, 2:12] = 1
    expected[0:10, 0:15] = 2
    np.testing.assert_array_equal(dataset.read_label(first), expected)
    assert (dataset.read_label(third) == 0).all()
    assert [len(found) for found in sightings(MOT17(tmp_path, {})).values()] == [1, 1, 0]


def test_one_copy_of_the_three_is_read_and_the_det_form_is_found(tmp_path):
    for detector in ("DPM", "FRCNN", "SDP"):
        write_sequence(tmp_path, GOOD, name=f"MOT17-02-{detector}")
    for options, name in (({}, "FRCNN"), ({"detector": "SDP"}, "SDP")):
        assert {r.group for r in MOT17(tmp_path, options).records("train")} == {f"MOT17-02-{name}"}
    write_sequence(tmp_path, GOOD, name="MOT17-04-DPM")
    with pytest.raises(
        DataError, match=r"train has MOT17-04 by DPM and not by FRCNN: set options\.detector of the data set"
    ):
        MOT17(tmp_path, {}).records("train")
    write_sequence(tmp_path, GOOD, name="MOT17-09")
    with pytest.raises(DataError, match=r"sequences of MOT17Det and of MOT17, MOT17-09 and MOT17-02-DPM: remove one"):
        MOT17(tmp_path, {"detector": "DPM"}).records("train")
    for folder in (tmp_path / "train").glob("*-*-*"):
        shutil.rmtree(folder)
    assert {r.group for r in MOT17(tmp_path, {}).records("train")} == {"MOT17-09"}
    (tmp_path / "train/.DS_Store").write_text("")
    (tmp_path / "train/copy").mkdir()
    with pytest.raises(DataError, match=r"train/copy should be named MOT17-<2 digits>-<detector>"):
        MOT17(tmp_path, {}).records("train")


def test_fewer_frames_than_said_and_the_first_of_them(tmp_path, caplog):
    write_sequence(tmp_path, GOOD, length=600)
    dataset = MOT17(tmp_path, {})
    assert len(dataset.records("train")) == 3
    assert "1 sequences have fewer frames than their seqinfo.ini says, such as 3 of 600 of" in caplog.text
    assert [r.image_id[-7:] for r in MOT17(tmp_path, {"frames": 2}).records("train")] == ["0000001", "0000002"]
    assert len(MOT17(tmp_path, {"frames": 9}).records("train")) == 3
    # Ground truth of frames that are not there is taken for none where no more than these are asked for.
    write_sequence(tmp_path, [*GOOD, "600,7,3,5,10,20,1,1,1", "4,7,3,5,10,20,0,4,1"], length=600)
    with pytest.raises(
        DataError,
        match=r"gt\.txt names 2 frames of video MOT17-02-FRCNN that are not in .*img1, 0000004, 0000600: .*options.frames to 3",
    ):
        MOT17(tmp_path, {}).records("train")
    assert len(MOT17(tmp_path, {"frames": 3}).records("train")) == 3


def test_frames_that_are_missing_broken_or_of_another_size(tmp_path):
    folder = write_sequence(tmp_path, GOOD, frames=9, length=9).parents[1]
    for number in (4, 6):
        (folder / f"img1/{number:06d}.jpg").unlink()
    with pytest.raises(DataError, match=r"img1 lacks 2 frames in between, 0000004, 0000006: copy them there"):
        MOT17(tmp_path, {}).records("train")
    assert len(MOT17(tmp_path, {"frames": 3}).records("train")) == 3
    for number in (4, 6):
        write_frame(folder / f"img1/{number:06d}.jpg", (20, 30))
    dataset = MOT17(tmp_path, {})
    record = dataset.records("train")[3]
    with pytest.raises(
        DataError, match=r"000004\.jpg is 30 x 20 pixels, and 000001\.jpg, the first of its video, 60 x 40"
    ):
        dataset.read_image(record)
    (folder / "img1/000004.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"000004\.jpg cannot be decoded"):
        dataset.read_image(record)
    write_frame(folder / "img1/000010.jpg")
    with pytest.raises(DataError, match=r"seqinfo\.ini says 9 frames, and .* has number 10"):
        MOT17(tmp_path, {}).records("train")
    (folder / "img1/000010.jpg").rename(folder / "img1/10.jpg")
    with pytest.raises(DataError, match=r"10\.jpg should be named <6 digits>\.jpg"):
        MOT17(tmp_path, {}).records("train")
    (folder / "img1/10.jpg").unlink()
    write_frame(folder / "img1/000001.jpg", (20, 30))
    with pytest.raises(DataError, match=r"000001\.jpg is 30 x 20 pixels, and .*seqinfo\.ini says 60 x 40"):
        MOT17(tmp_path, {}).records("train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,7,3,5,10,20,1,1", "line 2: it has 8 columns and not 9"),
        ("1,7,3,5,10,20,1,1,1,-1", "line 2: it has 10 columns and not 9"),
        ("1,7,3,5,10,x,1,1,1", "line 2: '1,7,3,5,10,x,1,1,1' holds what is no number"),
        ("1,7,3,5,nan,20,1,1,1", r"line 2: its box .*nan.* is no place in an image"),
        ("1,7,3,5,10,20,1,1,nan", "holds a number that is not finite"),
        ("1,inf,3,5,10,20,1,1,1", "holds a number that is not finite"),
        ("1,7,1e300,5,10,20,1,1,1", "is no place in an image"),
        ("1,7,3,5,-1,20,1,1,1", r"line 2: its box .* is -1 px wide and 20 px high"),
        ("1,7,3,5,1,-20,0,8,1", "is 1 px wide and -20 px high"),
        ("1.5,7,3,5,10,20,1,1,1", r"frame 1\.5 and identity 7\.0 are not whole numbers"),
        ("0,7,3,5,10,20,1,1,1", r"0 is none of the 3 frames of .*seqinfo\.ini"),
        ("4,7,3,5,10,20,1,1,1", r"4 is none of the 3 frames"),
        ("1,7,3,5,10,20,1,14,1", "class 14 is none of 1 to 13"),
        ("1,7,3,5,10,20,1,-1,1", "class -1 is none of 1 to 13"),
        ("1,8,3,5,10,20,1,1,1", "identity 8 stands twice in frame 1"),
        ("1," * 1_000_000, "line 2: it has 1000001 columns"),
        ("9" * 100_000 + ",7,3,5,10,20,1,1,1", "holds a number that is not finite"),
    ],
)
def test_lines_that_are_wrong_are_named(tmp_path, line, message):
    path = write_sequence(tmp_path, ["1,8,3,5,0,0,1,1,1", line])
    with pytest.raises(DataError, match=message) as caught:
        MOT17(tmp_path, {}).records("train")
    assert len(str(caught.value)) < 600 and str(path) in str(caught.value)
    path.write_text("1,8,3,5,0,0,1,1,1\r\n\r\n")  # a box without area is kept
    (first, *_) = MOT17(tmp_path, {}).records("train")
    assert [s.box for s in MOT17(tmp_path, {}).objects(first)] == [(2, 4, 2, 4)]
    assert (MOT17(tmp_path, {}).read_label(first) == 0).all()


def test_what_is_wrong_in_two_sequences_is_said_at_once(tmp_path):
    for name in ("MOT17-02-FRCNN", "MOT17-04-FRCNN"):
        write_sequence(tmp_path, ["nonsense"], name=name)
    with pytest.raises(
        DataError, match=r"2 videos cannot be used: \(1\) .*02-FRCNN/gt/gt\.txt, line 1.*\(2\) .*04-FRCNN/gt/gt\.txt"
    ):
        MOT17(tmp_path, {}).records("train")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("frameRate=25", "frameRate=0", "frameRate is '0' and no positive number"),
        ("frameRate=25\n", "", "frameRate is None and no positive number"),
        ("seqLength=3", "seqLength=3.5", "seqLength is '3.5' and no positive number"),
        ("seqLength=3", "seqLength=1e999", "seqLength is '1e999' and no positive number"),
        ("imDir=img1", "imDir=../../other", r"imDir is '\.\./\.\./other'"),
        ("imExt=.jpg", "imExt=*", r"imExt is '\*'"),
        ("[Sequence]", "[Video]", r"is no seqinfo\.ini of MOT17"),
        ("[Sequence]", "", r"is no seqinfo\.ini of MOT17"),
        ("frameRate=25", "frameRate=%(seqLength)s", "frameRate is '%.*' and no positive number"),
        ("imWidth=60", "imWidth=70", r"is 60 x 40 pixels, and .*seqinfo\.ini says 70 x 40"),
    ],
)
def test_facts_that_are_wrong_are_named(tmp_path, old, new, message):
    folder = write_sequence(tmp_path, GOOD).parents[1]
    text = SEQINFO.format(name="MOT17-02-FRCNN", length=3)
    assert old in text
    (folder / "seqinfo.ini").write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        MOT17(tmp_path, {}).records("train")


def test_files_that_are_missing_are_named(tmp_path):
    gt = write_sequence(tmp_path, GOOD)
    folder = gt.parents[1]
    gt.unlink()
    with pytest.raises(DataError, match=r"gt/gt\.txt is missing: copy it there"):
        MOT17(tmp_path, {}).records("train")
    (folder / "seqinfo.ini").unlink()
    with pytest.raises(DataError, match=r"seqinfo\.ini is missing: copy it there"):
        MOT17(tmp_path, {}).records("train")
    (folder / "seqinfo.ini").write_bytes(os.urandom(64) + b"\xff\xfe")
    with pytest.raises(DataError, match=r"seqinfo\.ini (cannot be read|is no seqinfo)"):
        MOT17(tmp_path, {}).records("train")
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(DataError, match="has no sequences such as MOT17-02-FRCNN: unpack"):
        MOT17(tmp_path, {}).records("train")
    with pytest.raises(DataError, match="no ground truth for split 'test': take split train"):
        MOT17(tmp_path, {}).records("test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detectors": "SDP"}, r"options\.detectors is unknown: did you mean detector"),
        ({"detector": "YOLO"}, "options.detector is 'YOLO': set it to FRCNN, DPM, SDP"),
        ({"classes": []}, r"options\.classes is \[\]: set it to a list"),
        ({"classes": "car"}, r"options\.classes is 'car': set it to a list"),
        ({"classes": ["car", "car"]}, r"options\.classes is .*: set it to a list of different"),
        ({"classes": ["cars"]}, r"options\.classes names 'cars', .*did you mean car"),
        ({"classes": [{}]}, r"options\.classes names \{\}"),
        ({"flags": 1}, r"options\.flags is 1: set it to evaluated or any"),
        ({"frames": 0}, r"options\.frames is 0: set it to a whole number from 1 on"),
        ({"frames": True}, r"options\.frames is True"),
    ],
)
def test_options_that_are_wrong_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        MOT17(tmp_path, options)
