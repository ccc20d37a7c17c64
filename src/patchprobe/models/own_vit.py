"""What networks that timm does not have share: timm's plain ViT with parts of their own, registered under their own name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from timm.layers import Attention
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from patchprobe.models.layout import IMAGENET


def facts(name: str, native_size: int) -> Any:
    """Return what timm keeps of an architecture without weights on its hub: the module's ``default_cfgs``.

    ``native_size`` is the side of the images that it was trained on, in pixels; they are normalised as ImageNet.
    """
    mean, std = IMAGENET
    shape = (3, native_size, native_size)
    return generate_default_cfgs({name: {"input_size": shape, "mean": mean, "std": std, "num_classes": 0}})


def plain_vit(name: str, own: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """Build timm's plain ViT with the arguments ``own`` of an architecture; ``arguments`` of timm's caller win.

    Raises RuntimeError for pretrained weights, which timm's hub does not have.
    """
    return build_model_with_cfg(VisionTransformer, name, **{**own, **arguments})


def register(build: Callable[..., nn.Module]) -> None:
    """Let timm know the network that ``build`` builds, by its name and with ``default_cfgs`` of its module."""
    register_model(build)


class RotaryAttention(Attention, ABC):
    """Attention whose queries and keys are turned by the angles of a position: :meth:`angles` and :meth:`swapped` say how."""

    @abstractmethod
    def angles(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosines and sines (N, head width), float32, of all tokens of the sequence."""

    @abstractmethod
    def swapped(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features (..., head width) that the sines go with: each one's partner, or its negative."""

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False) -> torch.Tensor:
        """Return the attended tokens (B, N, D); the turn is done in float32."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        cosines, sines = self.angles()
        query, key = ((t * cosines + self.swapped(t) * sines).to(value.dtype) for t in (query, key))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, is_causal=is_causal)
        turned: torch.Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return turned
