"""Confusion matrices and segmentation scores against torchmetrics, scikit-learn and arithmetic by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from patchprobe.errors import DataError
from patchprobe.scoring.metrics import accuracy, class_iou, confusion_matrices, mean_iou

IDS = (0, 1, 2, 5)
VOID = 255


@pytest.fixture
def maps():
    rng = np.random.default_rng(3)
    truth = rng.choice([*IDS, VOID], (4, 20, 30)).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.5, truth, rng.choice(IDS, truth.shape)).astype(np.uint8)
    predicted[predicted == VOID] = 5
    return truth, predicted


def count(truth, predicted):
    return confusion_matrices(
        truth, predicted, np.arange(len(truth))[:, None, None], images=len(truth), class_ids=IDS, void=VOID
    )


def test_by_hand():
    truth = np.array([1, 1, 2, 255, 2])
    predicted = np.array([1, 2, 2, 1, 2])
    confusion = confusion_matrices(truth, predicted, np.zeros(5, int), images=1, class_ids=(1, 2, 3), void=255)[0]
    assert confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert accuracy(confusion) == 3 / 4
    np.testing.assert_array_equal(class_iou(confusion), [1 / 2, 2 / 3, np.nan])
    assert mean_iou(confusion) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_void_may_be_a_low_id():
    truth, predicted = np.array([0, 1, 2]), np.array([2, 1, 2])
    confusion = confusion_matrices(truth, predicted, np.zeros(3, int), images=1, class_ids=(1, 2), void=0)
    assert confusion.tolist() == [[[1, 0], [0, 1]]]


def test_confusions_agree_with_torchmetrics(maps):
    truth, predicted = maps
    confusions = count(truth, predicted)
    assert confusions.dtype == np.int64 and confusions.shape == (4, 4, 4)
    for image in range(4):
        expected = multiclass_confusion_matrix(
            torch.from_numpy(predicted[image].astype(int)),
            torch.from_numpy(truth[image].astype(int)),
            num_classes=6,
            ignore_index=VOID,
        )
        np.testing.assert_array_equal(confusions[image], expected.numpy()[np.ix_(IDS, IDS)])


def test_scores_agree_with_scikit_learn_and_torchmetrics(maps):
    truth, predicted = maps
    confusions = count(truth, predicted)
    total = confusions.sum(axis=0)
    keep = truth != VOID
    assert accuracy(total) == pytest.approx(accuracy_score(truth[keep], predicted[keep]))
    np.testing.assert_allclose(class_iou(total), jaccard_score(truth[keep], predicted[keep], labels=IDS, average=None))
    assert mean_iou(total) == pytest.approx(jaccard_score(truth[keep], predicted[keep], average="macro"))
    position = np.zeros(256, int)
    position[list(IDS)] = range(4)
    for image in range(4):
        kept = keep[image]
        expected = multiclass_jaccard_index(
            torch.from_numpy(position[predicted[image][kept]]),
            torch.from_numpy(position[truth[image][kept]]),
            num_classes=4,
            average="none",
        )
        np.testing.assert_allclose(class_iou(confusions)[image], expected.numpy(), rtol=1e-6)


def test_scores_of_a_stack_are_those_of_its_matrices(maps):
    stack = count(*maps).reshape(2, 2, 4, 4)
    for score in (accuracy, class_iou, mean_iou):
        np.testing.assert_array_equal(score(stack)[1, 0], score(stack[1, 0]))


def test_an_image_without_any_label_scores_nan():
    confusion = np.zeros((3, 3), int)
    assert np.isnan(accuracy(confusion)) and np.isnan(mean_iou(confusion)) and np.isnan(class_iou(confusion)).all()


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([3], [1], r"truth: the ids \[3\]"),
        ([1], [3], r"predictions: the ids \[3\]"),
        ([1], [-1], r"predictions: the ids \[-1\]"),
        ([1], [255], r"predictions: the ids \[255\]"),
        ([1, 1], [1], "give maps of one size"),
    ],
)
def test_ids_that_are_no_classes_are_refused(truth, predicted, message):
    with pytest.raises(DataError, match=message):
        confusion_matrices(
            np.array(truth), np.array(predicted), np.zeros(len(truth), int), images=1, class_ids=(1, 2), void=255
        )


def test_image_index_out_of_range_is_refused():
    with pytest.raises(DataError, match="there are 2 images"):
        confusion_matrices(np.array([1]), np.array([1]), np.array([2]), images=2, class_ids=(1,), void=0)
