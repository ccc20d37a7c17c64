"""Patch tokens to measure on: of a real network on real pictures where they are at hand, synthetic otherwise."""

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed

from benchmarks.measure import THREADS
from patchprobe.datasets.pictures import open_picture

SHARED = Path(os.environ.get("PATCHPROBE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
_WEIGHTS = SHARED / "weights" / "vit_small_patch14_dinov2_saliency.safetensors"
_PICTURES = SHARED / "samples" / "camvid" / "CamVid"
_BANK_ROWS, _QUERY_ROWS, _FEATURES, _CROP = 30720, 2048, 768, 360


@cache
def bank_and_queries() -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float16], str]:
    """Return a bank (N, 768), queries (2048, 768), both float16, and a line that says what they are."""
    if _WEIGHTS.is_file() and _PICTURES.is_dir():
        bank, queries = _real("train"), _real("test")
        source = "ViT-S/14, blocks 10 and 12 side by side, on CamVid crops"
    else:
        bank, queries = _synthetic(_BANK_ROWS, seed=1), _synthetic(_QUERY_ROWS, seed=2)
        source = f"synthetic with a decaying spectrum (no weights and pictures below {SHARED})"
    chosen = np.random.default_rng(0).permutation(len(queries))[:_QUERY_ROWS]
    queries = queries[np.sort(chosen)]
    source = f"{source}: bank {bank.shape[0]} x {bank.shape[1]}, {len(queries)} queries"
    print(f"tokens: {source}", file=sys.stderr)
    return bank, queries, source


def with_noisy_features(tokens: npt.NDArray[np.float32], count: int, seed: int) -> npt.NDArray[np.float32]:
    """Return tokens in which ``count`` features, the same for every seed, are noise of huge variance.

    Their variance is 1e4 times the mean of the others, as that of some features of masked autoencoders.
    """
    noisy = np.random.default_rng(0).permutation(tokens.shape[1])[:count]
    found = tokens.copy()
    scale = 100 * float(np.sqrt(tokens.var(axis=0).mean()))
    found[:, noisy] = scale * np.random.default_rng(seed).standard_normal((len(tokens), count), np.float32)
    return found


def _real(split: str) -> npt.NDArray[np.float16]:
    """Return tokens of two crops of every picture of a split."""
    torch.set_num_threads(THREADS)
    weights = {name: tensor.float() for name, tensor in load_file(_WEIGHTS).items()}
    weights["pos_embed"] = resample_abs_pos_embed(weights["pos_embed"], [16, 16], num_prefix_tokens=1)
    network = timm.create_model("vit_small_patch14_dinov2.lvd142m", img_size=224, num_classes=0).eval()
    network.load_state_dict(weights)
    crops = []
    for path in sorted((_PICTURES / split).glob("*.png")):
        picture = open_picture(path).convert("RGB")
        for left in (0, picture.width - _CROP):
            crop = picture.crop((left, 0, left + _CROP, _CROP)).resize((224, 224), Image.Resampling.BICUBIC)
            crops.append(np.asarray(crop))
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    pixels = (pixels - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    blocks = []
    with torch.inference_mode():
        for batch in pixels.split(8):
            layers = network.forward_intermediates(
                batch, indices=[9, 11], norm=True, output_fmt="NLC", intermediates_only=True
            )
            blocks.append(torch.cat(layers, dim=-1).half())
    return torch.cat(blocks).flatten(0, 1).numpy()


def _synthetic(rows: int, seed: int) -> npt.NDArray[np.float16]:
    """Return tokens around 200 centres, the i-th direction with variance 1 / i."""
    rng = np.random.default_rng(seed)
    deviations = 1 / np.sqrt(np.arange(1, _FEATURES + 1))
    centres = np.random.default_rng(0).standard_normal((200, _FEATURES))
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((_FEATURES, _FEATURES)))[0]
    tokens = centres[rng.integers(0, 200, rows)] + 0.7 * rng.standard_normal((rows, _FEATURES))
    return ((tokens * deviations) @ rotation).astype(np.float16)
