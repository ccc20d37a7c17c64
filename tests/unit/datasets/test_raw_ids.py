"""Odd label maps and images of a user's own folder: read right, by arrays made by hand, or refused with the file named."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from patchprobe.datasets.adapters.folders import Folders
from patchprobe.datasets.pictures import Content, read_rgb
from patchprobe.datasets.raw_ids import Labelling
from patchprobe.errors import ConfigError, DataError

IDS = {"classes": {"soil": 0, "crop": [1, 2], "weed": 300}, "void": [255]}
COLORS = {"classes": {"soil": "#000000", "crop": ["#00ff00", [0, 128, 0]], "weed": "#ff0000"}, "void": "#ffffff"}
RAW = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
CLASSES = np.array([[0, 1, 1], [255, 1, 0]], np.uint8)
PAINTED = np.array([[(0, 0, 0), (0, 255, 0), (0, 128, 0)], [(255, 255, 255), (0, 255, 0), (0, 0, 0)]], np.uint8)


def silent(kind: str, text: str) -> None:
    raise AssertionError(text)


def read(options: dict[str, Any], path: Path, notice: Any = silent) -> np.ndarray:
    return Labelling(options).read(path, notice)


def palette_picture(indices: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(indices, "P")
    image.putpalette([value for color in colors for value in color])
    return image


def test_names_alone_count_from_zero(tmp_path: Path) -> None:
    Image.fromarray(np.array([[2, 0], [1, 9]], np.uint8)).save(tmp_path / "a.png")
    options = {"classes": ["soil", "crop", "weed"], "void": 9}
    assert read(options, tmp_path / "a.png").tolist() == [[2, 0], [1, 255]]


def test_the_order_of_keys_means_nothing() -> None:
    """Jobs get their options as JSON with sorted keys."""
    for classes in ({"crop": [2, 1], "weed": 300, "soil": 0}, IDS["classes"]):
        labelling = Labelling({"classes": classes})
        assert labelling.classes.names == ("soil", "crop", "weed") and labelling.classes.ids == (0, 1, 2)
    colors = Labelling(COLORS).classes
    assert colors.names == ("crop", "soil", "weed") and colors.colors == ((0, 255, 0), (0, 0, 0), (255, 0, 0))


def test_ids_of_8_bits_and_of_a_palette(tmp_path: Path) -> None:
    Image.fromarray(RAW).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(IDS, tmp_path / "a.png"), CLASSES)
    colors = [(i, 255 - i, i // 2) for i in range(256)]
    palette_picture(RAW, *colors).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read(IDS, tmp_path / "b.png"), CLASSES)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_ids_of_16_bits(tmp_path: Path, suffix: str) -> None:
    raw = np.array([[300, 0], [2, 255]], np.uint16)
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        Image.fromarray(raw).save(path)
    else:
        tifffile.imwrite(path, raw)
    assert read(IDS, path).tolist() == [[2, 0], [1, 255]]


def test_an_unknown_id_is_named_with_its_pixels(tmp_path: Path) -> None:
    raw = np.array([[4, 0, 4], [1, 7, 4]], np.uint8)
    Image.fromarray(raw).save(tmp_path / "a.png")
    with pytest.raises(
        DataError, match=r"a\.png holds ids that are neither .*: 4 at 3 pixels, 7 at 1 pixels; add them to"
    ):
        read(IDS, tmp_path / "a.png")
    assert read(IDS | {"void": "others"}, tmp_path / "a.png").tolist() == [[255, 0, 255], [1, 255, 255]]
    Image.fromarray(raw.astype(np.uint16) * 10_000).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png holds ids .* 40000 at 3 pixels"):
        read(IDS, tmp_path / "b.png")


def test_colours_of_rgb_of_a_palette_and_of_grey(tmp_path: Path) -> None:
    wanted = Labelling(COLORS).classes.names.index
    crop, soil = wanted("crop"), wanted("soil")
    expected = [[soil, crop, crop], [255, crop, soil]]
    Image.fromarray(PAINTED).save(tmp_path / "a.png")
    assert read(COLORS, tmp_path / "a.png").tolist() == expected
    numbers = np.array([[3, 0, 1], [2, 0, 3]], np.uint8)  # in whatever order a program numbers them
    palette_picture(numbers, (0, 255, 0), (0, 128, 0), (255, 255, 255), (0, 0, 0)).save(tmp_path / "b.png")
    assert read(COLORS, tmp_path / "b.png").tolist() == expected
    Image.fromarray(np.dstack([PAINTED, np.full((2, 3), 255, np.uint8)])).save(tmp_path / "c.png")
    assert read(COLORS, tmp_path / "c.png").tolist() == expected
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "d.png")
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "e.png")
    for name in "de":
        assert read(COLORS, tmp_path / f"{name}.png").tolist() == [[soil, 255]]


def test_colours_between_two_are_refused_with_an_example(tmp_path: Path) -> None:
    pixels = PAINTED.copy()
    pixels[1, 2], pixels[0, 2] = (6, 0, 0), (6, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    message = (
        r"a\.png shows 1 colours .* at 2 pixels, such as #060000 at row 0, column 2, near #000000: edges were smoothed .*"
        "save it again without smoothing"
    )
    with pytest.raises(DataError, match=message):
        read(COLORS, tmp_path / "a.png")
    assert read(COLORS | {"void": "others"}, tmp_path / "a.png")[1, 2] == 255
    pixels[1, 2] = (0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png shows 2 colours"):
        read(COLORS, tmp_path / "a.png")


def odd_masks(folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Write label maps that cannot be read, and return by the name of each the options and what is said of it."""
    tiff = {"photometric": "minisblack"}
    Image.fromarray(RAW).save(folder / "lossy.jpg")
    Image.fromarray(PAINTED).save(folder / "lossy-colours.jpg")
    Image.fromarray(PAINTED).save(folder / "lossy.tif", compression="jpeg")
    Image.fromarray(PAINTED).save(folder / "colours.png")
    Image.fromarray(np.dstack([RAW, RAW])).save(folder / "alpha.png")
    Image.fromarray(np.dstack([PAINTED, RAW])).save(folder / "transparent.png")
    palette_picture(RAW, *((i, 2 * i % 256, 9) for i in range(256))).save(folder / "clear-colour.png", transparency=1)
    Image.fromarray(np.array([[0, 1]], bool)).save(folder / "one-bit.png")
    palette_picture(np.array([[0, 1]], np.uint8), (0, 0, 0), (255, 255, 255)).save(folder / "black-and-white.png")
    tifffile.imwrite(folder / "real.tif", RAW.astype(np.float32), **tiff)
    tifffile.imwrite(folder / "signed.tif", RAW.astype(np.int16), **tiff)
    tifffile.imwrite(folder / "pages.tif", np.stack([RAW, RAW]), **tiff)
    tifffile.imwrite(folder / "inverted.tif", RAW, photometric="miniswhite")
    tifffile.imwrite(folder / "deep.tif", PAINTED.astype(np.uint16), photometric="rgb")
    Image.fromarray(RAW.astype(np.uint16)).save(folder / "deep-grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RAW).save(folder / "turned.png", exif=exif)
    (folder / "cut.png").write_bytes((folder / "colours.png").read_bytes()[:50])
    (folder / "text.png").write_text("no picture")
    return {
        "lossy.jpg": (IDS, "is a JPEG, in which ids change or can: save it as PNG"),
        "lossy-colours.jpg": (COLORS, "is a JPEG"),
        "lossy.tif": (COLORS, "is a TIFF with jpeg compression"),
        "colours.png": (IDS, "has pixel format 'RGB'; it must hold one 8-bit class id per pixel"),
        "alpha.png": (IDS, "has pixel format 'LA'"),
        "transparent.png": (COLORS, "is transparent at 5 pixels"),
        "clear-colour.png": (COLORS, "is transparent at 2 pixels"),
        "one-bit.png": (IDS, "has 1 bits per pixel: it holds ids 0, 1, or"),
        "black-and-white.png": (IDS, "is black and white: it holds ids 0 and 255, or 0, 1 shown as these"),
        "real.tif": (IDS, "holds numbers with a sign or a point"),
        "signed.tif": (IDS, "holds numbers with a sign or a point"),
        "pages.tif": (IDS, "holds 2 pictures"),
        "inverted.tif": (IDS, "counts down from white"),
        "deep.tif": (COLORS, "cannot be decoded|has 16 bits per channel"),
        "deep-grey.png": (COLORS, "has 16 bits per channel, and classes are colours"),
        "turned.png": (IDS, r"is shown turned or mirrored by viewers \(EXIF orientation 6\)"),
        "cut.png": (COLORS, "cannot be decoded"),
        "text.png": (IDS, "cannot be decoded"),
    }


def test_odd_masks_are_refused_by_name(tmp_path: Path) -> None:
    for name, (options, message) in odd_masks(tmp_path).items():
        with pytest.raises(DataError, match=message) as error:
            read(options, tmp_path / name)
        assert str(tmp_path / name) in str(error.value)


def pair(root: Path, image: Image.Image, mask_size: tuple[int, int], name: str = "a.jpg", **saved: Any) -> Folders:
    """Write one image and a label map of rows and columns, and open the folder."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(exist_ok=True)
    image.save(root / "images" / name, **saved)
    Image.fromarray(np.zeros(mask_size, np.uint8)).save(root / f"masks/{Path(name).stem}.png")
    return Folders(root, {"images": "images/*", "label_maps": "masks/*", "classes": ["soil", "crop"]})


def read_only(folder: Folders) -> np.ndarray:
    (record,) = folder.records("all")
    return folder.read_image(record)


def photograph(rows: int = 16, columns: int = 32) -> np.ndarray:
    down, across = np.mgrid[:rows, :columns]
    return np.stack([down * 200 // rows, across * 200 // columns, np.full_like(down, 90)], axis=-1).astype(np.uint8)


# What a viewer does, by EXIF 2.32: where the stored first row and first column are in what is seen.
SEEN = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.rot90(np.fliplr(a)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.fliplr(a), -1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", SEEN)
def test_turned_images_are_read_as_their_label_map_fits_or_refused(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, seen = Image.fromarray(photograph()), SEEN[orientation](photograph())
    folder = pair(tmp_path, image, seen.shape[:2], "a.png", exif=exif)
    if orientation > 4:
        np.testing.assert_array_equal(read_only(folder), seen)
        np.testing.assert_array_equal(read_only(pair(tmp_path, image, (16, 32), "a.png", exif=exif)), photograph())
    else:
        with pytest.raises(
            DataError, match=rf"a\.png is shown turned .*orientation {orientation}.*masks/a\.png fits it both"
        ):
            read_only(folder)
    options = {"images": "images/*", "label_maps": "masks/*", "classes": ["soil", "crop"]}
    for choice, wanted in (("stored", photograph()), ("shown", seen)):
        np.testing.assert_array_equal(read_only(Folders(tmp_path, options | {"orientation": choice})), wanted)


def test_a_square_image_on_its_side_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = pair(tmp_path, Image.fromarray(photograph(16, 16)), (16, 16), exif=exif)
    with pytest.raises(
        DataError, match=r"images/a\.jpg is shown turned.*options\.orientation of the data set to stored or shown"
    ):
        read_only(folder)


def test_grey_and_alpha_become_rgb_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rgb = photograph()
    for mode, wanted in (
        ("L", np.repeat(rgb[..., :1], 3, axis=2)),
        ("LA", np.repeat(rgb[..., :1], 3, axis=2)),
        ("RGBA", rgb),
    ):
        source = Image.fromarray(rgb[..., 0] if mode[0] == "L" else rgb)
        if mode.endswith("A"):
            source.putalpha(77)
        assert source.mode == mode
        caplog.clear()
        np.testing.assert_array_equal(read_only(pair(tmp_path, source, (16, 32), "a.png")), wanted)
        assert "images/a.png is a " in caplog.text and f"(mode {mode}); converted to RGB" in caplog.text


def test_other_images_are_refused_by_name(tmp_path: Path) -> None:
    rgb = photograph()
    cmyk = pair(tmp_path, Image.fromarray(rgb).convert("CMYK"), (16, 32))
    with pytest.raises(DataError, match=r"images/a\.jpg has pixel format 'CMYK'; convert it to 8-bit RGB"):
        read_only(cmyk)
    (tmp_path / "images/a.jpg").unlink()
    for name, pixels, mode in (
        ("a.png", rgb[..., 0].astype(np.uint16) * 257, "minisblack"),
        ("a.tif", rgb.astype(np.uint16), "rgb"),
        ("a.tif", rgb[..., 0].astype(np.float32), "minisblack"),
    ):
        path = tmp_path / "images" / name
        if path.suffix == ".png":
            Image.fromarray(pixels).save(path)
        else:
            tifffile.imwrite(path, pixels, photometric=mode)
        with pytest.raises(
            DataError, match=rf"images/{name}.*(16|32) bits per channel|images/{name} cannot be decoded"
        ):
            read_only(Folders(tmp_path, {"images": "images/*", "label_maps": "masks/*", "classes": ["soil", "crop"]}))
        path.unlink()
    Image.fromarray(rgb).save(tmp_path / "a.gif")
    (tmp_path / "images/a.jpg").write_bytes((tmp_path / "a.gif").read_bytes())
    with pytest.raises(DataError, match=r"images/a\.jpg cannot be decoded"):
        read_only(cmyk)


def test_bytes_are_read_as_files_are(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.array([[300, 0]], np.uint16)).save(file, "png")
    assert Labelling(IDS).read(Content("b.parquet, row 3", file.getvalue()), silent).tolist() == [[2, 0]]
    with pytest.raises(DataError, match=r"image b\.parquet, row 3 has 16 bits per channel"):
        read_rgb(Content("b.parquet, row 3", file.getvalue()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "options.classes is None: list at least two names"),
        ({"classes": ["soil"]}, "list at least two names"),
        ({"classes": "soil"}, "options.classes is 'soil': give a list of names"),
        ({"classes": ["soil", "soil"]}, "options.classes has 'soil' twice"),
        ({"classes": ["soil", 3]}, "options.classes has the name 3"),
        ({"classes": ["soil", "void"]}, "leave void to options.void"),
        ({"classes": [f"c{i}" for i in range(256)]}, "has 256 classes: give .* of 255 at most"),
        ({"classes": {"a": None, "b": 1}}, "options.classes.a is empty: .*in YAML a colour needs its quotes"),
        ({"classes": {"a": [], "b": 1}}, "options.classes.a is an empty list"),
        ({"classes": {"a": 70_000, "b": 1}}, "options.classes.a holds 70000: give a raw id .0 to 65535."),
        ({"classes": {"a": "red", "b": 1}}, "options.classes.a holds 'red'"),
        ({"classes": {"a": 1, "b": [2, 1]}}, "options.classes.b has 1, which a has already"),
        ({"classes": {"a": [255, 0, 0], "b": 1}}, r"a has already: .*\[\[255, 128, 0\]\]"),
        ({"classes": {"a": "#000000", "b": 1}}, "mix raw ids and colours"),
        ({"classes": ["a", "b"], "void": 1}, "options.void has 1, which b has already"),
        ({"classes": ["a", "b"], "void": "other"}, "options.void holds 'other': .* or others"),
    ],
)
def test_options_that_mean_nothing_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Labelling(options)
