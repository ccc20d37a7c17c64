import cv2
import numpy as np
import pytest
import torch
from pretraining_data import SIDE, sampler
from torchvision.transforms.v2 import functional as TF

from patchprobe.pretraining.crops import CropOptions, CropSampler, jittered, to_batch
from patchprobe.pretraining.images import Images
from patchprobe.pretraining.objective import Views


class Seen:
    """Stands for an objective that asks for everything."""

    views = Views(full=2, local=3, presence=True)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("full", "local", "presence"))


def numbered(n, size=(40, 60)):
    """Pictures of one colour, the number of the picture."""
    pictures = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, *size, 3))
    return Images(np.ascontiguousarray(pictures), np.full(n, 255, np.uint8), (), sha256="")


def test_shapes_and_types(images):
    crops = sampler(images, Seen).crops(0)
    batch = to_batch(crops, Seen.views, (0.5,) * 3, (0.25,) * 3, "cpu")
    assert [view.shape for view in batch.full] == [(8, 3, SIDE, SIDE)] * 2
    assert [view.shape for view in batch.local] == [(8, 3, SIDE // 2, SIDE // 2)] * 3
    assert batch.presence.shape == (8, 2)
    expected = (crops.full[3].transpose(2, 0, 1) / 255 - 0.5) / 0.25
    torch.testing.assert_close(batch.full[0][3], torch.from_numpy(expected).float())


def test_a_step_has_the_same_crops_wherever_a_run_starts(images):
    crops = sampler(images, Seen)
    undisturbed = list(crops.batches(0, 6))
    resumed = list(sampler(images, Seen).batches(4, 6))
    assert all(same(a, b) for a, b in zip(undisturbed[4:], resumed, strict=True))
    assert not same(undisturbed[0], undisturbed[1])


def test_every_epoch_shows_every_image_once():
    crops = CropSampler(numbered(10), Views(), CropOptions(4, 8, (0.3, 0.6)), seed=0)
    seen = np.concatenate([crops.crops(step).full[:, 0, 0, 0] for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()


def test_crops_have_the_size_asked_for():
    # A ramp of 1 grey level per pixel: the range inside a crop tells its width.
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (1, 100, 200, 3)).repeat(64, axis=0)
    images = Images(ramp, np.full(64, 255, np.uint8), (), sha256="")
    crops = CropSampler(images, Views(full=1, local=1), CropOptions(64, 32, (0.4, 0.8)), seed=1).crops(0)
    for cut, low, high in ((crops.full, 40, 80), (crops.local, 20, 40)):
        width = cut[:, :, :, 0].max(axis=(1, 2)).astype(int) - cut[:, :, :, 0].min(axis=(1, 2)) + 1
        assert width.min() >= low * 0.75**0.5 - 4 and width.max() <= high / 0.75**0.5 + 2
        assert width.max() > 1.3 * width.min()
        mirrored = (cut[:, 0, 0, 0] > cut[:, 0, -1, 0]).mean()
        assert 0.25 < mirrored < 0.75


def test_all_crops_of_an_image_come_from_one_region():
    # Red tells the column, green the row: a crop's range tells where it was cut.
    rows, columns = np.mgrid[:100, :200].astype(np.uint8)
    picture = np.stack([columns, rows, np.zeros_like(rows)], axis=2)
    images = Images(np.repeat(picture[None], 32, axis=0), np.full(32, 255, np.uint8), (), sha256="")
    views = Views(full=2, local=4)
    for region, widest in ((0.4, 40), (None, 200)):
        crops = CropSampler(images, views, CropOptions(32, 16, (0.3, 1.0), region), seed=2).crops(0)
        seen = [*crops.full.reshape(2, 32, -1, 3), *crops.local.reshape(4, 32, -1, 3)]
        first = np.min([view.min(axis=1) for view in seen], axis=0).astype(int)
        last = np.max([view.max(axis=1) for view in seen], axis=0).astype(int)
        covered = (last - first + 1)[:, :2]
        assert covered.max() <= widest
        assert covered[:, 0].max() > 0.8 * min(widest, 150)
        assert first[:, 0].max() - first[:, 0].min() > 30


def test_presence_is_what_the_crop_shows():
    labels = np.full((1, 100, 200), 255, np.uint8)
    labels[:, :, :100], labels[:, :50, 100:] = 0, 1
    pictures = np.zeros((1, 100, 200, 3), np.uint8)
    pictures[..., 0], pictures[..., 1] = 200 * (labels == 0), 200 * (labels == 1)
    images = Images(pictures, labels, ("left", "right", "nowhere"), sha256="")
    crops = CropSampler(images, Views(presence=True), CropOptions(200, 32, (0.1, 0.5)), seed=0).crops(0)
    area = (crops.full[..., :2] / 200).mean(axis=(1, 2))
    clear = (area > 0.02) | (area == 0)
    assert clear.mean() > 0.9
    assert np.array_equal(crops.presence[:, :2][clear], (area > 0)[clear])
    assert not crops.presence[:, 2].any() and crops.presence[:, :2].all(axis=1).any()


def test_an_image_with_one_class_has_it_in_every_crop():
    images = numbered(3)
    images = Images(images.images, np.array([2, 0, 255], np.uint8), ("a", "b", "c"), sha256="")
    crops = CropSampler(images, Views(presence=True), CropOptions(3, 8, (0.5, 0.5)), seed=0).crops(0)
    expected = {0: [0, 0, 1], 1: [1, 0, 0], 2: [0, 0, 0]}
    assert crops.presence.tolist() == [expected[number] for number in crops.full[:, 0, 0, 0]]


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1.3, 1, 1), lambda x: TF.adjust_brightness(x, 1.3)),
        ((1, 0.6, 1), lambda x: TF.adjust_contrast(x, 0.6)),
        ((1, 1, 1.2), lambda x: TF.adjust_saturation(x, 1.2)),
        ((1, 1, 1), lambda x: x),
    ],
)
def test_jitter_is_that_of_torchvision(factors, expected):
    pixels = torch.rand(2, 3, 16, 16)
    # torchvision's grey weights have one digit more.
    torch.testing.assert_close(
        jittered(pixels, torch.tensor([factors] * 2, dtype=torch.float32)), expected(pixels), atol=2e-4, rtol=0
    )


def test_shrunk_crops_do_not_alias():
    # Stripes of one pixel: their mean is grey, every second of them would be black or white.
    stripes = np.zeros((1, 128, 128, 3), np.uint8)
    stripes[:, :, ::2] = 255
    images = Images(stripes, np.full(1, 255, np.uint8), (), sha256="")
    crop = CropSampler(images, Views(), CropOptions(16, 16, (0.99, 1.0)), seed=0).crops(0).full
    assert abs(crop.astype(float) - 127.5).max() < 40
    assert cv2.resize(stripes[0], (16, 16), interpolation=cv2.INTER_NEAREST).std() == 0
