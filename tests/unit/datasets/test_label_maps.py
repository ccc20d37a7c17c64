"""Label maps in every form that a PNG or TIFF can have: ids by the bits of the file, written here by hand, or a refusal."""

import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from patchprobe.datasets.adapters.ade20k import ADE20K
from patchprobe.datasets.adapters.camvid import CamVid
from patchprobe.datasets.dataset import Record
from patchprobe.datasets.label_maps import read_ids
from patchprobe.datasets.pictures import orientation_of, read_rgb
from patchprobe.errors import DataError

GREY, PALETTE, GREY_ALPHA, RGBA = 0, 3, 4, 6
CAMVID = range(12)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# First row and column of the seven passes of Adam7, and their steps (PNG specification, section 8.2).
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def lines_of(samples, bits):
    """Return the lines of samples with the given bits each, without a filter."""
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        return [b"\0" + row.astype(">u2").tobytes() for row in rows]
    flat = [np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :].ravel() for row in rows]
    return [b"\0" + np.packbits(bits_of_row).tobytes() for bits_of_row in flat]


def png(path, samples, bits, colour, *chunks, interlaced=False):
    """Write samples (rows, columns) or (rows, columns, channels) with the given bits each."""
    lines = lines_of(samples, bits)
    if interlaced:
        parts = [samples[row::down, column::across] for row, column, down, across in PASSES]
        lines = [line for part in parts if part.size for line in lines_of(part, bits)]
    header = struct.pack(">IIBBBBB", samples.shape[1], len(samples), bits, colour, 0, 0, int(interlaced))
    end = chunk(b"IDAT", zlib.compress(b"".join(lines))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + end)
    return path


def palette(*colours):
    return chunk(b"PLTE", bytes(value for colour in colours for value in colour))


def grey(*values):
    return palette(*((value,) * 3 for value in values))


@pytest.fixture
def ids():
    return np.random.default_rng(0).choice(np.array([0, 3, 7, 11], np.uint8), (9, 13))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_of_greys_is_read_as_the_greys(tmp_path, ids, bits):
    """What oxipng and others make of a grey map with few ids, in whatever order they number them."""
    order = [7, 0, 11, 3]
    numbers = np.vectorize(order.index)(ids)
    np.testing.assert_array_equal(read_ids(png(tmp_path / "a.png", numbers, bits, PALETTE, grey(*order))), ids)
    known = read_ids(tmp_path / "a.png", known=CAMVID)
    np.testing.assert_array_equal(known, ids)


def test_a_palette_of_greys_that_are_no_ids_is_read_as_numbers(tmp_path, ids):
    """Made for the eye: classes 0 to 3 in four greys, of which the data set has none as id."""
    numbers = np.searchsorted([0, 3, 7, 11], ids)
    path = png(tmp_path / "a.png", numbers, 8, PALETTE, grey(0, 85, 170, 250))
    np.testing.assert_array_equal(read_ids(path, known=CAMVID), numbers)


def test_the_palette_that_is_the_numbers_needs_no_thought(tmp_path, ids):
    heard = []
    path = png(tmp_path / "a.png", ids, 8, PALETTE, grey(*range(256)))
    np.testing.assert_array_equal(read_ids(path, notice=lambda *said: heard.append(said)), ids)
    assert not heard


def test_black_and_white_could_be_both(tmp_path):
    mask = np.eye(6, dtype=np.uint8)
    for bits in (1, 8):
        path = png(tmp_path / "a.png", mask, bits, PALETTE, grey(0, 255))
        with pytest.raises(
            DataError, match=r"a\.png is black and white: it holds ids 0 and 255, or 0, 1 shown as these"
        ):
            read_ids(path, known=(0, 1, 255))
        np.testing.assert_array_equal(read_ids(path, known=CAMVID), mask)


def test_colours_keep_their_numbers_unless_these_contradict_the_official_ones(tmp_path):
    official = {(0, 0, 0): 0, (128, 0, 0): 1, (0, 128, 0): 2, (128, 128, 0): 3}
    numbers = np.array([[0, 1, 3], [2, 2, 0]], np.uint8)
    straight = png(tmp_path / "a.png", numbers, 8, PALETTE, palette(*official, (9, 9, 9)))
    np.testing.assert_array_equal(read_ids(straight, colors=official), numbers)
    own = png(tmp_path / "c.png", numbers, 8, PALETTE, palette((1, 2, 3), (4, 5, 6), (7, 8, 9), (9, 8, 7)))
    np.testing.assert_array_equal(read_ids(own, colors=official), numbers)
    turned = png(tmp_path / "b.png", numbers, 2, PALETTE, palette(*reversed(official)))
    with pytest.raises(
        DataError, match=r"b\.png shows the official colours of ids 3, 2, 1, 0, and its palette numbers them 0, 1"
    ):
        read_ids(turned, colors=official)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_grey_are_numbers_where_greys_are_no_ids(tmp_path, bits):
    stored = np.arange(2**bits, dtype=np.uint8)[None] % 12
    np.testing.assert_array_equal(read_ids(png(tmp_path / "a.png", stored, bits, GREY), known=CAMVID), stored)


@pytest.mark.parametrize(("bits", "step"), [(1, 255), (2, 85), (4, 17)])
def test_few_bits_of_grey_are_greys_where_numbers_are_no_ids(tmp_path, bits, step):
    stored = np.arange(2**bits, dtype=np.uint8)[None]
    path = png(tmp_path / "a.png", stored, bits, GREY)
    np.testing.assert_array_equal(read_ids(path, known=range(0, 256, step)), stored.astype(int) * step)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_grey_that_could_be_both_are_refused(tmp_path, bits):
    path = png(tmp_path / "a.png", np.eye(5, dtype=np.uint8), bits, GREY)
    for known in (None, range(256)):
        with pytest.raises(DataError, match=rf"a\.png has {bits} bits per pixel: it holds ids 0, 1, or an optimiser"):
            read_ids(path, known=known)
    with pytest.raises(DataError, match="neither as ids"):
        read_ids(path, known=[0, 7])
    np.testing.assert_array_equal(read_ids(png(tmp_path / "b.png", np.zeros((3, 5)), bits, GREY)), np.zeros((3, 5)))


def test_chunks_about_looks_change_no_id(tmp_path, ids):
    plain = png(tmp_path / "a.png", ids, 8, GREY)
    gamma, clear = chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"tRNS", struct.pack(">H", 7))
    np.testing.assert_array_equal(read_ids(png(tmp_path / "b.png", ids, 8, GREY, gamma, clear)), read_ids(plain))
    numbers = np.searchsorted([0, 3, 7, 11], ids)
    seen = png(tmp_path / "c.png", numbers, 4, PALETTE, gamma, grey(0, 3, 7, 11), chunk(b"tRNS", b"\0\xff\x80"))
    np.testing.assert_array_equal(read_ids(seen), ids)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_interlaced_files_hold_the_same(tmp_path, ids, bits):
    numbers = np.searchsorted([0, 3, 7, 11], ids)
    seen = png(tmp_path / "a.png", numbers, bits, PALETTE, grey(0, 3, 7, 11), interlaced=True)
    np.testing.assert_array_equal(read_ids(seen), ids)
    plain = png(tmp_path / "b.png", numbers, bits, GREY, interlaced=True)
    np.testing.assert_array_equal(read_ids(plain, known=range(4)), numbers)


def test_sixteen_bits_hold_ids_up_to_255(tmp_path, ids):
    np.testing.assert_array_equal(read_ids(png(tmp_path / "a.png", ids, 16, GREY)), ids)
    with pytest.raises(DataError, match=r"b\.png has 16 bits and holds 2827"):
        read_ids(png(tmp_path / "b.png", ids.astype(np.uint16) * 257, 16, GREY))


@pytest.mark.parametrize(
    ("colour", "channels", "mode"), [(GREY_ALPHA, 2, "LA"), (2, 3, "RGB"), (RGBA, 4, "RGBA")], ids=str
)
def test_channels_beside_the_ids_are_refused(tmp_path, ids, colour, channels, mode):
    path = png(tmp_path / "a.png", np.repeat(ids[..., None], channels, 2), 8, colour)
    with pytest.raises(DataError, match=rf"a\.png has pixel format '{mode}'.*in one channel"):
        read_ids(path)


def test_lossy_files_and_those_of_several_pictures_are_refused(tmp_path, ids):
    Image.fromarray(ids).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(DataError, match=r"a\.png is a JPEG, in which ids change or can"):
        read_ids(tmp_path / "a.png")
    picture = Image.fromarray(ids)
    picture.save(tmp_path / "b.tif", save_all=True, append_images=[picture])
    with pytest.raises(DataError, match=r"b\.tif holds 2 pictures"):
        read_ids(tmp_path / "b.tif")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    picture.save(tmp_path / "c.tif", tiffinfo=tags)
    with pytest.raises(DataError, match=r"c\.tif counts down from white"):
        read_ids(tmp_path / "c.tif")


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_plain_grey_is_read_in_every_format_without_loss(tmp_path, ids, suffix):
    Image.fromarray(ids).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_ids(tmp_path / f"a.{suffix}"), ids)


def test_adapters_know_which_ids_can_be(tmp_path, ids, caplog):
    """A CamVid map of four bits can only hold numbers; one of ADE20K could hold both."""
    (tmp_path / "sceneCategories.txt").touch()
    stored = np.arange(9, dtype=np.uint8)[None]
    png(tmp_path / "a.png", stored, 4, GREY)
    record = Record("a", "", tmp_path / "a.png", tmp_path / "a.png")
    np.testing.assert_array_equal(CamVid(tmp_path, {}).read_label(record), stored)
    with pytest.raises(DataError, match="has 4 bits per pixel"):
        ADE20K(tmp_path, {}).read_label(record)
    png(tmp_path / "a.png", np.searchsorted([0, 3, 7, 11], ids), 2, PALETTE, grey(0, 3, 7, 11))
    camvid = CamVid(tmp_path, {})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            np.testing.assert_array_equal(camvid.read_label(record), ids)
    (said,) = [message for message in caplog.messages if "palette of greys" in message]
    assert str(tmp_path / "a.png") in said


@pytest.mark.parametrize("colour", [GREY, 2, GREY_ALPHA, RGBA])
def test_pictures_of_sixteen_bits_are_refused(tmp_path, colour):
    channels = {GREY: 1, 2: 3, GREY_ALPHA: 2, RGBA: 4}[colour]
    path = png(tmp_path / "a.png", np.full((3, 4, channels), 4095), 16, colour)
    with pytest.raises(DataError, match=r"a\.png has 16 bits per channel; convert it to 8-bit RGB"):
        read_rgb(path)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_pictures_of_few_bits_show_their_greys(tmp_path, bits):
    stored = np.arange(2**bits, dtype=np.uint8)[None]
    shown = stored.astype(int) * 255 // (2**bits - 1)
    found = read_rgb(png(tmp_path / "a.png", stored, bits, GREY))
    np.testing.assert_array_equal(found, np.repeat(shown[..., None], 3, 2))


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_orientation_is_named_and_pixels_stay_as_stored(tmp_path, caplog, orientation, suffix):
    exif = Image.Exif()
    exif[0x112] = orientation
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:4] = 250
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(stored).save(path, exif=exif)
    assert orientation_of(path) == orientation
    with caplog.at_level(logging.WARNING):
        found = read_rgb(path)
    assert np.abs(found.astype(int) - stored).max() < 12
    assert [f"EXIF orientation {orientation}" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_an_orientation_of_label_maps_and_of_tiff_is_refused(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("L", (6, 5)).save(tmp_path / "a.png", exif=exif)
    Image.new("RGB", (6, 5)).save(tmp_path / "b.tif", exif=exif)
    for read, name in ((read_ids, "a.png"), (read_ids, "b.tif"), (read_rgb, "b.tif")):
        with pytest.raises(
            DataError, match=rf"{name} is shown turned or mirrored by viewers \(EXIF orientation {orientation}\): save"
        ):
            read(tmp_path / name)


def test_animated_pictures_are_refused(tmp_path):
    frames = [Image.new("RGB", (6, 5), (value, 0, 0)) for value in (0, 200)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a\.png holds 2 pictures"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize(("low", "dtype"), [(-250, np.int32), (-1, np.int32), (-1, np.int16), (70000, np.int32)])
def test_numbers_that_are_no_ids_do_not_wrap_around(tmp_path, low, dtype):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if dtype == np.int16:
        tags[339] = 2
        Image.fromarray(np.full((4, 5), low, dtype).view(np.uint16)).save(tmp_path / "a.tif", tiffinfo=tags)
    else:
        Image.fromarray(np.full((4, 5), low, dtype)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif (has 16 bits and holds|holds numbers with a sign)"):
        read_ids(tmp_path / "a.tif")


def test_void_beside_official_colours_hides_no_contradiction(tmp_path):
    official = {(0, 0, 0): 0, (128, 0, 0): 1, (0, 128, 0): 2}
    numbers = np.array([[0, 1, 3], [2, 2, 3]], np.uint8)
    turned = png(tmp_path / "a.png", numbers, 8, PALETTE, palette((128, 0, 0), (0, 128, 0), (0, 0, 0), (9, 9, 9)))
    with pytest.raises(
        DataError, match=r"a\.png shows the official colours of ids 1, 2, 0, and its palette numbers them 0, 1, 2"
    ):
        read_ids(turned, colors=official)
    straight = png(tmp_path / "b.png", numbers, 8, PALETTE, palette(*official, (9, 9, 9)))
    np.testing.assert_array_equal(read_ids(straight, colors=official), numbers)


def test_greys_of_a_palette_with_an_unused_colour_are_not_guessed(tmp_path, ids):
    order = [7, 0, 11, 3]
    numbers = np.vectorize(order.index)(ids)
    path = png(tmp_path / "a.png", numbers, 8, PALETTE, palette(*((v,) * 3 for v in order), (255, 0, 0)))
    with pytest.raises(DataError, match=r"a\.png uses only greys of a palette with colours, which could be ids"):
        read_ids(path, known=CAMVID)
    np.testing.assert_array_equal(read_ids(path, known=[0, 3, 7, 11]), ids)


def test_colours_beyond_the_palette_are_refused(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 1, 9]]), 8, PALETTE, palette((1, 2, 3), (4, 5, 6)))
    with pytest.raises(DataError, match=r"a\.png names colours beyond its palette"):
        read_rgb(path)
    with pytest.raises(DataError, match=r"a\.png has 2 colours and names colour 9"):
        read_ids(path)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_orientations_that_mean_nothing_are_none(tmp_path, value):
    exif = Image.Exif()
    exif[0x112] = value
    Image.new("RGB", (6, 5)).save(tmp_path / "a.png", exif=exif)
    assert orientation_of(tmp_path / "a.png") == 1
