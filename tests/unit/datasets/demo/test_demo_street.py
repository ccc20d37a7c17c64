"""Street scenes: the same from the same numbers, with labels that Cityscapes knows."""

import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label, name2label

from patchprobe.datasets.demo.pretraining_scenes import pretraining_scene, scene_batch
from patchprobe.datasets.demo.scene import Camera, Scene
from patchprobe.datasets.demo.street import plan_street

SCENES = 24


@cache
def scenes() -> list[Scene]:
    return [pretraining_scene(5, index) for index in range(SCENES)]


def digest(scene: Scene) -> str:
    parts = (scene.image, scene.label_ids, scene.instance_ids)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_another_process_in_another_order_draws_the_same_bytes() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_demo_street import digest, pretraining_scene\n"
        "print(*[digest(pretraining_scene(5, i)) for i in (2, 0)])"
    )
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest(scenes()[2]), digest(scenes()[0])]


def test_batch_is_the_scenes_in_order() -> None:
    batch = list(scene_batch(5, 2, start=3))
    assert len(batch) == 2
    for (image, label_ids), scene in zip(batch, scenes()[3:5], strict=True):
        assert image.dtype == np.uint8 and image.shape == (256, 512, 3)
        assert label_ids.dtype == np.uint8 and label_ids.shape == (256, 512)
        assert np.array_equal(image, scene.image) and np.array_equal(label_ids, scene.label_ids)


def test_split_city_number_and_seed_each_make_another_scene() -> None:
    keys = [(0, "train", "a", 0), (0, "val", "a", 0), (0, "train", "b", 0), (0, "train", "a", 1), (1, "train", "a", 0)]
    assert len({digest(plan_street(*key).draw()) for key in keys}) == len(keys)


def test_ids_are_those_of_the_official_table() -> None:
    for scene in scenes():
        for instance, label in {*zip(scene.instance_ids.flat, scene.label_ids.flat, strict=True)}:
            official = id2label[int(label)]
            assert (instance >= 1000) == official.hasInstances
            assert (instance // 1000 if instance >= 1000 else instance) == label


def test_classes_are_as_common_as_in_a_street() -> None:
    present = {
        name: np.mean([(scene.label_ids == name2label[name].id).sum() >= 30 for scene in scenes()])
        for name in name2label
        if name2label[name].id >= 0
    }
    for name in ("road", "building", "sky", "vegetation", "sidewalk", "pole", "car"):
        assert present[name] > 0.8, name
    for name in ("person", "terrain", "traffic sign", "fence"):
        assert present[name] > 0.5, name
    for name in ("wall", "traffic light", "truck", "bus", "bicycle", "motorcycle", "rider"):
        assert present[name] > 0.1, name
    share = np.mean([(scene.label_ids == name2label["road"].id).mean() for scene in scenes()])
    assert 0.15 < share < 0.45
    rows = np.arange(256)[:, None]
    for scene in scenes():
        sky = scene.label_ids == name2label["sky"].id
        if sky.any():
            assert (sky * rows).sum() / sky.sum() < (scene.label_ids == name2label["road"].id).nonzero()[0].mean()


def test_brightness_varies_more_within_a_class_than_between_classes() -> None:
    """What makes the task hard: light, weather and paint change brightness more than classes do."""
    names = ("road", "building", "vegetation", "car", "sidewalk", "person")
    means = np.array(
        [
            [scene.image[scene.label_ids == name2label[name].id].mean() for name in names]
            for scene in scenes()
            if all((scene.label_ids == name2label[name].id).any() for name in names)
        ]
    )
    assert len(means) > SCENES / 2
    assert means.std(axis=0).mean() > means.mean(axis=0).std()


def test_things_move_and_the_rest_stays() -> None:
    street = plan_street(0, "train", "moving", 3)
    now, later = street.draw(), street.draw(seconds=0.4)
    building = name2label["building"].id
    both = (now.label_ids == building) | (later.label_ids == building)
    same = (now.label_ids == building) & (later.label_ids == building)
    assert same.sum() / both.sum() > 0.9
    moving = {tag.instance for thing in street.things if abs(thing.speed) > 0 for tag in thing.tags}
    resting = {tag.instance for thing in street.things if thing.speed == 0 for tag in thing.tags}
    assert moving and resting and not moving & resting
    moved = [
        number for number in moving if not np.array_equal(now.instance_ids == number, later.instance_ids == number)
    ]
    visible = [number for number in moving if (now.instance_ids == number).sum() > 40]
    assert visible and {*visible} <= {*moved}


@pytest.mark.parametrize("roll", [0.0, 0.03])
def test_depth_of_a_pixel_is_that_of_the_point_projected_there(roll: float) -> None:
    camera = Camera((256, 512), 400.0, 1.5, 250.0, 110.0, roll)
    for plane, point in (
        (camera.ground(), (3.0, 0.0, 12.0)),
        (camera.side(-5.0), (-5.0, 4.0, 20.0)),
        (camera.front(9.0), (2.0, 1.0, 9.0)),
    ):
        u, v = camera.pixel(*point)
        assert 1 / (plane.a + plane.b * u + plane.c * v) == pytest.approx(point[2])
        assert camera.project(np.array([point]))[0] == pytest.approx((u, v))
