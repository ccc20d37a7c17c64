"""The procedural street scenes."""

from pathlib import Path

import numpy as np

from patchprobe.datasets.adapters.synthetic import Synthetic
from patchprobe.datasets.dataset import open_dataset


def test_scenes_need_no_files_and_are_the_same_in_any_order() -> None:
    dataset = open_dataset({"adapter": "synthetic", "options": {"images": 5}}, Path("/nowhere"))
    records = dataset.records("train")
    assert len(records) == 5 and dict(dataset.counts) == {"train": 5, "val": 5}
    forward = [dataset.read_image(record) for record in records]
    backward = [Synthetic(None, {"images": 9}).read_image(record) for record in reversed(records)]
    for a, b in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(a, b)
    others = [dataset.read_image(record) for record in dataset.records("val")]
    assert all((a != b).mean() > 0.5 for a, b in zip(forward, others, strict=True))


def test_every_class_and_void_occurs_and_sizes_are_as_asked() -> None:
    dataset = Synthetic(None, {"images": 8, "height": 96, "width": 160})
    labels = np.stack([dataset.read_label(record) for record in dataset.records("train")])
    assert labels.shape == (8, 96, 160)
    share = np.bincount(labels.ravel(), minlength=256) / labels.size
    assert (share[: len(dataset.classes.ids)] > 0.005).all()
    assert 0 < share[dataset.classes.void] < 0.15
    assert share.sum() == share[[*dataset.classes.ids, dataset.classes.void]].sum()


def test_labels_lie_on_what_is_painted() -> None:
    """The step in colour across a label border is larger than inside of regions."""
    dataset = Synthetic(None, {"images": 4})
    for record in dataset.records("train"):
        image, label = dataset.read_image(record).astype(int), dataset.read_label(record)
        step = np.abs(np.diff(image, axis=1)).sum(-1)
        border = np.diff(label.astype(int), axis=1) != 0
        assert step[border].mean() > 1.5 * step[~border].mean()


def test_colour_alone_does_not_tell_classes_apart() -> None:
    """A classifier of mean colours stays well below what the labels allow."""
    from sklearn.linear_model import LogisticRegression

    dataset = Synthetic(None, {"images": 6})
    colors, ids = [], []
    for record in dataset.records("train"):
        image, label = dataset.read_image(record), dataset.read_label(record)
        colors.append(image[::8, ::8].reshape(-1, 3))
        ids.append(label[::8, ::8].ravel())
    x, y = np.concatenate(colors) / 255, np.concatenate(ids)
    accuracy = LogisticRegression(max_iter=300).fit(x, y).score(x, y)
    assert 0.3 < accuracy < 0.8


def test_digests_are_of_the_content() -> None:
    small, large = Synthetic(None, {"images": 2}), Synthetic(None, {"images": 3})
    digests = [small.digests(record) for record in small.records("train")]
    assert digests == [large.digests(record) for record in large.records("train")][:2]
    assert len({digest for pair in digests for digest in pair}) == 4
