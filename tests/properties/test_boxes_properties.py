"""Any boxes: the share of each in each window against points thrown into it, and the map of a window against the whole."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from patchprobe.datasets.boxes import Boxes, present_ids, rasterise
from patchprobe.datasets.dataset import Window

SIDE = st.integers(16, 90)
SIZE = st.tuples(st.integers(1, 200), st.integers(1, 200))
BOX = st.tuples(
    *(st.floats(-30, 230),) * 2,
    *(st.floats(1, 120),) * 2,
    st.floats(0, 2 * np.pi),
    # Lists of corners begin anywhere, go either way or cross.
    st.sampled_from([(0, 1, 2, 3), (2, 3, 0, 1), (3, 2, 1, 0), (0, 2, 1, 3), (0, 1, 3, 2)]),
)
THROWN = np.random.default_rng(0).uniform(-0.5, 0.5, (1000, 2))
# Six standard errors of a share of a third.
DOUBT = 6 * np.sqrt(1 / 3 * 2 / 3 / len(THROWN))


def placed(points: np.ndarray, box: tuple) -> np.ndarray:
    """Return points of a square of 1 px around the origin as points of a box."""
    x, y, width, height, angle, _ = box
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points * (width, height) @ turn + (x, y)


def made(boxes: list[tuple]) -> Boxes:
    square = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    corners = np.array([placed(square, box)[list(box[5])] for box in boxes]).reshape(-1, 4, 2)
    return Boxes(corners, np.arange(1, len(boxes) + 1, dtype=np.uint8), np.zeros(len(boxes), bool))


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(BOX, max_size=4), SIZE, SIDE)
def test_a_category_is_where_a_third_of_the_thrown_points_is(
    boxes: list[tuple], size: tuple[int, int], side: int
) -> None:
    found = present_ids(made(boxes), size, side, 1 / 3)
    windows = {
        Window(top, left, side, side)
        for top in range(0, size[0] - side + 1, side)
        for left in range(0, size[1] - side + 1, side)
    }
    assert set(found) <= windows and all(found.values())
    for i, box in enumerate(boxes, 1):
        x, y = placed(THROWN, box).T
        for window in windows:
            share = ((x // side == window.left // side) & (y // side == window.top // side)).mean()
            if abs(share - 1 / 3) > DOUBT:
                assert (i in found.get(window, ())) == (share > 1 / 3)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(BOX, max_size=6), st.data())
def test_the_map_of_a_window_is_that_part_of_the_whole(boxes: list[tuple], data: st.DataObject) -> None:
    whole = rasterise(made(boxes), Window(0, 0, 160, 150), 0)
    top, left = data.draw(st.integers(0, 159)), data.draw(st.integers(0, 149))
    height, width = data.draw(st.integers(1, 160 - top)), data.draw(st.integers(1, 150 - left))
    part = rasterise(made(boxes), Window(top, left, height, width), 0)
    assert set(np.unique(part)) <= set(range(len(boxes) + 1))
    # A centre on an outline, but for rounding, can be on either side.
    rows, columns = np.nonzero(part != whole[top : top + height, left : left + width])
    outlines = shapely.union_all(shapely.boundary(made(boxes).polygons()[1]))
    assert (shapely.distance(shapely.points(columns + left + 0.5, rows + top + 0.5), outlines) < 1e-9).all()


@settings(deadline=None)  # a busy machine is no failure
@given(BOX)
def test_the_map_has_as_many_pixels_as_the_box_has_area(box: tuple) -> None:
    x, y, width, height, *rest = box
    pixels = int(rasterise(made([(x + 90, y + 90, width, height, *rest)]), Window(0, 0, 450, 450), 0).sum())
    assert abs(pixels - width * height) <= 2 * (width + height) + 4
