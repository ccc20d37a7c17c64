"""Random crops of the images, batch by batch: everything about a batch follows from the seed and the step.

So a resumed run sees the batches that an undisturbed one would have seen, and objectives with the same batch size see
the same crops of the same images in the same order.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from patchprobe.pretraining.cutting import CpuCutter, GpuCutter, Pixels
from patchprobe.pretraining.images import Images
from patchprobe.pretraining.objective import Batch, Views
from patchprobe.seeds import generator

# Sides of a crop before it is resized to a square, as in torchvision's RandomResizedCrop.
_ASPECT = (3 / 4, 4 / 3)
# Factors of brightness, contrast and saturation (DINO's are 0.4, 0.4 and 0.2), for this share of the crops.
_JITTER = (0.4, 0.4, 0.2)
_JITTERED = 0.8
# Threads that make crops: a GPU takes a step in less time than one thread makes the crops of it.
_WORKERS = 4
_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class CropOptions:
    """``sides`` of full crops as shares of the region's, least and most; local crops have half of both.

    All crops of an image come from one region of it, a square whose side is ``region`` of the image's shorter side,
    so that they have something in common. Without one they come from the whole image, and their sides are shares of
    its shorter side.
    """

    batch_size: int
    input_size: int
    sides: tuple[float, float]
    region: float | None = None


@dataclass(frozen=True)
class _Crops:
    """Crops as they come from the images: (views * B, side, side, 3) in 0..255, and jitter factors (views * B, 3)."""

    full: Pixels
    local: Pixels
    full_factors: npt.NDArray[np.float32]
    local_factors: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32] | torch.Tensor | None


class CropSampler:
    """Draws the batches of one training run; on a GPU the images lie there, and crops are cut there."""

    def __init__(self, images: Images, views: Views, options: CropOptions, *, seed: int, device: str = "cpu") -> None:
        self._count, *size = images.images.shape[:3]
        self._size: tuple[int, ...] = tuple(size)
        self._cutter = GpuCutter(images, device) if device.startswith("cuda") else CpuCutter(images)
        self._views = views
        self._options = options
        self._seed = seed

    def batches(self, start: int, stop: int) -> Iterator[_Crops]:
        """Yield the crops of steps ``start`` to ``stop - 1``, made ahead by other threads."""
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="crops") as workers:
            ahead: deque[Future[_Crops]] = deque()
            for step in range(start, stop):
                while len(ahead) <= _WORKERS and step + len(ahead) < stop:
                    ahead.append(workers.submit(self.crops, step + len(ahead)))
                yield ahead.popleft().result()

    def crops(self, step: int) -> _Crops:
        """Return the crops of one step."""
        rng = generator(self._seed, "pretraining crops", step)
        options, views = self._options, self._views
        numbers = self._numbers(step)
        low, high = options.sides
        side = options.input_size
        regions = self._regions(rng, len(numbers))
        full = [_boxes(rng, regions, low, high) for _ in range(views.full)]
        local = [_boxes(rng, regions, low / 2, high / 2) for _ in range(views.local)]
        return _Crops(
            full=self._cutter.cut(numbers, full, _mirrored(rng, numbers, full), side),
            local=self._cutter.cut(numbers, local, _mirrored(rng, numbers, local), side // 2),
            full_factors=_factors(rng, len(numbers) * views.full),
            local_factors=_factors(rng, len(numbers) * views.local),
            presence=self._cutter.presence(numbers, full[0], side) if views.presence else None,
        )

    def _numbers(self, step: int) -> npt.NDArray[np.int64]:
        """Return the images of a step: the whole pool in a new order in each epoch, across the borders of batches."""
        size, count = self._options.batch_size, self._count
        places = np.arange(step * size, (step + 1) * size)
        epochs = np.unique(places // count)
        return np.concatenate([_order(self._seed, int(e), count)[places[places // count == e] % count] for e in epochs])

    def _regions(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
        """Return one box (top, left, rows, columns) in px for each image of a batch, that its crops lie in."""
        height, width = self._size
        share = self._options.region
        if share is None:
            return np.tile((0, 0, height, width), (n, 1))
        side = max(1, round(share * min(height, width)))
        top, left = rng.integers(0, (height - side + 1, width - side + 1), (n, 2)).T
        return np.stack([top, left, np.full(n, side), np.full(n, side)], axis=1)


def _boxes(rng: np.random.Generator, regions: npt.NDArray[np.int64], low: float, high: float) -> npt.NDArray[np.int64]:
    """Return one box (top, left, rows, columns) in px inside each region, of ``low`` to ``high`` of its shorter side."""
    n = len(regions)
    height, width = regions[:, 2], regions[:, 3]
    side = regions[:, 2:].min(axis=1) * rng.uniform(low, high, n)
    root = np.sqrt(np.exp(rng.uniform(np.log(_ASPECT[0]), np.log(_ASPECT[1]), n)))
    rows = np.clip(np.rint(side / root), 1, height).astype(np.int64)
    columns = np.clip(np.rint(side * root), 1, width).astype(np.int64)
    top = regions[:, 0] + np.floor(rng.random(n) * (height - rows + 1)).astype(np.int64)
    left = regions[:, 1] + np.floor(rng.random(n) * (width - columns + 1)).astype(np.int64)
    return np.stack([top, left, rows, columns], axis=1)


def to_batch(crops: _Crops, views: Views, mean: Sequence[float], std: Sequence[float], device: str) -> Batch:
    """Bring crops to the device as normalised float32 (B, 3, side, side), jittered if the views ask for it."""
    full, local = (
        _to_views(images, factors if views.jitter else None, number, mean, std, device)
        for images, factors, number in (
            (crops.full, crops.full_factors, views.full),
            (crops.local, crops.local_factors, views.local),
        )
    )
    presence = None if crops.presence is None else torch.as_tensor(crops.presence, device=device)
    return Batch(full, local, presence)


def _to_views(
    images: Pixels,
    factors: npt.NDArray[np.float32] | None,
    number: int,
    mean: Sequence[float],
    std: Sequence[float],
    device: str,
) -> list[torch.Tensor]:
    if not number:
        return []
    pixels = torch.as_tensor(images, device=device).permute(0, 3, 1, 2).float().div_(255)
    if factors is not None:
        pixels = jittered(pixels, torch.from_numpy(factors).to(device))
    channel = [torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std)]
    return list(pixels.sub_(channel[0]).div_(channel[1]).contiguous().chunk(number))


def jittered(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Change brightness, contrast and saturation, in this order, of pixels (B, 3, H, W) in 0..1.

    ``factors`` is (B, 3); each step is torchvision's: a blend with black, with the mean grey, with the grey image,
    clipped to 0..1.
    """
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1, 1).unbind(1)
    weights = torch.tensor(_GREY, device=pixels.device).view(3, 1, 1)
    pixels = (pixels * brightness).clamp_(0, 1)
    middle = (pixels * weights).sum(1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    pixels = torch.lerp(middle, pixels, contrast).clamp_(0, 1)
    grey = (pixels * weights).sum(1, keepdim=True)
    return torch.lerp(grey.expand_as(pixels), pixels, saturation).clamp_(0, 1)


def _mirrored(
    rng: np.random.Generator, numbers: npt.NDArray[np.int64], views: Sequence[npt.NDArray[np.int64]]
) -> npt.NDArray[np.bool_]:
    """Return which crops of all views are mirrored, half of them."""
    return rng.random(len(numbers) * len(views)) < 0.5


def _factors(rng: np.random.Generator, n: int) -> npt.NDArray[np.float32]:
    """Return jitter factors (n, 3) about 1, exactly 1 for the crops that stay as they are."""
    spread = np.asarray(_JITTER) * rng.uniform(-1, 1, (n, 3))
    return (1 + spread * (rng.random((n, 1)) < _JITTERED)).astype(np.float32)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return generator(seed, "pretraining order", epoch).permutation(count)
