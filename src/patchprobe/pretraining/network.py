"""The one network that all objectives train: a plain ViT of timm, taken apart where masks and crops need it."""

import math
from collections.abc import Mapping
from typing import Any

import timm
import torch
from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from patchprobe.errors import ConfigError

_KEY = "pretraining.architecture"


class Network(nn.Module):
    """A timm ``VisionTransformer`` with [CLS] and a learnt absolute position embedding.

    ``grid`` is the patches along a side at the full input size S, ``features`` the length of a token, ``patch_size``
    in pixels; ``mean`` and ``std`` are per channel, for pixels scaled to 0..1.
    """

    def __init__(self, architecture: str, arguments: Mapping[str, Any], input_size: int) -> None:
        """Build it with random weights from torch's generator; raises ConfigError naming the key."""
        super().__init__()
        try:
            vit: Any = timm.create_model(architecture, num_classes=0, img_size=input_size, **arguments)
        except (TypeError, RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{_KEY}: timm cannot build {architecture} at {input_size} px with {dict(arguments)} ({reason}): correct the key"
            ) from None
        if not _is_plain(vit):
            raise ConfigError(
                f"{_KEY}.name: {architecture} is not a plain ViT with one [CLS] token and a learnt position "
                "embedding; use for example vit_tiny_patch16_224"
            )
        if input_size % (2 * vit.patch_embed.patch_size[0]):
            raise ConfigError(
                f"{_KEY}.input_size: {input_size} px is not a multiple of {2 * vit.patch_embed.patch_size[0]}, two "
                "patches, so that local crops of half the size have whole patches: take one"
            )
        # Measured on a CPU with bf16: training with the fused attention of torch takes 1.8 times as long at 65
        # tokens, and its gradients are not deterministic on every GPU.
        for block in vit.blocks:
            block.attn.fused_attn = False
        _initialise(vit)
        self.vit = vit
        self.features: int = vit.embed_dim
        self.patch_size: int = vit.patch_embed.patch_size[0]
        self.grid = input_size // self.patch_size
        self.mean: tuple[float, ...] = tuple(vit.pretrained_cfg["mean"])
        self.std: tuple[float, ...] = tuple(vit.pretrained_cfg["std"])
        self.register_buffer("_halving", _resampling(self.grid, self.grid // 2), persistent=False)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embedded patches (B, N, D) of images (B, 3, side, side), without positions."""
        embedded: torch.Tensor = self.vit.patch_embed.proj(images)
        return embedded.flatten(2).transpose(1, 2)

    def positions(self, patches: int) -> torch.Tensor:
        """Return the embedding (1, patches, D) of patch positions, for full crops or for local ones of half the side."""
        full: torch.Tensor = self.vit.pos_embed[:, 1:]
        if patches == full.shape[1]:
            return full
        halving: torch.Tensor = self._halving  # type: ignore[assignment]
        # A product with a fixed matrix: the gradient of interpolation is not deterministic on GPUs.
        return halving @ full

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the tokens (B, 1 + N, D), [CLS] first and with the final norm, of patches (B, N, D) with positions."""
        first = self.vit.cls_token + self.vit.pos_embed[:, :1]
        tokens = torch.cat([first.expand(len(patches), -1, -1), patches], dim=1)
        normed: torch.Tensor = self.vit.norm(self.vit.blocks(tokens))
        return normed

    def forward(
        self, images: torch.Tensor, mask: torch.Tensor | None = None, mask_token: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the tokens (B, 1 + N, D) of images (B, 3, side, side).

        Where ``mask`` (B, N) is true, the patch is replaced by ``mask_token`` (1, 1, D) before positions are added.
        """
        patches = self.embed(images)
        if mask is not None and mask_token is not None:
            patches = torch.where(mask[..., None], mask_token.to(patches.dtype), patches)
        return self.encode(patches + self.positions(patches.shape[1]))

    def patchify(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pixels (B, N, patch_size * patch_size * 3) of each patch, channels last as in MAE's code."""
        size = self.patch_size
        side = images.shape[-1] // size
        cut = images.reshape(len(images), 3, side, size, side, size)
        return cut.permute(0, 2, 4, 3, 5, 1).reshape(len(images), side * side, size * size * 3)


def _initialise(vit: Any) -> None:
    """Start as MAE's code does: Xavier's uniform distribution, and positions from sines and cosines, here learnt on.

    At 192 features timm's own weights (standard deviation 0.02) are so small that short training hardly leaves them.
    """
    for module in vit.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(vit.patch_embed.proj.weight.flatten(1))
    nn.init.zeros_(vit.patch_embed.proj.bias)
    initialize_2d_sine_cosine_positional_embedding(vit.pos_embed, has_class_token=True)
    vit.pos_embed.requires_grad_(True)


def _is_plain(vit: Any) -> bool:
    return (
        isinstance(vit, VisionTransformer)
        and vit.pos_embed is not None
        and vit.pos_embed.shape[1] == vit.patch_embed.num_patches + 1
        and vit.num_prefix_tokens == 1
        and isinstance(vit.norm_pre, nn.Identity)
        and isinstance(vit.norm, nn.LayerNorm)
        and isinstance(vit.patch_embed.norm, nn.Identity)
    )


def _resampling(old: int, new: int) -> torch.Tensor:
    """Return the matrix (new * new, old * old) of bicubic interpolation between square grids, not antialiased."""
    identity = torch.eye(old * old, dtype=torch.float64).reshape(old * old, 1, old, old)
    resized = F.interpolate(identity, size=(new, new), mode="bicubic")
    return resized.reshape(old * old, new * new).T.float().contiguous()


def parameter_count(module: nn.Module) -> int:
    """Return the number of weights of a module."""
    return sum(math.prod(weight.shape) for weight in module.parameters())
