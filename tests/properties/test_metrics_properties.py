"""Laws that confusion matrices and scores obey on any label maps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from patchprobe.scoring.metrics import accuracy, class_iou, confusion_matrices, mean_iou

CLASSES = 4
VOID = 9


@st.composite
def labelled_images(draw):
    images = draw(st.integers(1, 4))
    shape = (images, draw(st.integers(0, 12)))
    truth = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, VOID])))
    predicted = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 3)))
    return truth, predicted


def count(truth, predicted, class_ids=range(CLASSES)):
    image = np.arange(len(truth))[:, None]
    return confusion_matrices(truth, predicted, image, images=len(truth), class_ids=tuple(class_ids), void=VOID)


@given(labelled_images())
def test_counts_are_those_of_a_plain_loop(maps):
    truth, predicted = maps
    expected = np.zeros((len(truth), CLASSES, CLASSES), int)
    for image, (row, guess) in enumerate(zip(truth, predicted, strict=True)):
        for t, p in zip(row, guess, strict=True):
            if t != VOID:
                expected[image, t, p] += 1
    np.testing.assert_array_equal(count(truth, predicted), expected)


@given(labelled_images())
def test_scores_stay_in_range_and_iou_never_exceeds_recall(maps):
    confusion = count(*maps).sum(axis=0)
    for score in (accuracy(confusion), mean_iou(confusion), *class_iou(confusion)):
        assert np.isnan(score) or 0 <= score <= 1
    truth = confusion.sum(axis=1)
    present = truth > 0
    recall = np.diagonal(confusion)[present] / truth[present]
    assert (class_iou(confusion)[present] <= recall + 1e-12).all()


@given(labelled_images())
def test_perfect_predictions_score_one(maps):
    truth, _ = maps
    confusion = count(truth, np.where(truth == VOID, 0, truth)).sum(axis=0)
    if confusion.sum():
        assert accuracy(confusion) == 1 and mean_iou(confusion) == 1


@given(labelled_images(), st.permutations(range(CLASSES)))
def test_the_order_of_classes_does_not_matter(maps, order):
    plain, reordered = count(*maps).sum(axis=0), count(*maps, class_ids=order).sum(axis=0)
    np.testing.assert_array_equal(class_iou(reordered), class_iou(plain)[list(order)])
    np.testing.assert_allclose(mean_iou(reordered), mean_iou(plain), rtol=1e-12)
