"""Masked image modelling with its pretrained decoder: images to encoder tokens, and tokens to a reconstructed image."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from patchprobe.models.vit import TimmViT

Scope = Literal["all", "patch"]
Target = Literal["pixels", "normalised-patches"]

# ``norm_pix_loss`` of models_mae.py (facebookresearch/mae, efb2a806): keeps the deviation of a flat patch from zero
_TARGET_EPS = 1e-6


@dataclass(frozen=True)
class Encoded:
    """Tokens of B images with N patches each, of which the encoder may have seen but some.

    ``cls`` (B, D) and ``patch`` (B, K, D) carry the encoder's final norm. ``mask`` bool (B, N), row-major, is true where
    a patch was hidden. ``ids_restore`` int64 (B, N) is the place of each patch, row-major, when the K patches of
    ``patch`` are followed by what the encoder did not get.
    """

    cls: torch.Tensor
    patch: torch.Tensor
    mask: torch.Tensor
    ids_restore: torch.Tensor


class MaskedAutoencoder(ABC):
    """A frozen encoder, its decoder, and the order of values in what the decoder predicts for a patch.

    The subclasses add ``encode``, whose masking differs. Images are normalised with the encoder's mean and std, going
    in and coming out. ``target`` says what the decoder was trained to predict: ``pixels`` of such images, or
    ``normalised-patches``, each patch less its mean and divided by its deviation.
    ``provenance`` holds JSON values: where the decoder comes from.
    """

    encoder: TimmViT
    decoder: nn.Module

    def __init__(self, encoder: TimmViT, decoder: nn.Module, target: Target = "pixels") -> None:
        self.encoder = encoder
        self.decoder = decoder.eval().requires_grad_(False).to(encoder.module.cls_token.device)
        self.target = target
        self.provenance: dict[str, Any] = {}

    @abstractmethod
    def encode_hidden(self, images: torch.Tensor, share: float, noise: torch.Tensor) -> Encoded:
        """Return the tokens of images (B, 3, H, W) of whose N patches all are hidden but int(N * (1 - ``share``)).

        Those of the lowest ``noise`` (B, N) stay, so that the same noise hides the same patches of every model with the
        grid. With a share of 0 all stay. Raises ValueError where none would, or for noise of another shape.
        """

    def decode(self, encoded: Encoded, *, zeroed: Sequence[int] = (), scope: Scope = "all") -> torch.Tensor:
        """Return the decoder's prediction (B, N, 3 * patch * patch) for every patch, hidden or not, row-major.

        The features ``zeroed`` of the tokens are set to zero before: those of all tokens with the scope ``all``, those
        of the patches but not of [CLS] with ``patch``. Raises ValueError for a feature that the tokens do not have.
        """
        predicted: torch.Tensor = self.decoder(_without(encoded, zeroed, scope))
        return predicted

    def reconstruct(self, predicted: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return the images (B, 3, H, W), normalised as ``images``, that predictions (B, N, 3 * patch * patch) stand for.

        Where the decoder predicts normalised patches, that is undone with the statistics of ``images``, see
        :meth:`undo_target_normalisation`.
        """
        undone = predicted if self.target == "pixels" else self.undo_target_normalisation(predicted, images)
        return self.unpatchify(undone)

    def undo_target_normalisation(self, predicted: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Turn the predictions (B, N, values) of a model trained with ``norm_pix_loss`` into pixel values.

        Such a model, mae_pretrain_vit_base_full.pth among them, predicts each patch less its mean and divided by its
        standard deviation (unbiased variance + 1e-6, section 3 of arXiv 2111.06377). Both are taken from ``images``
        (B, 3, H, W), so the true mean and contrast of each patch are given away.
        """
        mean, std = self.target_statistics(images)
        return predicted * std + mean

    def target_statistics(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation (B, N, 1) of each patch over its pixels and channels."""
        patches = self.patchify(images)
        return patches.mean(-1, keepdim=True), (patches.var(-1, keepdim=True) + _TARGET_EPS).sqrt()

    @abstractmethod
    def unpatchify(self, patches: torch.Tensor) -> torch.Tensor:
        """Put predictions or patches (B, N, 3 * patch * patch) together to images (B, 3, H, W)."""

    @abstractmethod
    def patchify(self, images: torch.Tensor) -> torch.Tensor:
        """Take images (B, 3, H, W) apart to patches (B, N, 3 * patch * patch), with values in the decoder's order."""

    @property
    def patches(self) -> int:
        """The number N of patches of an image."""
        rows, columns = self.encoder.grid
        return rows * columns


def largest_mask(patches: int) -> float:
    """Return the largest share of patches, in three digits, that leaves one of them visible."""
    return math.floor(1000 * (1 - 1 / patches)) / 1000


def _without(encoded: Encoded, features: Sequence[int], scope: Scope) -> Encoded:
    width = encoded.patch.shape[-1]
    unknown = sorted(feature for feature in features if not 0 <= feature < width)
    if unknown:
        raise ValueError(f"feature {unknown[0]} cannot be zeroed: tokens have the features 0 to {width - 1}")
    if scope not in ("all", "patch"):
        raise ValueError(
            f"unknown scope {scope!r}; features are zeroed in all tokens (all), or in patches alone (patch)"
        )
    if not len(features):
        return encoded
    index = torch.as_tensor(features, dtype=torch.int64, device=encoded.patch.device)
    return replace(
        encoded,
        patch=encoded.patch.index_fill(-1, index, 0.0),
        cls=encoded.cls.index_fill(-1, index, 0.0) if scope == "all" else encoded.cls,
    )
