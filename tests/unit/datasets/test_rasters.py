"""Windows of GeoTIFF and PNG of all kinds, against another reader, and files that are broken or something else."""

import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from PIL import Image

from patchprobe.datasets.dataset import Window
from patchprobe.datasets.rasters import raster_size, read_window
from patchprobe.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
WINDOWS = [None, Window(0, 0, 40, 50), Window(3, 5, 7, 9), Window(39, 49, 1, 1), Window(16, 0, 24, 50)]


def read(path, window=None):
    """Return the pixels, and the kinds of what was said about them."""
    said = []
    pixels = read_window(path, window, notice=lambda kind, text: said.append((kind, text)))
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.flags.c_contiguous
    assert all(str(path) in text for _, text in said)
    return pixels, [kind for kind, _ in said]


def cut(pixels, window):
    top, left, height, width = window or (0, 0, *pixels.shape[:2])
    return pixels[top : top + height, left : left + width]


def write(path, bands, driver="GTiff", **options):
    """Write bands (n, height, width) by GDAL."""
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", driver=driver, count=count, height=height, width=width, dtype=bands.dtype, **options
    ) as f:
        f.write(bands)
    return path


def write_png(path, depth, color, width, height, rows):
    """Write a PNG with rows as they are, whatever they are."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    )
    packed = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("strips.tif", {}),
        ("deflate.tif", {"compression": "tiff_adobe_deflate"}),
        ("lzw.tif", {"compression": "tiff_lzw"}),
        ("jpeg.tif", {"compression": "jpeg"}),
        ("a.png", {"compress_level": 0}),
    ],
)
def test_windows_of_images_by_another_writer_are_parts_of_them(tmp_path, name, options):
    path = tmp_path / name
    Image.fromarray(PIXELS).save(path, **options)
    assert raster_size(path) == (40, 50)
    expected = np.array(Image.open(path))
    for window in WINDOWS:
        pixels, said = read(path, window)
        np.testing.assert_array_equal(pixels, cut(expected, window))
        assert not said


@pytest.mark.parametrize(
    "options",
    [
        {"tiled": True, "blockxsize": 16, "blockysize": 16},
        {"blockysize": 3},
        {"blockysize": 40, "compress": "deflate"},
        {"interleave": "band"},
        {"BIGTIFF": "YES"},
        {"ENDIANNESS": "BIG"},
        {"crs": "EPSG:32650", "transform": rasterio.Affine(0.8, 0, 5e5, 0, -0.8, 4e6)},
        {"driver": "PNG"},
    ],
)
def test_images_as_gis_programs_write_them(tmp_path, options):
    path = write(tmp_path / "a.tif", PIXELS.transpose(2, 0, 1), **options)
    np.testing.assert_array_equal(np.array(Image.open(path)), PIXELS)
    for window in WINDOWS:
        np.testing.assert_array_equal(read(path, window)[0], cut(PIXELS, window))


def test_big_tiff_of_big_endian_machines(tmp_path):
    path = write(tmp_path / "a.tif", PIXELS.transpose(2, 0, 1), BIGTIFF="YES", ENDIANNESS="BIG")
    assert path.read_bytes()[:4] == b"MM\0+"
    np.testing.assert_array_equal(read(path)[0], PIXELS)


@pytest.mark.parametrize(
    "options",
    [{"photometric": "RGB", "ALPHA": "YES"}, {"photometric": "RGB", "ALPHA": "NO"}, {"photometric": "MINISBLACK"}],
)
def test_of_four_channels_the_first_three_are_read(tmp_path, options):
    fourth = np.random.default_rng(1).integers(0, 256, (1, 40, 50), dtype=np.uint8)
    path = write(tmp_path / "a.tif", np.concatenate([PIXELS.transpose(2, 0, 1), fourth]), **options)
    pixels, said = read(path, Window(1, 2, 30, 20))
    np.testing.assert_array_equal(pixels, PIXELS[1:31, 2:22])
    assert said == ["four channels"]


def test_channels_are_taken_by_what_the_file_calls_them(tmp_path):
    path = tmp_path / "a.tif"
    bands = np.concatenate([np.full((1, 40, 50), 9, np.uint8), PIXELS.transpose(2, 0, 1)[::-1]])
    with rasterio.open(
        path, "w", driver="GTiff", count=4, height=40, width=50, dtype="uint8", photometric="MINISBLACK"
    ) as f:
        f.write(bands)
        f.colorinterp = [rasterio.enums.ColorInterp[name] for name in ("alpha", "blue", "green", "red")]
    np.testing.assert_array_equal(read(path)[0], PIXELS)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize(("mode", "kind"), [("L", "grey"), ("LA", "grey"), ("RGBA", "four channels")])
def test_grey_and_alpha_become_rgb_and_are_said(tmp_path, suffix, mode, kind):
    path = tmp_path / f"a{suffix}"
    image = Image.fromarray(PIXELS).convert(mode)
    if "A" in mode:  # alpha is dropped and not mixed in
        image.putalpha(Image.fromarray(PIXELS[..., 0]))
    image.save(path)
    expected = np.array(image.convert("RGB"))
    for window in WINDOWS:
        pixels, said = read(path, window)
        np.testing.assert_array_equal(pixels, cut(expected, window))
        assert said == [kind]


@pytest.mark.parametrize("options", [{"driver": "PNG"}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
@pytest.mark.parametrize("count", [1, 3])
def test_16_bits_are_spread_alike_over_all_channels_and_windows(tmp_path, options, count):
    deep = np.random.default_rng(2).integers(300, 4000, (count, 40, 50), dtype=np.uint16)
    deep[:, 0, 0], deep[:, 0, 1] = 65535, 0
    path = write(tmp_path / "a.tif", deep, **options)
    low, high = np.percentile(deep, (2, 98))
    expected = np.rint(np.clip((deep.astype(float) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    expected = np.broadcast_to(expected, (3, 40, 50)).transpose(1, 2, 0)
    assert expected[0, 0, 0] == 255 and expected[0, 1, 0] == 0
    for window in WINDOWS:
        pixels, said = read(path, window)
        np.testing.assert_array_equal(pixels, cut(expected, window))
        assert said == (["grey"] if count == 1 else []) + ["16 bits"]


def test_16_bits_of_one_value_are_black_and_of_a_new_file_are_spread_anew(tmp_path):
    path = write(tmp_path / "a.tif", np.full((3, 4, 4), 700, np.uint16))
    assert not read(path)[0].any()
    path.unlink()
    write(path, np.arange(48, dtype=np.uint16).reshape(3, 4, 4) * 1000)
    pixels, _ = read(path)
    assert pixels.min() == 0 and pixels.max() == 255 and len(np.unique(pixels)) > 40


def test_of_large_images_of_16_bits_a_sample_is_spread(tmp_path, monkeypatch):
    monkeypatch.setattr("patchprobe.datasets.rasters._SAMPLE", 10)
    deep = np.random.default_rng(3).integers(0, 10001, (1, 200, 230), dtype=np.uint16)
    pixels, _ = read(write(tmp_path / "a.tif", deep))
    expected = np.clip((deep[0] - 200.0) / 9600 * 255, 0, 255)
    assert np.abs(pixels[..., 0] - expected).max() < 20


def refused(path, message, window=None):
    with pytest.raises(DataError, match=message) as error:
        read(path, window)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (np.zeros((3, 4, 5), np.float32), "has values of type float32; convert it to 8-bit RGB"),
        (np.zeros((3, 4, 5), np.int16), "has values of type int16; convert"),
        (np.zeros((3, 4, 5), np.int8), "has values of type int8; convert"),
        (np.zeros((1, 4, 5), np.uint32), "has values of type uint32; convert"),
        (np.zeros((3, 4, 5), np.complex64), "has values of type complex64; convert"),
        (np.zeros((5, 4, 5), np.uint8), "has 5 channels; save the red, green and blue ones"),
    ],
)
def test_other_values_and_channels_are_refused(tmp_path, bands, message):
    refused(write(tmp_path / "a.tif", bands), message)


def test_palettes_few_bits_white_as_0_and_several_pictures_are_refused(tmp_path):
    image, path = Image.fromarray(PIXELS), tmp_path / "a.tif"
    for name in ("p.tif", "p.png"):
        image.convert("P").save(tmp_path / name)
        refused(tmp_path / name, "has a palette; convert it to 8-bit RGB")
    for depth in (1, 2, 4):
        refused(
            write_png(path, depth, 0, 4, 2, [b"\x1b\x1b", b"\x1b\x1b"]), "has less than 8 bits per channel; convert"
        )
    refused(write(path, PIXELS[None, ..., 0] // 16, NBITS=4), "has less than 8 bits per channel; convert")
    refused(write(path, PIXELS[None, ..., 0], photometric="MINISWHITE"), "has 0 for white; convert")
    image.save(path, save_all=True, append_images=[image, image])
    refused(path, "holds 3 pictures: save the right one by itself")


def test_windows_beyond_the_image_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", PIXELS.transpose(2, 0, 1))
    for window in (
        Window(0, 30, 10, 30),
        Window(35, 0, 10, 10),
        Window(-1, 0, 4, 4),
        Window(0, -1, 4, 4),
        Window(400, 500, 1, 1),
    ):
        refused(path, rf"is 50 x 40 pixels and has no part of {window.width} x {window.height} at .*; delete", window)


def test_files_that_are_missing_empty_or_something_else_are_named(tmp_path):
    path = tmp_path / "a.tif"
    refused(path, "is missing; copy it there")
    for content in (b"", b"II", b"not an image", b"%!PS-Adobe", b"\xff\xd8\xff\xe0 a JPEG", b"BM a bitmap", bytes(100)):
        path.write_bytes(content)
        refused(path, "is neither TIFF nor PNG: copy it again")
        with pytest.raises(DataError, match="neither TIFF nor PNG"):
            raster_size(path)
    for content in (b"II*\0", b"MM\0*" + bytes(50), b"\x89PNG", b"II+\0 not a TIFF", b"\x89PNG\r\n\x1a\n" + bytes(50)):
        path.write_bytes(content)
        refused(path, "cannot be decoded .*; copy it again")
    path.unlink()
    path.mkdir()
    refused(path, "cannot be decoded")


@pytest.mark.parametrize(
    "text",
    [
        '<VRTDataset rasterXSize="50" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        "<SourceFilename>{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>",
        "<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:1/{}</ServerUrl></Service></GDAL_WMS>",
        '{{"type": "gdal_streamed_alg", "command_line": "gdal raster pipeline read {}"}}',
        "GTIFF_DIR:1:{}",
    ],
)
def test_lists_of_other_files_are_not_followed(tmp_path, text):
    other = write(tmp_path / "other.tif", PIXELS.transpose(2, 0, 1))
    path = tmp_path / "a.tif"
    path.write_text(text.format(other))
    refused(path, "is neither TIFF nor PNG")


def test_files_beside_an_image_are_not_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("patchprobe.datasets.rasters._SAMPLE", 10)
    path = write(tmp_path / "a.tif", PIXELS.transpose(2, 0, 1).astype(np.uint16) * 100)
    expected, _ = read(path)
    write(tmp_path / "a.tif.ovr", np.full((3, 20, 25), 65535, np.uint16))
    write(tmp_path / "a.tif.msk", np.zeros((1, 40, 50), np.uint8))
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    bands = "".join(
        f'<PAMRasterBand band="{i}"><ColorInterp>{c}</ColorInterp></PAMRasterBand>'
        for i, c in ((1, "Blue"), (3, "Red"))
    )
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    path.touch()  # so that nothing is remembered of it
    np.testing.assert_array_equal(read(path)[0], expected)
    assert sorted(other.name for other in tmp_path.iterdir()) == [
        "a.tfw",
        "a.tif",
        "a.tif.aux.xml",
        "a.tif.msk",
        "a.tif.ovr",
    ]


@pytest.mark.parametrize("name", ["a.png", "strips.tif", "tiles.tif"])
def test_files_cut_short_are_named_and_no_pixel_is_made_up(tmp_path, name):
    pixels = np.random.default_rng(4).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64} if name == "tiles.tif" else {}
    whole = write(
        tmp_path / name, pixels.transpose(2, 0, 1), **tiles, driver="PNG" if name == "a.png" else "GTiff"
    ).read_bytes()
    path = tmp_path / f"cut_{name}"
    for length in (5, 20, 60, len(whole) // 3, len(whole) - 5000, len(whole) - 30):
        path.write_bytes(whole[:length])
        refused(path, "cannot be decoded .*; copy it again")
        for window in (Window(0, 0, 20, 200), Window(100, 30, 40, 50), Window(250, 0, 50, 200)):
            try:
                part, _ = read(path, window)
            except DataError as error:
                assert str(path) in str(error)
            else:
                np.testing.assert_array_equal(part, cut(pixels, window))


def test_broken_pixels_are_named(tmp_path):
    path = tmp_path / "a.png"
    refused(write_png(path, 8, 2, 4, 3, [bytes(12)] * 2), "cannot be decoded")  # a row is missing
    Image.fromarray(PIXELS).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    refused(path, "cannot be decoded")


def test_images_that_claim_to_be_huge_are_refused_and_parts_of_them_read(tmp_path):
    path = tmp_path / "a.tif"
    size = {"height": 200_000, "width": 200_000, "count": 3, "dtype": "uint8", "SPARSE_OK": "TRUE", "BIGTIFF": "YES"}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, blockxsize=4096, blockysize=4096, **size):
        pass
    message = "of 200000 x 200000 pixels has more than the 178,956,970 that are read at once: cut it into parts"
    refused(path, message)
    refused(path, message, Window(0, 0, 20_000, 10_000))
    assert read(path, Window(150_000, 150_000, 8, 8))[0].shape == (8, 8, 3)
    refused(write_png(path, 8, 2, 60_000, 60_000, []), "of 60000 x 60000 pixels has more")
    # The smallest part lies in a tile that is as large.
    with rasterio.open(path, "w", driver="GTiff", tiled=True, blockxsize=16384, blockysize=16384, **size):
        pass
    refused(path, "of 200000 x 200000 pixels has more than the 178,956,970", Window(0, 0, 8, 8))
    refused(write_png(path, 8, 2, 0, 0, []), "cannot be decoded")


@pytest.mark.parametrize(
    "name", ["a b.tif", "zip:a!b.tif", "[1]*.tif", "Bäume 船.tif", "http:a.tif", "GTIFF_DIR:1:a.tif"]
)
def test_names_are_taken_as_they_are(tmp_path, name):
    path = write(tmp_path / "plain", PIXELS.transpose(2, 0, 1)).rename(tmp_path / name)
    np.testing.assert_array_equal(read(path)[0], PIXELS)


def test_threads_read_the_same(tmp_path):
    path = write(tmp_path / "a.tif", PIXELS.transpose(2, 0, 1), tiled=True, blockxsize=16, blockysize=16)
    windows = [Window(top, left, 8, 8) for top in range(0, 32, 2) for left in range(0, 42, 3)]
    with ThreadPoolExecutor(4) as pool:
        for window, (pixels, _) in zip(windows, pool.map(lambda window: read(path, window), windows), strict=True):
            np.testing.assert_array_equal(pixels, cut(PIXELS, window))


def test_an_image_without_a_place_on_the_ground_is_no_reason_for_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write(tmp_path / "a.png", PIXELS.transpose(2, 0, 1), driver="PNG")
    code = (
        "import sys; from pathlib import Path; from patchprobe.datasets.rasters import read_window;"
        "read_window(Path(sys.argv[1]), None, notice=print)"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
