"""The BDD100K adapter: genuine labels, TrackEval's choice of boxes, the forms of labels, and files that do not meet."""

import json
import shutil

import numpy as np
import pytest
from video_data import TOOLKIT, VIDEO, coco, frame, label, write_frame, write_video

from patchprobe.datasets.adapters.bdd100k import BDD100K
from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.videos import frame_number
from patchprobe.errors import ConfigError, DataError

KEEP = {"crowd": "keep", "distractors": "keep"}


def sightings(dataset, split="val"):
    return {frame_number(r): sorted(dataset.objects(r)) for r in dataset.records(split)}


@pytest.fixture
def genuine(shared, tmp_path):
    """All 202 frames of the genuine labels, with images of nothing, and what the file says."""
    source = shared / f"samples/bdd100k_mot/_full_labels/box_track_20/val/{VIDEO}.json"
    write_video(tmp_path, source.read_text(), images=1)
    first = tmp_path / f"images/track/val/{VIDEO}/{VIDEO}-0000001.jpg"
    for number in range(2, 203):
        shutil.copy(first, first.with_name(f"{VIDEO}-{number:07d}.jpg"))
    return tmp_path, json.loads(source.read_text())


def test_genuine_frames_hold_what_their_json_says(shared):
    dataset = open_dataset({"adapter": "bdd100k", "root": "bdd100k"}, shared / "samples/bdd100k_mot")
    records = dataset.records("val")
    assert [r.image_id for r in records] == [f"{VIDEO}/{n:07d}" for n in range(1, 7)] and {
        r.group for r in records
    } == {VIDEO}
    content = json.loads((dataset.root / records[0].label).read_text())
    for record, said in zip(records, content, strict=True):
        kept = [one for one in said["labels"] if not one["attributes"]["crowd"]]
        found = dataset.objects(record)
        assert [(s.object_id, s.category, s.occluded) for s in found] == [
            (one["id"], one["category"], one["attributes"]["occluded"]) for one in kept
        ]
        assert [s.box for s in found] == [tuple(one["box2d"][key] for key in ("x1", "y1", "x2", "y2")) for one in kept]
        image, ids = dataset.read_image(record), dataset.read_label(record)
        assert image.shape == (720, 1280, 3) and ids.shape == (720, 1280)
        shown = {dataset.classes.names[i] for i in np.unique(ids)} - {"background"}
        assert shown <= {s.category for s in found} and "car" in shown
    assert dataset.frames_per_second(records[0]) == 5
    assert dataset.classes.names[1:] == TOOLKIT
    assert dataset.classes.supercategories[1:] == ("person",) * 2 + ("vehicle",) * 4 + ("bike",) * 2


def test_crowds_and_distractors_are_kept_if_asked_for(genuine):
    root, content = genuine
    everything = [one for said in content for one in said["labels"]]
    crowds = sum(one["attributes"]["crowd"] for one in everything)
    assert (len(everything), crowds) == (3241, 132)
    for options, number in (({}, 3241 - 132), ({"crowd": "keep"}, 3241), ({"frames": 6}, None)):
        found = sightings(BDD100K(root, options))
        if number is None:
            assert sorted(found) == [1, 2, 3, 4, 5, 6]
        else:
            assert sum(map(len, found.values())) == number and len(found) == 202


def test_the_boxes_kept_are_those_of_trackeval(shared, tmp_path):
    cases = np.load(shared / "golden_protocols/trackeval_preprocessing/cases.npz")
    given, names = json.loads(cases["bdd100k/in/gt_json"].tobytes()), cases["bdd100k/out/class_names"].tolist()
    ids = dict(zip(names, cases["bdd100k/out/class_ids"].tolist(), strict=True))
    write_video(tmp_path, given, video="v", images=4)
    found = sightings(BDD100K(tmp_path, {}))
    assert len(found) == cases["bdd100k/out/frames"] == 4
    rows = [(ids[s.category], n - 1, int(s.object_id), *s.box) for n, own in found.items() for s in own]
    ranks = {c: sorted({i for k, _, i, *_ in rows if k == c}) for c in ids.values()}
    kept = np.array(sorted((c, t, ranks[c].index(i), *box) for c, t, i, *box in rows))
    want = cases["bdd100k/out/gt_kept"]
    np.testing.assert_allclose(kept, want[np.lexsort((want[:, 2], want[:, 1], want[:, 0]))], rtol=0, atol=1e-12)
    raw = sorted((t, i, c) for c, t, i, *_ in rows)
    assert raw == sorted(map(tuple, cases["bdd100k/out/raw_gt_ids"].tolist()))
    # What is left out are the ignore regions.
    everything = {(n - 1, *s.box) for n, own in sightings(BDD100K(tmp_path, KEEP)).items() for s in own}
    left_out = everything - {(t, *box) for _, t, _, *box in rows}
    assert left_out == set(map(tuple, cases["bdd100k/out/ignore_regions"].tolist()))


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("options", [{}, KEEP, {"crowd": "keep"}])
def test_the_forms_of_labels_hold_the_same(genuine, options, inner):
    root, content = genuine
    content[0]["labels"][0]["category"] = "trailer"
    (root / f"labels/box_track_20/val/{VIDEO}.json").write_text(json.dumps(content))
    want = sightings(BDD100K(root, options))
    shutil.rmtree(root / "labels")
    forms = {
        "labels-20/box-track/val/" + VIDEO: content,
        "labels/box_track_20/val": content,
        "labels/box_track_20/box_track_val": {"frames": content, "config": {}},
        "labels/box_track_20/box_track_val_cocofmt": coco(content, inner=inner),
        "annotations/bdd_box_track_val_cocofmt": coco(content, inner=inner),
    }
    for name, form in forms.items():
        path = root / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(form))
        found = sightings(BDD100K(root, options))
        assert found.keys() == want.keys()
        for number, own in found.items():
            expected = want[number]
            assert [s[:2] for s in own] == [s[:2] for s in expected]
            if len(own):
                np.testing.assert_allclose([s.box for s in own], [s.box for s in expected], rtol=0, atol=1e-9)
            known = [s.occluded for s in own] == [s.occluded for s in expected]
            assert known or ("cocofmt" in name and {s.occluded for s in own} == {None})
        path.unlink()


def test_a_later_converter_marks_distractors_as_crowds(tmp_path, caplog):
    content = [frame(1, label("1"), label("2", "trailer"), label("3", attributes={"crowd": True}))]
    write_video(tmp_path, "", images=1).unlink()
    path = tmp_path / "labels/box_track_val_cocofmt.json"
    path.write_text(json.dumps(coco(content, marks_distractors=False)))
    for options, kept in (({}, ["1"]), ({"distractors": "keep"}, ["1"]), ({"crowd": "keep"}, ["1", "2", "3"])):
        assert [s.object_id for s in sightings(BDD100K(tmp_path, options))[1]] == kept
    assert "marks 2 boxes as crowds and none as distractors" in caplog.text


def test_labels_that_are_there_twice_are_refused_until_one_is_named(tmp_path):
    content = [frame(n, label()) for n in (1, 2, 3)]
    folder = write_video(tmp_path, content).parent
    (folder.parent / "box_track_val_cocofmt.json").write_text(json.dumps(coco(content)))
    with pytest.raises(
        DataError, match=r"twice, .*box_track_20/val and .*box_track_val_cocofmt\.json: set options\.labels"
    ):
        BDD100K(tmp_path, {}).records("val")
    for given in ("labels/box_track_20", "labels/box_track_20/val", "labels/box_track_20/box_track_val_cocofmt.json"):
        assert sum(map(len, sightings(BDD100K(tmp_path, {"labels": given})).values())) == 3
    with pytest.raises(DataError, match=r"labels/det is missing: put the labels there, or correct options\.labels"):
        BDD100K(tmp_path, {"labels": "labels/det"}).records("val")
    shutil.rmtree(tmp_path / "labels")
    # Labels of another task, and of another split.
    for name in ("labels/bdd100k_labels_images_val", "labels/box_track_20/box_track_train_cocofmt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.json").write_text("[]")
    with pytest.raises(DataError, match="has no labels of split val: put them into labels/box_track_20/val/<video>"):
        BDD100K(tmp_path, {}).records("val")


def test_null_labels_other_spellings_and_other_names(tmp_path):
    attributes = {"Occluded": True, "Truncated": False, "crowd": False}
    content = [
        frame(1, label("1", "motor", attributes=attributes), label(2, "van", attributes=None)),
        {**frame(2), "labels": None},
        {
            "name": f"{VIDEO}-0000003.jpg",
            "index": 2,
            "labels": [label("9", attributes={"Crowd": True}), label("8", box=None)],
        },
    ]
    write_video(tmp_path, content)
    found = sightings(BDD100K(tmp_path, {}))
    assert [(s.object_id, s.category, s.occluded) for s in found[1]] == [("1", "motorcycle", True), ("2", "car", None)]
    assert found[2] == found[3] == []


def test_an_identity_of_two_categories_is_two_objects(tmp_path, caplog):
    content = [
        frame(1, label("5", "car")),
        frame(2, label("5", "pedestrian"), label("6", "car")),
        frame(3, label("5", "car")),
    ]
    write_video(tmp_path, content)
    found = sightings(BDD100K(tmp_path, {}))
    assert [[s.object_id for s in own] for own in found.values()] == [["5:car"], ["5:pedestrian", "6"], ["5:car"]]
    assert f"1 identities have more than one category, such as 5 of {VIDEO}" in caplog.text


def test_frames_and_labels_that_do_not_meet(tmp_path, caplog):
    path = write_video(tmp_path, [frame(n, label()) for n in (1, 2, 3, 4, 5)])
    with pytest.raises(
        DataError, match=rf"{VIDEO}\.json names 2 frames of video {VIDEO} that are not in .*, 0000004, 0000005: copy"
    ):
        BDD100K(tmp_path, {}).records("val")
    assert len(BDD100K(tmp_path, {"frames": 3}).records("val")) == 3
    # A frame that the labels lack too is none; one that they lack alone has no objects.
    path.write_text(json.dumps([frame(1, label()), frame(3, label())]))
    assert sightings(BDD100K(tmp_path, {}))[2] == []
    assert "1 frames are not named by their labels, such as images/track/val" in caplog.text
    missing = tmp_path / f"images/track/val/{VIDEO}/{VIDEO}-0000002.jpg"
    missing.unlink()
    assert sorted(sightings(BDD100K(tmp_path, {}))) == [1, 3]
    assert "both lack 1 frames in between, 0000002" in caplog.text
    path.write_text("[]")
    with pytest.raises(DataError, match="lacks 1 frames in between, 0000002: copy them there"):
        BDD100K(tmp_path, {}).records("val")


def test_videos_without_labels_and_labels_without_videos(tmp_path, caplog):
    write_video(tmp_path, [frame(n, label()) for n in (1, 2, 3)])
    write_video(tmp_path, [frame(n, label(), video="other") for n in (1, 2, 3)], video="other")
    shutil.rmtree(tmp_path / "images/track/val/other")
    assert len(BDD100K(tmp_path, {}).records("val")) == 3
    assert "1 of 2 videos, such as other, have no folder" in caplog.text
    write_frame(tmp_path / "images/track/val/new/new-0000001.jpg")
    with pytest.raises(DataError, match=r"box_track_20/val: the file of .*val/new is missing; copy the labels there"):
        BDD100K(tmp_path, {}).records("val")
    write_frame(tmp_path / f"images/track/train/{VIDEO}/{VIDEO}-0000001.jpg")
    with pytest.raises(DataError, match=rf"video {VIDEO} is in val and in train of .*: remove it from one"):
        BDD100K(tmp_path, {}).records("val")
    shutil.rmtree(tmp_path / "images/track/val")
    with pytest.raises(DataError, match=r"images/track/val has no folder of a video: unpack MOT 2020 Images there"):
        BDD100K(tmp_path, {}).records("val")
    with pytest.raises(DataError, match="no labels for split 'test': take one of train, val"):
        BDD100K(tmp_path, {}).records("test")


def test_names_that_do_not_fit_their_place(tmp_path):
    path = write_video(tmp_path, [frame(n, label()) for n in (1, 2, 3)])
    (path.parent / "wrong.json").write_text(path.read_text())
    write_frame(tmp_path / "images/track/val/wrong/wrong-0000001.jpg")
    with pytest.raises(DataError, match=rf"wrong\.json names video {VIDEO}: give the file its original name"):
        BDD100K(tmp_path, {}).records("val")
    shutil.rmtree(tmp_path / "images/track/val/wrong")
    folder = tmp_path / f"images/track/val/{VIDEO}"
    for name in ("0000001.jpg", "other-0000001.jpg", f"{VIDEO}-0000000.jpg", f"{VIDEO}-1.jpg"):
        write_frame(folder / name)
        with pytest.raises(DataError, match=rf"{name} is no frame of video {VIDEO} \(.*\): give it its original name"):
            BDD100K(tmp_path, {}).records("val")
        (folder / name).unlink()
    (folder / f"._{VIDEO}-0000001.jpg").write_text("")
    write_frame(folder / f"{VIDEO}-0000003.jpg", (10, 20))
    dataset = BDD100K(tmp_path, {})
    with pytest.raises(
        DataError, match=r"0000003\.jpg is 20 x 10 pixels, and .*0000001\.jpg, the first of its video, 60 x 40"
    ):
        dataset.read_image(dataset.records("val")[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crowds": "keep"}, r"options\.crowds is unknown: did you mean crowd"),
        ({"crowd": True}, r"options\.crowd is True: set it to drop or keep"),
        ({"distractors": "car"}, r"options\.distractors is 'car': set it to drop or keep"),
        ({"labels": 3}, r"options\.labels is 3: set it to a folder or file"),
        ({"labels": "../x"}, r"options\.labels: \.\./x lies outside"),
        ({"frames": -1}, r"options\.frames is -1"),
        ({"frames_per_second": 0}, r"options\.frames_per_second is 0: set it to a positive number"),
        ({"frames_per_second": float("nan")}, r"options\.frames_per_second is nan"),
    ],
)
def test_options_that_are_wrong_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        BDD100K(tmp_path, options)
