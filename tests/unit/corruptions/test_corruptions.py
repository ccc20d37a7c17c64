"""Corruptions against scipy, against arithmetic by hand, and in other orders and thread numbers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage

from patchprobe.corruptions.corruption import Corruption, open_corruption
from patchprobe.corruptions.geometric import Geometric
from patchprobe.corruptions.kinds.band_noise import band_noise
from patchprobe.corruptions.kinds.blur import blur
from patchprobe.errors import ConfigError, DataError
from patchprobe.seeds import generator

ENTRIES: dict[str, dict[str, Any]] = {
    "blur": {"levels": [3, 5, 9, 17], "apply": "image"},
    "noise": {"levels": [10, 25, 50, 100], "apply": "image"},
    "band-noise": {
        "levels": [[0.02, 0.08], [0.15, 0.21], [0.40, 0.46], [0.80, 0.86]],
        "std": 40,
        "apply": "image",
    },
    "shift": {"levels": [1, 2, 3, 4], "apply": "tile"},
    "rotate": {"levels": [5, 10, 15, 20], "apply": "tile"},
    "scale": {"levels": [0.8, 0.9, 1.1, 1.2], "apply": "tile"},
}
GEOMETRIC = ("shift", "rotate", "scale")
SIZES = ((96, 96), (90, 125), (61, 48), (33, 77))


def corruption(kind: str, **changes: Any) -> Corruption:
    return open_corruption(kind, ENTRIES[kind] | changes)


def geometric(kind: str) -> Geometric:
    opened = corruption(kind)
    assert isinstance(opened, Geometric)
    return opened


def photograph(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(height * width).normal(128, 300, (height, width, 3))
    return np.clip(scipy.ndimage.gaussian_filter(noise, (2, 2, 0)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", [3, 5, 9, 17])
def test_blur_against_scipy(size: tuple[int, int], kernel: int) -> None:
    image = photograph(*size)
    sigma = 0.3 * ((kernel - 1) / 2 - 1) + 0.8
    radius = (kernel - 1) // 2
    want = scipy.ndimage.gaussian_filter(
        image.astype(np.float64), (sigma, sigma, 0), mode="mirror", radius=(radius, radius, 0)
    )
    assert np.abs(blur(image, kernel) - want).max() <= 0.51  # rounding alone


@pytest.mark.parametrize("std", [10, 25])
def test_noise_has_its_moments_and_is_white(std: int) -> None:
    grey = np.full((400, 300, 3), 128, np.uint8)
    noisy = corruption("noise").corrupt(grey, float(std), seed=0, key="a").astype(float) - 128
    assert abs(noisy.mean()) < 5 * std / np.sqrt(noisy.size)  # five standard errors
    assert noisy.std() == pytest.approx(np.hypot(std, 1 / np.sqrt(12)), rel=0.01)
    for axis in range(3):
        shifted = np.roll(noisy, 1, axis)
        assert abs((noisy * shifted).mean()) < 5 * std**2 / np.sqrt(noisy.size)


def test_noise_means_of_many_images_scatter_as_they_should() -> None:
    """Catches a bias or dependence between the generators of different images, which one image cannot show."""
    grey = np.full((60, 80, 3), 128, np.uint8)
    noise = corruption("noise")
    means = np.array([noise.corrupt(grey, 25.0, seed=0, key=f"{i}").mean() - 128 for i in range(300)])
    z = means * np.sqrt(grey.size) / 25
    assert abs(z.mean()) < 5 / np.sqrt(300) and z.std() == pytest.approx(1, abs=5 / np.sqrt(600))


def test_noise_clips_and_does_not_wrap() -> None:
    black = np.zeros((50, 50, 3), np.uint8)
    noisy = corruption("noise").corrupt(black, 50.0, seed=0, key="a")
    assert (noisy == 0).mean() == pytest.approx(0.5, abs=0.03) and noisy.max() < 255


@pytest.mark.parametrize("size", [(96, 96), (90, 125), (61, 48), (97, 131)])
@pytest.mark.parametrize("ring", [(0.02, 0.08), (0.15, 0.21), (0.40, 0.46), (0.80, 0.86), (1.2, 1.4142)])
def test_band_noise_has_all_energy_inside_its_ring(size: tuple[int, int], ring: tuple[float, float]) -> None:
    field = band_noise((*size, 3), ring, 40.0, generator(0, "test"))
    assert field.shape == (*size, 3)
    fy, fx = np.meshgrid(np.fft.fftfreq(size[0]), np.fft.fftfreq(size[1]), indexing="ij")
    radius = np.sqrt(fy**2 + fx**2) / 0.5
    inside = (radius >= ring[0]) & (radius <= ring[1])
    energy = np.abs(np.fft.fft2(field, axes=(0, 1))) ** 2
    assert energy[~inside].sum() < 1e-10 * energy.sum()
    # White noise has variance std^2 spread evenly over all frequencies.
    assert field.var() == pytest.approx(40**2 * inside.mean(), rel=0.35)
    assert np.corrcoef(field[..., 0].ravel(), field[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.4)


def test_band_noise_is_the_protocols_filter() -> None:
    """The same draw through a full, shifted Fourier transform, as the protocol words it."""
    ring, shape = (0.15, 0.46), (45, 64, 3)
    white = 40 * generator(0, "test").standard_normal(shape, dtype=np.float32).astype(np.float64)
    spectrum = np.fft.fftshift(np.fft.fft2(white, axes=(0, 1)), axes=(0, 1))
    y = (np.arange(45) - 22) / 45
    x = (np.arange(64) - 32) / 64
    radius = np.hypot(y[:, None], x) / 0.5
    spectrum[(radius < ring[0]) | (radius > ring[1])] = 0
    want = np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(0, 1)), axes=(0, 1))
    assert np.abs(want.imag).max() < 1e-9
    got = band_noise(shape, ring, 40.0, generator(0, "test"))
    np.testing.assert_allclose(got, want.real, atol=1e-3)


def test_whole_plane_as_ring_is_plain_noise() -> None:
    field = band_noise((30, 40, 3), (0.0, 2**0.5), 40.0, generator(0, "test"))
    np.testing.assert_allclose(field, 40 * generator(0, "test").standard_normal((30, 40, 3), np.float32), atol=1e-3)


def test_ring_without_frequencies() -> None:
    with pytest.raises(
        DataError, match=r"band-noise\.levels: the ring \[0\.02, 0\.08\] holds no frequency of a 16 x 16"
    ):
        corruption("band-noise").corrupt(np.zeros((16, 16, 3), np.uint8), (0.02, 0.08), seed=0, key="a")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", GEOMETRIC)
def test_warp_against_scipy(kind: str, size: tuple[int, int]) -> None:
    moving, image = geometric(kind), photograph(*size)
    for level in moving.levels:
        matrix = moving.affine(level, *size)
        # scipy counts (row, column), the matrix (x, y).
        want = np.stack(
            [
                scipy.ndimage.affine_transform(
                    image[..., c].astype(float), matrix[::-1, 1::-1], matrix[::-1, 2], order=1, mode="grid-constant"
                )
                for c in range(3)
            ],
            axis=-1,
        )
        got = moving.corrupt(image, level, seed=0, key="a")
        assert np.abs(got - want).max() <= 0.55


@pytest.mark.parametrize("size", [(61, 61), (60, 90), (75, 48)])
@pytest.mark.parametrize("kind", GEOMETRIC)
def test_a_bright_dot_moves_where_it_should(kind: str, size: tuple[int, int]) -> None:
    moving = geometric(kind)
    height, width = size
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    for dot in np.array([[width - 15, height // 2], [width // 2 + 3, 14], [16, height - 18]]):
        image = np.zeros((height, width, 3), np.uint8)
        image[dot[1], dot[0]] = 255
        for level in moving.levels:
            assert isinstance(level, float)
            right, up = dot[0] - centre[0], centre[1] - dot[1]
            if kind == "shift":
                want = dot + level
            elif kind == "scale":
                want = centre + level * (dot - centre)
            else:  # counter-clockwise with y up, as in school
                angle = np.deg2rad(level)
                cosine, sine = np.cos(angle), np.sin(angle)
                want = centre + np.array([right * cosine - up * sine, -(right * sine + up * cosine)])
            moved = moving.corrupt(image, level, seed=0, key="a")[..., 0].astype(float)
            y, x = np.mgrid[:height, :width]
            got = np.array([(x * moved).sum(), (y * moved).sum()]) / moved.sum()
            assert np.abs(got - want).max() < 0.5
            back = moving.affine(level, height, width) @ np.append(want, 1.0)
            np.testing.assert_allclose(back, dot, atol=1e-9)


def test_shift_by_hand() -> None:
    image = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    label = np.arange(30, dtype=np.uint8).reshape(5, 6)
    moved = geometric("shift").corrupt(image, 2.0, seed=0, key="a")
    np.testing.assert_array_equal(moved[2:, 2:], image[:-2, :-2])
    assert not moved[:2].any() and not moved[:, :2].any()
    labels = geometric("shift").move_label(label, 2.0, 255)
    np.testing.assert_array_equal(labels[2:, 2:], label[:-2, :-2])
    assert (labels[:2] == 255).all() and (labels[:, :2] == 255).all()


@pytest.mark.parametrize("kind", GEOMETRIC)
def test_labels_move_with_the_pixels(kind: str) -> None:
    """Classes painted as grey levels and moved bilinearly agree with moved labels away from borders."""
    moving = geometric(kind)
    label = np.kron(np.random.default_rng(0).integers(1, 5, (5, 7)), np.ones((13, 13), int)).astype(np.uint8)
    image = np.repeat(label[..., None] * 50, 3, axis=-1).astype(np.uint8)
    for level in moving.levels:
        moved = moving.corrupt(image, level, seed=0, key="a")[..., 0]
        labels = moving.move_label(label, level, 0)
        pure = (moved % 50 == 0) & (cv2.erode(moved, np.ones((3, 3))) == cv2.dilate(moved, np.ones((3, 3))))
        assert pure.mean() > 0.4
        np.testing.assert_array_equal(labels[pure], moved[pure] // 50)
        assert set(np.unique(labels)) <= {0, 1, 2, 3, 4}


def test_rotated_label_outside_is_void() -> None:
    labels = geometric("rotate").move_label(np.zeros((40, 60), np.uint8), 20.0, 11)
    assert {labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1]} == {11} and labels[20, 30] == 0


@pytest.mark.parametrize("kind", ENTRIES)
def test_same_alone_in_any_order_and_with_any_threads(kind: str) -> None:
    opened = corruption(kind)
    images = [photograph(100 + i, 130) for i in range(3)]
    jobs = [(i, level) for i in range(3) for level in opened.levels]

    def made(job: tuple[int, Any]) -> np.ndarray:
        return opened.corrupt(images[job[0]], job[1], seed=7, key=f"image {job[0]}")

    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        first = [made(job) for job in jobs]
        cv2.setNumThreads(4)
        with ThreadPoolExecutor(4) as pool:
            second = list(pool.map(made, jobs[::-1]))[::-1]
    finally:
        cv2.setNumThreads(threads)
    again = open_corruption(kind, ENTRIES[kind]).corrupt(images[2], opened.levels[-1], seed=7, key="image 2")
    for a, b in zip([*first, first[-1]], [*second, again], strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(a.dtype == np.uint8 and a.shape == images[i].shape for a, (i, _) in zip(first, jobs, strict=True))


@pytest.mark.parametrize("kind", ["noise", "band-noise"])
def test_randomness_depends_on_seed_level_and_key(kind: str) -> None:
    opened = corruption(kind)
    grey = np.full((64, 64, 3), 128, np.uint8)
    base = opened.corrupt(grey, opened.levels[0], seed=0, key="a").astype(int) - 128
    for level, seed, key in ((0, 1, "a"), (0, 0, "b"), (1, 0, "a")):
        other = opened.corrupt(grey, opened.levels[level], seed=seed, key=key).astype(int) - 128
        assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < 0.5


def test_level_values() -> None:
    np.testing.assert_allclose(corruption("band-noise").level_values(), [0.05, 0.18, 0.43, 0.83])
    np.testing.assert_array_equal(corruption("blur").level_values(), [3, 5, 9, 17])
    assert corruption("scale").level_values().dtype == np.float64


@pytest.mark.parametrize(
    ("kind", "levels", "message"),
    [
        ("blur", [4], r"corruptions\.blur\.levels holds 4; a blur kernel is an odd number"),
        ("blur", [1], r"corruptions\.blur\.levels holds 1; "),
        ("blur", [3.5], r"corruptions\.blur\.levels holds 3\.5; "),
        ("noise", [-1], r"corruptions\.noise\.levels holds -1; a standard deviation of noise is above 0"),
        ("noise", [True], r"corruptions\.noise\.levels holds True; give a number"),
        ("noise", [float("nan")], r"corruptions\.noise\.levels holds nan; give a number"),
        ("noise", [], r"corruptions\.noise\.levels is \[\]; give a list"),
        ("noise", 3, r"corruptions\.noise\.levels is 3; give a list"),
        ("noise", [10, 10.0], r"corruptions\.noise\.levels holds one level twice"),
        ("band-noise", [0.3], r"corruptions\.band-noise\.levels holds 0\.3; a ring is \[inner"),
        ("band-noise", [[0.3, 0.2]], r"corruptions\.band-noise\.levels holds \[0\.3, 0\.2\]; a ring has 0 <= inner"),
        ("band-noise", [[0.3, 1.5]], r"corruptions\.band-noise\.levels holds \[0\.3, 1\.5\]"),
        ("band-noise", [[0.1, 0.4], [0.2, 0.3]], r"corruptions\.band-noise\.levels holds one level twice"),
        ("shift", ["far"], r"corruptions\.shift\.levels holds 'far'; give a number"),
        ("shift", [0], r"corruptions\.shift\.levels holds 0; a shift in pixels is above 0"),
        ("scale", [0], r"corruptions\.scale\.levels holds 0; a scale factor is above 0"),
    ],
)
def test_bad_levels_name_their_key(kind: str, levels: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        corruption(kind, levels=levels)


def test_other_bad_keys() -> None:
    with pytest.raises(ConfigError, match=r"corruptions\.fog: there is no such corruption; known are band-noise, blur"):
        open_corruption("fog", {})
    with pytest.raises(ConfigError, match=r"corruptions\.noise\.apply is 'both'"):
        corruption("noise", apply="both")
    with pytest.raises(ConfigError, match=r"corruptions\.band-noise\.std holds 0; std of noise is above 0"):
        corruption("band-noise", std=0)
