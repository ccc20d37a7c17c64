"""Crops cut out of images and brought to one size: on a processor by OpenCV, on a GPU by one kernel for a whole batch.

A GPU takes a step in a hundredth of the time that a processor needs for it, and would wait for crops cut elsewhere. Both
average over pixel areas where a crop shrinks, so that nothing aliases, and interpolate linearly where it grows; they differ by
rounding, and where the side of a crop is no multiple of its new one.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torchvision  # noqa: F401  # brings torch.ops.torchvision

from patchprobe.pretraining.images import Images

Pixels = npt.NDArray[np.uint8] | torch.Tensor
_Numbers = npt.NDArray[np.int64]

# A class that covers less of a crop is not counted as present: it may be a few pixels at the border.
MIN_SHARE = 0.01
# Images that move to a GPU at a time.
_BLOCK = 256


class CpuCutter:
    """Cuts on a processor, from images in its memory."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def cut(self, numbers: _Numbers, boxes: Sequence[_Numbers], mirrored: npt.NDArray[np.bool_], side: int) -> Pixels:
        """Return the crops (views * B, side, side, 3) of all views in 0..255, one view after the other.

        ``numbers`` (B,) are the images, ``boxes`` one (B, 4) of top, left, rows and columns in px for each view,
        ``mirrored`` (views * B,) says which crops are mirrored.
        """
        cut = np.empty((len(boxes) * len(numbers), side, side, 3), np.uint8)
        for place, (number, box) in enumerate((n, b) for view in boxes for n, b in zip(numbers, view, strict=True)):
            top, left, rows, columns = box
            crop = self._images.images[number, top : top + rows, left : left + columns]
            method = cv2.INTER_AREA if min(rows, columns) > side else cv2.INTER_LINEAR
            resized = cv2.resize(crop, (side, side), interpolation=method)
            cut[place] = resized[:, ::-1] if mirrored[place] else resized
        return cut

    def presence(self, numbers: _Numbers, boxes: _Numbers, side: int) -> npt.NDArray[np.float32]:
        """Return (B, classes), 1 where a crop shows a class."""
        classes = len(self._images.class_names)
        present = np.zeros((len(numbers), classes), np.float32)
        for row, number, (top, left, rows, columns) in zip(present, numbers, boxes, strict=True):
            labels = self._images.labels[number]
            if labels.ndim:
                labels = labels[top : top + rows, left : left + columns]
            shares = np.bincount(labels.ravel(), minlength=256)[:classes] / labels.size
            row[shares >= MIN_SHARE] = 1
        return present


class GpuCutter:
    """Cuts on the device that holds the images, one byte per value; crops are float32 and stay there."""

    def __init__(self, images: Images, device: str) -> None:
        self._pixels = _moved(images.images, device)
        self._labels = _moved(images.labels, device) if images.class_names else None
        self._classes = len(images.class_names)
        self._device = device

    def cut(self, numbers: _Numbers, boxes: Sequence[_Numbers], mirrored: npt.NDArray[np.bool_], side: int) -> Pixels:
        """See :meth:`CpuCutter.cut`."""
        if not boxes:
            return torch.empty((0, side, side, 3), device=self._device)
        batch = self._pixels[torch.from_numpy(numbers).to(self._device)].permute(0, 3, 1, 2).float()
        top, left, rows, columns = np.concatenate(boxes).T
        places = np.tile(np.arange(len(numbers)), len(boxes))
        regions = np.stack([places, left, top, left + columns, top + rows], axis=1).astype(np.float32)
        # The function around this operator takes another way where deterministic algorithms are asked for, because the gradient
        # is not; without a gradient its sums have one order.
        crops = torch.ops.torchvision.roi_align(
            batch, torch.from_numpy(regions).to(self._device), 1.0, side, side, 0, True
        )
        flipped = torch.from_numpy(mirrored).to(self._device).view(-1, 1, 1, 1)
        return torch.where(flipped, crops.flip(3), crops).permute(0, 2, 3, 1)

    def presence(self, numbers: _Numbers, boxes: _Numbers, side: int) -> torch.Tensor:
        """Return (B, classes), 1 where a crop shows a class, counted at the centres of its ``side`` x ``side`` pixels."""
        assert self._labels is not None
        chosen = torch.from_numpy(numbers).to(self._device)
        if self._labels.ndim == 1:
            labels = self._labels[chosen].view(-1, 1)
        else:
            top, left, rows, columns = torch.from_numpy(boxes).to(self._device).unsqueeze(2).unbind(1)
            centres = (torch.arange(side, device=self._device) + 0.5) / side
            y, x = ((start + (centres * length).floor().long()) for start, length in ((top, rows), (left, columns)))
            labels = self._labels[chosen.view(-1, 1, 1), y.unsqueeze(2), x.unsqueeze(1)].flatten(1)
        known = torch.arange(self._classes, device=self._device, dtype=labels.dtype)
        shares = torch.stack([(labels == number).float().mean(1) for number in known], dim=1)
        return (shares >= MIN_SHARE).float()


def _moved(values: npt.NDArray[np.uint8], device: str) -> torch.Tensor:
    """Return the values on the device, a block at a time, since a store's memory cannot be pinned."""
    moved = torch.empty(values.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(values), _BLOCK):
        moved[start : start + _BLOCK] = torch.from_numpy(values[start : start + _BLOCK])
    return moved
