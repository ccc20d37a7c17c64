"""Which windows a rotated box lies in, and the label map that boxes make, by hand and by testing every pixel."""

import numpy as np
import pytest

from patchprobe.datasets.boxes import FARTHEST, Boxes, present_ids, rasterise
from patchprobe.datasets.dataset import Window

THIRD = 1 / 3


def boxes(*corners, ids=None):
    corners = np.array(corners, float).reshape(-1, 4, 2)
    ids = range(1, len(corners) + 1) if ids is None else ids
    return Boxes(corners, np.array(list(ids), np.uint8), np.zeros(len(corners), bool))


def upright(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def rotated(x, y, width, height, angle):
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.array([(-width, -height), (width, -height), (width, height), (-width, height)]) / 2 @ turn + (x, y)


def places(found):
    """Return the row and column of windows of 100 px."""
    return [(window.top // 100, window.left // 100) for window in found]


def holds(corners, x, y):
    """Return whether a polygon holds points: a ray to the right crosses its outline an odd number of times."""
    inside = np.zeros(np.shape(x), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside


def area(corners):
    x, y = np.transpose(corners)
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def painted(corners, ids, height, width):
    """Return the label map of whole boxes, pixel by pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    label = np.zeros((height, width), np.uint8)
    for number in sorted(range(len(ids)), key=lambda n: -area(corners[n])):
        label[holds(corners[number], x, y)] = ids[number]
    return label


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        (upright(10, 10, 20, 30), [(0, 0)]),
        # A third exactly, and a little less.
        (upright(90, 10, 120, 20), [(0, 0), (0, 1)]),
        (upright(91, 10, 121, 20), [(0, 1)]),
        (upright(10, 90, 20, 120), [(0, 0), (1, 0)]),
        # Over four windows: a quarter in each; five ninths in one; five elevenths in two.
        (upright(40, 40, 160, 160), []),
        (upright(50, 80, 110, 110), [(0, 0)]),
        (upright(50, 85, 105, 115), [(0, 0), (1, 0)]),
        # Of what lies outside the image the area counts as well.
        (upright(-40, 10, 20, 20), [(0, 0)]),
        (upright(-41, 10, 20, 20), []),
        (upright(10, -60, 20, 30), [(0, 0)]),
        (upright(-50, -50, -10, -10), []),
        (upright(400, 10, 420, 20), []),
        # What is left of 450 x 230 px at the right and lower edge is in no window.
        (upright(401, 10, 449, 20), []),
        (upright(10, 201, 20, 229), []),
        (upright(390, 10, 420, 20), [(0, 3)]),
        # A third in each of three, without and with rounding.
        (upright(0, 10, 300, 20), [(0, 0), (0, 1), (0, 2)]),
        ([(0, 10), (300, 40), (300, 60), (0, 30)], [(0, 0), (0, 1), (0, 2)]),
        ([(0, 2), (300, 88), (300, 93), (0, 7)], [(0, 0), (0, 1), (0, 2)]),
        ([(0, 30), (300, 56), (300, 93), (0, 67)], [(0, 0), (0, 1), (0, 2)]),
        ([(7, 0), (31, 200), (38, 200), (14, 0)], [(0, 0), (1, 0)]),
        (upright(0, 10, 400, 20), []),
        # A square on its corner, halved, quartered, and cut where 7/9 lie on one side.
        ([(100, 30), (120, 50), (100, 70), (80, 50)], [(0, 0), (0, 1)]),
        ([(100, 80), (120, 100), (100, 120), (80, 100)], []),
        ([(90, 20), (120, 50), (90, 80), (60, 50)], [(0, 0)]),
    ],
)
def test_a_category_is_where_a_third_of_a_box_is(corners, expected):
    found = present_ids(boxes(corners), (230, 450), 100, THIRD)
    assert places(found) == expected
    assert set(found.values()) <= {frozenset({1})}
    assert all(window[2:] == (100, 100) for window in found)
    # The way round does not matter, nor which corner is first.
    for same in (corners[::-1], corners[1:] + corners[:1]):
        assert present_ids(boxes(same), (230, 450), 100, THIRD) == found


def test_windows_are_in_order_and_hold_all_their_categories():
    several = boxes(
        upright(210, 110, 230, 130), upright(10, 10, 20, 20), upright(95, 5, 105, 9), upright(110, 1, 120, 9)
    )
    assert present_ids(several, (200, 300), 100, THIRD) == {
        Window(0, 0, 100, 100): {2, 3},
        Window(0, 100, 100, 100): {3, 4},
        Window(100, 200, 100, 100): {1},
    }
    assert list(present_ids(several, (200, 300), 100, THIRD)) == [
        (0, 0, 100, 100),
        (0, 100, 100, 100),
        (100, 200, 100, 100),
    ]


def test_an_image_without_boxes_or_smaller_than_a_window_has_none():
    assert present_ids(boxes(), (200, 300), 100, THIRD) == {}
    assert present_ids(boxes(upright(1, 1, 9, 9)), (200, 99), 100, THIRD) == {}
    assert present_ids(boxes(upright(1, 1, 9, 9)), (99, 200), 100, THIRD) == {}
    assert (rasterise(boxes(), Window(0, 0, 4, 6), 7) == np.full((4, 6), 7)).all()


def test_many_boxes_are_the_same_as_each_by_itself():
    rng = np.random.default_rng(0)
    corners = [rotated(*rng.uniform(-20, 420, 2), *rng.uniform(1, 90, 2), rng.uniform(0, 7)) for _ in range(700)]
    ids = rng.integers(1, 6, 700)
    together, single = present_ids(boxes(*corners, ids=ids), (400, 400), 64, THIRD), {}
    for corner, i in zip(corners, ids, strict=True):
        for window, found in present_ids(boxes(corner, ids=[i]), (400, 400), 64, THIRD).items():
            single[window] = single.get(window, frozenset()) | found
    assert together == single and list(together) == sorted(single)


def test_crossed_corners_mean_the_box_around_them():
    right, crossed = rotated(110, 60, 60, 30, 0.4), rotated(110, 60, 60, 30, 0.4)[[0, 2, 1, 3]]
    for size, side in (((200, 300), 100), ((200, 300), 50)):
        found = present_ids(boxes(crossed), size, side, THIRD)
        assert found and found == present_ids(boxes(right), size, side, THIRD)
    window = Window(0, 0, 200, 300)
    label = rasterise(boxes(crossed), window, 0)
    np.testing.assert_array_equal(label, rasterise(boxes(right), window, 0))
    assert label.sum() == pytest.approx(60 * 30, rel=0.02)


@pytest.mark.parametrize(
    "nothing",
    [
        [(5, 5)] * 4,
        [(5, 5), (9, 9), (9, 9), (5, 5)],
        [(5, 5), (25, 5), (15, 5), (10, 5)],
        [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.7, 0.7)],
        [(5, 5), (6, 5), (6, 5 + 1e-8), (5, 5 + 1e-8)],
    ],
)
def test_boxes_that_cover_nothing_are_nowhere(nothing):
    around = upright(2, 2, 12, 12)
    found = boxes(nothing, around)
    assert present_ids(found, (32, 32), 32, THIRD) == {Window(0, 0, 32, 32): {2}}
    assert set(np.unique(rasterise(found, Window(0, 0, 32, 32), 0))) == {0, 2}
    assert present_ids(boxes(nothing), (32, 32), 32, THIRD) == {}


def test_three_corners_of_four_make_a_triangle():
    label = rasterise(boxes([(0, 0), (10, 0), (10, 10), (10, 10)]), Window(0, 0, 10, 10), 0)
    assert (label[np.triu_indices(10, 1)] == 1).all() and (label[np.tril_indices(10, -1)] == 0).all()


def test_the_label_map_is_that_of_a_test_of_each_pixel():
    rng = np.random.default_rng(1)
    for _ in range(20):
        corners = [rotated(*rng.uniform(-5, 75, 2), *rng.uniform(0.5, 50, 2), rng.uniform(0, 7)) for _ in range(12)]
        ids = rng.integers(1, 200, 12)
        expected = painted(corners, ids, 61, 70)
        label = rasterise(boxes(*corners, ids=ids), Window(0, 0, 61, 70), 0)
        assert label.dtype == np.uint8 and label.shape == (61, 70)
        np.testing.assert_array_equal(label, expected)


def test_corners_of_any_shape_that_does_not_cross_itself_are_kept():
    dart = [(5.3, 5.2), (40.1, 20.7), (5.4, 38.9), (18.2, 20.3)]  # with a corner that points inwards
    label = rasterise(boxes(dart), Window(0, 0, 45, 45), 0)
    np.testing.assert_array_equal(label, painted(np.array([dart]), [1], 45, 45))
    assert label[20, 8] == 0


def test_pixels_belong_to_the_box_that_holds_their_centre():
    label = rasterise(boxes(upright(1, 2, 4, 3)), Window(0, 0, 5, 6), 0)
    assert np.argwhere(label).tolist() == [[2, 1], [2, 2], [2, 3]]
    label = rasterise(boxes(upright(1.4, 2.4, 3.6, 3.4)), Window(0, 0, 5, 6), 0)
    assert np.argwhere(label).tolist() == [[2, 1], [2, 2], [2, 3]]
    assert not rasterise(boxes(upright(1.6, 2.6, 2.4, 3.4)), Window(0, 0, 5, 6), 0).any()


def test_the_smaller_box_counts_and_of_equal_ones_the_later():
    large, small, other = upright(0, 0, 20, 20), upright(5, 5, 10, 10), upright(8, 5, 13, 10)
    for order in ((large, small, other), (small, large, other), (small, other, large)):
        ids = [{id(large): 1, id(small): 2, id(other): 3}[id(corners)] for corners in order]
        label = rasterise(boxes(*order, ids=ids), Window(0, 0, 20, 20), 0)
        assert label[0, 0] == 1 and label[6, 6] == 2 and label[6, 12] == 3 and label[6, 9] == 3
    assert rasterise(boxes(other, small, ids=[3, 2]), Window(0, 0, 20, 20), 0)[6, 9] == 2
    assert (rasterise(boxes(small, small, ids=[9, 4]), Window(5, 5, 5, 5), 0) == 4).all()


def test_more_boxes_than_are_drawn_at_once_keep_their_order(monkeypatch):
    rng = np.random.default_rng(2)
    several = boxes(
        *(rotated(*rng.uniform(0, 60, 2), *rng.uniform(2, 40, 2), rng.uniform(0, 7)) for _ in range(50)),
        *[upright(20, 20, 30, 30)] * 50,
    )
    whole = rasterise(several, Window(0, 0, 60, 60), 0)
    monkeypatch.setattr("patchprobe.datasets.boxes._DRAWN_AT_ONCE", 7)
    np.testing.assert_array_equal(rasterise(several, Window(0, 0, 60, 60), 0), whole)


@pytest.mark.parametrize("whole_numbers", [True, False])
def test_windows_are_parts_of_the_whole_map(whole_numbers):
    rng = np.random.default_rng(3)
    for _ in range(10):
        # Whole numbers put many outlines through centres of pixels.
        corners = rng.integers(-10, 90, (15, 4, 2)) if whole_numbers else rng.uniform(-10, 90, (15, 4, 2))
        several = boxes(*corners)
        whole = rasterise(several, Window(0, 0, 80, 77), 0)
        for top, left, height, width in (
            (0, 0, 80, 77),
            (0, 0, 16, 16),
            (32, 48, 16, 16),
            (17, 3, 50, 1),
            (79, 76, 1, 1),
        ):
            part = rasterise(several, Window(top, left, height, width), 0)
            np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


def test_the_background_is_what_was_asked_for():
    label = rasterise(boxes(upright(0, 0, 2, 2), ids=[0]), Window(0, 0, 3, 3), 255)
    assert label.tolist() == [[0, 0, 255], [0, 0, 255], [255, 255, 255]]


@pytest.mark.parametrize("far", [float("nan"), float("inf"), 1e300, -1.1 * FARTHEST])
def test_corners_that_are_nowhere_are_refused(far):
    with pytest.raises(AssertionError):
        boxes([(far, 0), (9, 0), (9, 9), (0, 9)])


def test_boxes_far_over_the_image_cover_it():
    far = upright(-FARTHEST, 2.2, FARTHEST, 9.9)
    label = rasterise(boxes(far), Window(0, 0, 20, 30), 0)
    assert np.flatnonzero(label.all(axis=1)).tolist() == list(range(2, 10)) and label[[0, 1, 10, 19]].sum() == 0
    np.testing.assert_array_equal(rasterise(boxes(far), Window(8, 8, 5, 5), 0), label[8:13, 8:13])
    assert (rasterise(boxes(upright(*[-FARTHEST] * 2, *[FARTHEST] * 2)), Window(3, 3, 4, 4), 0) == 1).all()


def test_boxes_over_billions_of_windows_need_no_memory_for_each():
    needle = [(0, 0), (FARTHEST, FARTHEST - 1), (FARTHEST, FARTHEST), (0, 1)]
    everything = upright(0, 0, FARTHEST, FARTHEST)
    size = (int(FARTHEST), int(FARTHEST))
    found = present_ids(boxes(needle, everything, upright(70, 70, 80, 80)), size, 40, THIRD)
    assert found == {Window(40, 40, 40, 40): {3}}
