"""Objective ``simmim``: predict the raw pixels of masked patches by one linear layer.

Xie et al., SimMIM: a Simple Framework for Masked Image Modeling (2022), arXiv 2111.09886. As there: blocks of patches
are masked (60 %, rounded up), a learnt token stands for them in the encoder, one linear layer predicts pixels, and the
loss is L1 on masked pixels. Unlike there the encoder has the absolute position embedding that it has for every
objective here.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from patchprobe.pretraining.masking import random_mask
from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch, Objective, Views


@dataclass(frozen=True)
class Options:
    """Share of blocks masked, and the side of a block in patches."""

    mask_ratio: float = 0.6
    block: int = 2


class SimMIM(Objective):
    """The encoder on all patches, a mask token, and a convolution of 1 x 1 followed by a pixel shuffle."""

    views = Views(full=1)
    options_type = Options
    recordable = True

    def __init__(self, network: Network, classes: int, options: Options) -> None:
        super().__init__(network)
        self.options = options
        self.mask_token = nn.Parameter(torch.randn(1, 1, network.features) * 0.02)
        self.pixels = nn.Sequential(
            nn.Conv2d(network.features, network.patch_size**2 * 3, kernel_size=1), nn.PixelShuffle(network.patch_size)
        )

    def loss(self, batch: Batch) -> torch.Tensor:
        """See :meth:`patchprobe.pretraining.objective.Objective.loss`."""
        images, grid = batch.full[0], self.network.grid
        mask = random_mask(len(images), grid, self.options.mask_ratio, unit=self.options.block, device=images.device)
        tokens = self.network(images, mask, self.mask_token)[:, 1:]
        predicted = self.pixels(tokens.transpose(1, 2).unflatten(2, (grid, grid)))
        per_pixel = mask.unflatten(1, (1, grid, grid)).float()
        per_pixel = F.interpolate(per_pixel, scale_factor=self.network.patch_size, mode="nearest")
        error = (predicted.float() - images).abs() * per_pixel
        return error.sum() / (per_pixel.sum() * images.shape[1])

    def decoder(self) -> dict[str, torch.Tensor]:
        """Return the layer to pixels by the official name, and the mask token."""
        return {"mask_token": self.mask_token, **{f"decoder.{k}": v for k, v in self.pixels.state_dict().items()}}


OBJECTIVE = SimMIM
HAS_DECODER = True
