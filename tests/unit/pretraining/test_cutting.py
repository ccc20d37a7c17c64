"""Crops cut by one kernel for a whole batch, as on a GPU, against those that OpenCV cuts one by one."""

import numpy as np
import pytest
import torch
from pretraining_data import OBJECTIVES, SIDE, build

from patchprobe.pretraining.crops import CropOptions, CropSampler
from patchprobe.pretraining.cutting import CpuCutter, GpuCutter
from patchprobe.pretraining.images import Images
from patchprobe.pretraining.objective import Views, open_objective
from patchprobe.pretraining.snapshots import open_snapshots
from patchprobe.pretraining.training import Plan, train

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.requires_gpu, needs_gpu])]
UNMIRRORED = np.zeros(3, bool)


@pytest.fixture(params=DEVICES)
def device(request):
    """The kernel runs on both; a processor only shows here that it says the same."""
    return request.param


def cut_on(device, images, numbers, boxes, mirrored, side):
    crops = GpuCutter(images, device).cut(numbers, boxes, mirrored, side)
    assert crops.shape == (len(boxes) * len(numbers), side, side, 3) and crops.dtype == torch.float32
    return crops.cpu().numpy()


def test_crops_that_shrink_by_a_whole_number_are_means_of_their_pixels(images, device):
    numbers = np.array([5, 0, 5])
    boxes = np.array([[0, 0, 32, 32], [3, 7, 32, 48], [16, 16, 16, 32]])
    found = cut_on(device, images, numbers, [boxes], UNMIRRORED, 16)
    for crop, number, (top, left, rows, columns) in zip(found, numbers, boxes, strict=True):
        part = images.images[number, top : top + rows, left : left + columns].astype(float)
        expected = part.reshape(16, rows // 16, 16, columns // 16, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(crop, expected, atol=1e-3)


def test_any_other_crops_are_close_to_those_of_opencv(images, device):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 24, 64)
    sizes = rng.integers(20, 48, (64, 2))
    boxes = [np.concatenate([np.zeros((64, 2), int), sizes], axis=1) for _ in range(2)]
    mirrored = rng.random(128) < 0.5
    found = cut_on(device, images, numbers, boxes, mirrored, 16)
    expected = CpuCutter(images).cut(numbers, boxes, mirrored, 16)
    # Bins of a fractional size: one averages samples, the other areas.
    assert np.abs(found - expected).mean() < 3
    assert np.corrcoef(found.ravel(), expected.astype(float).ravel())[0, 1] > 0.99


def test_mirrored_crops_are_mirrored(images, device):
    numbers, boxes = np.array([1, 1]), [np.array([[4, 4, 32, 32]] * 2)]
    plain, mirrored = cut_on(device, images, numbers, boxes, np.array([False, True]), 16)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def test_no_views_are_no_crops(images, device):
    assert cut_on(device, images, np.array([1]), [], np.zeros(0, bool), 16).shape == (0, 16, 16, 3)


def test_presence_is_what_the_crop_shows(device):
    labels = np.full((1, 40, 40), 255, np.uint8)
    labels[0, :, :20], labels[0, :2, 30:32] = 0, 1
    images = Images(np.zeros((1, 40, 40, 3), np.uint8), labels, ("left", "corner", "nowhere"), sha256="")
    boxes = np.array([[0, 0, 40, 40], [0, 20, 20, 20], [20, 25, 10, 10], [10, 10, 20, 20]])
    found = GpuCutter(images, device).presence(np.zeros(4, int), boxes, 20).cpu().numpy()
    # The corner is 4 of 1600 pixels of the whole, and 4 of 400 of the second crop: one in a hundred.
    assert found.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_presence_of_images_with_one_class(device):
    images = Images(np.zeros((3, 8, 8, 3), np.uint8), np.array([1, 255, 0], np.uint8), ("a", "b"), sha256="")
    found = GpuCutter(images, device).presence(np.array([2, 1, 0]), np.zeros((3, 4), int), 4)
    assert found.cpu().tolist() == [[1, 0], [0, 0], [0, 1]]


@pytest.mark.requires_gpu
@needs_gpu
def test_a_gpu_sees_the_crops_that_a_processor_sees(images):
    views, options = Views(full=2, local=3, presence=True), CropOptions(8, SIDE, (0.5, 0.9))
    cpu, gpu = (CropSampler(images, views, options, seed=0, device=device).crops(3) for device in ("cpu", "cuda"))
    for name in ("full", "local"):
        difference = getattr(gpu, name).cpu().numpy() - getattr(cpu, name).astype(float)
        assert np.abs(difference).mean() < 3
    np.testing.assert_array_equal(cpu.full_factors, gpu.full_factors)
    np.testing.assert_array_equal(cpu.presence, gpu.presence.cpu().numpy())


def losses_on_gpu(name, images, folder, objective):
    crops = CropSampler(images, objective.views, CropOptions(8, SIDE, (0.5, 0.9)), seed=0, device="cuda")
    plan = Plan(60, learning_rate=1e-3, weight_decay=0.05, warmup=0.1, save_every=1000)
    with open_snapshots(folder, name, "spec") as snapshots:
        return train(
            objective, crops, plan, snapshots, name=name, seed=0, device="cuda", precision="bf16", threads=1
        ).losses


@pytest.mark.requires_gpu
@needs_gpu
@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_on_a_gpu_is_repeated_bit_for_bit_and_learns(images, name, tmp_path):
    first, second = (losses_on_gpu(name, images, tmp_path / folder, build(name)) for folder in ("a", "b"))
    assert first == second
    if name in ("supervised", "mae", "simmim"):
        assert np.mean(first[-10:]) < np.mean(first[:10])


@pytest.mark.requires_gpu
@needs_gpu
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if open_objective(name).recordable])
def test_recorded_steps_are_those_taken_one_by_one(images, name, tmp_path, monkeypatch):
    recorded = losses_on_gpu(name, images, tmp_path / "recorded", build(name))
    objective = build(name)
    monkeypatch.setattr(type(objective), "recordable", False)
    np.testing.assert_allclose(losses_on_gpu(name, images, tmp_path / "eager", objective), recorded, rtol=1e-3)
