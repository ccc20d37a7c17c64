"""MSE, PSNR and SSIM against scikit-image, image by image."""

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from patchprobe.scoring.image_quality import ImageQuality, psnr

SIZES = [(64, 64), (7, 7), (8, 31), (224, 224)]


def pairs(size, images=3):
    """Originals of 8 bits, smooth, flat and noisy ones, and images near, far and the same."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    smooth = np.stack([(np.sin(x / (3 + c)) + np.cos(y / 5)) / 4 + 0.5 for c in range(3)])
    originals = np.stack([smooth, np.full_like(smooth, 0.9), rng.random(smooth.shape)])[:images]
    originals = np.round(originals * 255) / 255
    changed = np.clip(originals + rng.normal(0, [[[[0.02]]], [[[0.1]]], [[[0.5]]]], originals.shape), 0, 1)
    return originals, changed


@pytest.mark.parametrize("size", SIZES)
def test_numbers_are_those_of_scikit_image(size):
    originals, images = pairs(size)
    quality = ImageQuality(torch.from_numpy(originals))
    mse = quality.mse(torch.from_numpy(images))
    ssim = quality.ssim(torch.from_numpy(images))
    for i, (original, image) in enumerate(zip(originals, images, strict=True)):
        assert mse[i].item() == pytest.approx(mean_squared_error(original, image), rel=1e-12)
        expected = peak_signal_noise_ratio(original, image, data_range=1)
        assert psnr(mse)[i].item() == pytest.approx(expected, rel=1e-12)
        expected = structural_similarity(original, image, data_range=1, channel_axis=0)
        assert ssim[i].item() == pytest.approx(expected, abs=1e-10)


def test_values_outside_of_the_range_are_compared_as_they_are():
    originals, images = pairs((32, 32))
    images = images * 3 - 1
    quality = ImageQuality(torch.from_numpy(originals))
    expected = [
        structural_similarity(a, b, data_range=1, channel_axis=0) for a, b in zip(originals, images, strict=True)
    ]
    np.testing.assert_allclose(quality.ssim(torch.from_numpy(images)), expected, atol=1e-10)
    assert quality.mse(torch.from_numpy(images))[0] > 0.2


def test_equal_images():
    originals = torch.from_numpy(pairs((16, 16))[0])
    quality = ImageQuality(originals)
    assert torch.equal(quality.mse(originals), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(psnr(quality.mse(originals)), torch.full((3,), torch.inf, dtype=torch.float64))
    torch.testing.assert_close(quality.ssim(originals), torch.ones(3, dtype=torch.float64))


def test_an_error_in_a_part_alone():
    originals = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    images = originals.clone()
    images[0, :, :4] = 0.5
    where = torch.zeros(2, 8, 8, dtype=torch.bool)
    where[0, 2:6] = True
    found = ImageQuality(originals).mse(images, where)
    assert found[0] == 0.125 and torch.isnan(found[1])


def test_float32_is_compared_in_float64():
    originals, images = pairs((24, 24))
    single = torch.from_numpy(images).float()
    quality = ImageQuality(torch.from_numpy(originals))
    assert quality.ssim(single).dtype == torch.float64
    assert torch.equal(quality.ssim(single), quality.ssim(single.double()))


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="windows of 7 px: give images of at least that side"):
        ImageQuality(torch.zeros(1, 3, 6, 64))
