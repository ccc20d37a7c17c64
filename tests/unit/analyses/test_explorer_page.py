"""The explorer in a real browser: what is clicked, typed and tapped leads to what the store gives."""

import re

import numpy as np
import pytest
from browsing import DESKTOP, PHONE, browser, opened
from explored import COLUMNS, HOSTILE, NAMES, ROWS, VARIANTS, stores, written
from playwright.sync_api import expect

from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.tiles.patches import patch_labels
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.transforms import by_variance, fit_transform, moments

VOID = 255


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    parts = stores()
    return parts, written(tmp_path_factory.mktemp("explorer"), *parts)


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium, made):
    with opened(chromium, made[1]) as found:
        yield found


class Truth:
    """What the memory bank says of a view at a number of removed features, for a scene."""

    def __init__(self, parts, model, variant, removed, scene):
        _, labels, features = parts
        tokens = features[model]
        self.rows, self.columns = int(tokens.patch_row.max()) + 1, int(tokens.patch_col.max()) + 1
        training = labelled_tokens(tokens, labels, "train")
        transform = fit_transform(VARIANTS[model].get(variant), training.tokens, key="k")
        bank = transform(training.tokens)
        kept = np.sort(by_variance(moments(bank)[1])[removed:])
        self.bank, self.classes = MemoryBank(bank[:, kept]), training.ids
        split, names = tokens.split.values, tokens.tile.values
        ids = patch_labels(labels.label.values, (self.rows, self.columns)).reshape(len(names), -1)
        # Names and patches of the rows of the bank.
        tile, patch = np.nonzero((ids != VOID) & (split == "train")[:, None])
        self.places = [(str(names[t]), int(p)) for t, p in zip(tile, patch, strict=True)]
        first = np.flatnonzero(split == "evaluation")[0] + scene * 2 * ROWS * COLUMNS  # images 0 and 2
        own = slice(first, first + ROWS * COLUMNS)
        self.tokens = transform(tokens.tokens.values[0, -1, own].reshape(-1, transform.features))[:, kept]
        self.ids = ids[own].ravel()

    def number(self, row, column):
        """The patch at a row and column of the whole image, tile after tile."""
        tile = row // self.rows * COLUMNS + column // self.columns
        return tile * self.rows * self.columns + row % self.rows * self.columns + column % self.columns

    def in_training(self, number, k=4):
        index, squared = self.bank.search([self.tokens[number : number + 1]], threads=1, k=k)
        return [
            (*self.places[i], named(self.classes[i]), float(np.sqrt(d)))
            for i, d in zip(index[0], squared[0], strict=True)
        ]

    def in_image(self, number, k=4):
        others = np.delete(np.arange(len(self.tokens)), number)
        index, squared = MemoryBank(self.tokens[others]).search([self.tokens[number : number + 1]], threads=1, k=k)
        return [(int(others[i]), float(np.sqrt(d))) for i, d in zip(index[0], squared[0], strict=True)]


def named(number):
    return "void" if number == VOID else NAMES[number]


def panel(page, side):
    return page.locator(".panel").nth(side)


def click_patch(page, side, grid, row, column, tap=False):
    box = panel(page, side).locator(".stage canvas").bounding_box()
    x = box["x"] + (column + 0.5) * box["width"] / grid[1]
    y = box["y"] + (row + 0.5) * box["height"] / grid[0]
    page.touchscreen.tap(x, y) if tap else page.mouse.click(x, y)


def shown(page, side):
    """Tile, patch, class and distance of each card, as they stand there."""
    return (
        panel(page, side)
        .locator(".cards li")
        .evaluate_all(
            "all => all.map(one => [one.dataset.tile, Number(one.dataset.patch), one.querySelector('.name').textContent, "
            "Number(one.textContent.match(/distance (.*)$/)[1])])"
        )
    )


def check(page, side, truth, number):
    """What a side shows is what the memory bank says; of equal distances any order."""
    cards, expected = shown(page, side), truth.in_training(number)
    assert [card[3] for card in cards] == [pytest.approx(one[3], rel=6e-4, abs=1e-6) for one in expected]
    distances = [one[3] for one in truth.in_training(number, k=5)]
    if np.diff(distances).min() > 1e-9:
        assert [tuple(card[:3]) for card in cards] == [one[:3] for one in expected]
    same = sum(one[2] == named(truth.ids[number]) for one in expected)
    assert panel(page, side).locator(".head .soft").first.inner_text() == f"{same} of 4 of its class"
    assert panel(page, side).locator(".cards .same").count() == same
    places = panel(page, side).locator(".places li")
    found = places.evaluate_all(
        "all => all.map(one => [Number(one.dataset.number), Number(one.querySelector('.soft').textContent)])"
    )
    inside = truth.in_image(number)
    assert [distance for _, distance in found] == [pytest.approx(d, rel=6e-4, abs=1e-6) for _, d in inside]
    classes = places.locator(".name").all_inner_texts()
    assert classes == [named(truth.ids[int(place)]) for place, _ in found]


PICKS = [(0, 0), (3, 7), (4, 9), (6, 14), (7, 15)]


def test_five_clicks_on_each_side_lead_to_what_the_memory_bank_gives(page, made):
    parts = made[0]
    sides = [("raw-pixels", "", (8, 16)), ("random-vit", "", (4, 8))]
    truths = [Truth(parts, *view[:2], 0, 0) for view in sides]
    for side, view in enumerate(sides):
        panel(page, side).locator("select").select_option(view[0])
    for side, (_, _, grid) in enumerate(sides):
        for row, column in PICKS:
            row, column = row * grid[0] // 8, column * grid[1] // 16
            click_patch(page, side, grid, row, column)
            own = truths[side].number(row, column)
            assert panel(page, side).get_attribute("data-patch") == str(own)
            check(page, side, truths[side], own)
            # The other side shows the patch of its own grid at the same place.
            check(page, 1 - side, truths[1 - side], int(panel(page, 1 - side).get_attribute("data-patch")))
            assert page.locator("#picked").inner_text() == named(
                truths[0].ids[int(panel(page, 0).get_attribute("data-patch"))]
            )


@pytest.mark.parametrize("variant", ["drop-20", "flat", "white"])
def test_variants_have_neighbours_of_their_own(page, made, variant):
    panel(page, 0).locator("select").select_option(f"raw-pixels {variant}")
    assert panel(page, 0).locator("input[type=range]").is_disabled()
    truth = Truth(made[0], "raw-pixels", variant, 0, 0)
    for row, column in PICKS:
        click_patch(page, 0, (8, 16), row, column)
        check(page, 0, truth, truth.number(row, column))


def test_the_slider_removes_features_on_its_side_alone(page, made):
    panel(page, 0).locator("select").select_option("raw-pixels")
    panel(page, 1).locator("select").select_option("raw-pixels")
    click_patch(page, 0, (8, 16), 5, 3)
    before = shown(page, 1)
    for place, removed in enumerate([0, 10, 40, 100]):
        panel(page, 0).locator("input[type=range]").fill(str(place))
        assert f"{removed} of 192" in panel(page, 0).locator(".amount").inner_text()
        truth = Truth(made[0], "raw-pixels", "", removed, 0)
        check(page, 0, truth, truth.number(5, 3))
        assert shown(page, 1) == before
    # A model with fewer features has fewer stops, and the nearest one below.
    panel(page, 0).locator("select").select_option("random-vit")
    assert "40 of 48" in panel(page, 0).locator(".amount").inner_text()


def test_keys_do_what_a_mouse_does(page, made):
    panel(page, 0).locator("select").select_option("raw-pixels")
    truth = Truth(made[0], "raw-pixels", "", 0, 0)
    click_patch(page, 0, (8, 16), 2, 3)
    canvas = panel(page, 0).locator(".stage canvas")
    assert canvas.evaluate("canvas => canvas === document.activeElement")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    check(page, 0, truth, truth.number(2, 5))
    assert panel(page, 0).get_attribute("data-patch") == str(truth.number(2, 5))
    # Said aloud a moment later, with class and distances.
    spoken = page.locator("#spoken")
    expect(spoken).to_contain_text("row 3, column 6")
    assert f"at {truth.in_training(truth.number(2, 5))[0][3]:#.4g}" in spoken.inner_text()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert panel(page, 0).get_attribute("data-patch") == str(truth.number(2, 0))
    page.keyboard.press("]")
    check(page, 0, Truth(made[0], "raw-pixels", "", 10, 0), truth.number(2, 0))
    page.keyboard.press("[")
    page.keyboard.press("1")
    found = int(panel(page, 0).get_attribute("data-patch"))
    assert found == truth.in_image(truth.number(2, 0))[0][0]
    page.keyboard.press("s")
    assert page.locator("#shade").get_attribute("aria-pressed") == "false"
    page.keyboard.press("PageDown")
    other = Truth(made[0], "raw-pixels", "", 0, 1)
    check(page, 0, other, int(panel(page, 0).get_attribute("data-patch")))
    assert page.locator("#place").inner_text() == "of val/scene00002"
    # Everything else is reached by Tab, and its focus is seen.
    seen = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("[document.activeElement.localName, document.activeElement.type].join(' ').trim()"))
        style = page.evaluate(
            "document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineWidth"
        )
        assert style in ("3px", False)
    assert {"canvas", "select select-one", "input range", "button button", "summary"} <= seen


def test_a_neighbour_in_the_image_is_picked_by_its_button(page, made):
    click_patch(page, 0, (8, 16), 4, 4)
    place = panel(page, 0).locator(".places li").nth(1)
    number = place.get_attribute("data-number")
    place.locator("button").click()
    assert panel(page, 0).get_attribute("data-patch") == number


def test_the_shading_is_of_the_distances_of_the_store(page, made):
    """Tokens are rounded, which moves no distance by more than a hundredth of the largest."""
    for model, variant, removed, stop in (
        ("raw-pixels", "", 40, 2),
        ("raw-pixels", "drop-20", 0, 0),
        ("raw-pixels", "flat", 0, 0),
        ("raw-pixels", "white", 0, 0),
        ("random-vit", "", 10, 1),
    ):
        truth = Truth(made[0], model, variant, removed, 1)
        name = f"{model} {variant}".strip()
        found = page.evaluate(
            "async ([name, stop, number]) => { const data = new Data(await readData(), [], null);"
            "const view = data.views.find(one => one.name === name);"
            "return Array.from(data.distances(data.scenes[1], view, stop, number)); }",
            [name, stop, 11],
        )
        exact = np.sqrt(np.square(truth.tokens.astype(np.float64) - truth.tokens[11]).sum(axis=1))
        assert np.abs(np.array(found) - exact).max() < 0.01 * exact.max()


def test_names_are_text_whatever_they_look_like(page, made):
    truth = Truth(made[0], "raw-pixels", "", 0, 0)
    panel(page, 0).locator("select").select_option("raw-pixels")
    hostile = np.flatnonzero(truth.ids == NAMES.index(HOSTILE))
    assert len(hostile)
    tile, patch = divmod(int(hostile[0]), 16)
    click_patch(page, 0, (8, 16), tile // COLUMNS * 4 + patch // 4, tile % COLUMNS * 4 + patch % 4)
    assert page.locator("#picked").inner_text() == HOSTILE
    assert page.evaluate("document.scripts.length") == 2 and page.locator("img").count() == 0
    text = made[1].read_text()
    assert "alert(" not in text and len(re.findall(r"https?://", text)) == 0


def test_on_a_phone_sides_stand_below_each_other_and_are_tapped(chromium, made):
    with opened(chromium, made[1], PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        first, second = (panel(page, side).bounding_box() for side in (0, 1))
        assert second["y"] >= first["y"] + first["height"] and first["width"] > 350
        panel(page, 0).locator("select").select_option("raw-pixels")
        truth = Truth(made[0], "raw-pixels", "", 0, 0)
        for row, column in PICKS:
            panel(page, 0).locator(".stage").scroll_into_view_if_needed()
            click_patch(page, 0, (8, 16), row, column, tap=True)
            check(page, 0, truth, truth.number(row, column))
        page.locator("#moves button").first.tap()
        assert panel(page, 0).get_attribute("data-patch") == str(truth.number(7, 14))
        heights = page.locator("button:visible, select:visible").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().height)"
        )
        assert min(heights) >= 44


def test_the_window_and_the_colours_may_change(chromium, made):
    with opened(chromium, made[1], DESKTOP | {"color_scheme": "dark"}) as page:
        red = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert red == "rgb(21, 23, 26)"
        page.set_viewport_size({"width": 700, "height": 800})
        page.wait_for_timeout(100)
        box = panel(page, 0).locator(".stage canvas").bounding_box()
        assert box["width"] < 700 and box["width"] == pytest.approx(2 * box["height"], rel=0.01)
