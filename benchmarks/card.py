"""A graphics card against its own matrix rate: extraction of ViT-B in bf16, and searches of the size of Cityscapes."""

import itertools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.extraction import make_tiles
from benchmarks.measure import THREADS, Result, median_seconds
from patchprobe.models.backbone import Backbone, load_model
from patchprobe.neighbors.blocks import slices
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tokens.extraction import extract
from patchprobe.tokens.transforms import by_variance, moments

# The study's evaluation on Cityscapes, in patches: 40 training and 96 evaluation tiles of 196 patches from each of 24 images.
_BANK, _QUERIES, _FEATURES = 188_160, 451_584, 768
_COUNTS = (0, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 650, 700)
_TILES, _SIZE, _BATCH = 8192, 224, 128
# Products and additions of ViT-B/16 with one image of 224 px: 12 blocks of 197 tokens, attention included.
_OPERATIONS = 12 * (2 * 197 * 12 * 768**2 + 4 * 197**2 * 768) + 2 * 196 * 768**2


def run() -> list[Result]:
    """Measure rates, the product in the same precision as reference; nothing without a card."""
    if not torch.cuda.is_available():
        print("card: there is no CUDA device", file=sys.stderr)
        return []
    return [*_extraction(), *_searches()]


def product_rate(size: int, dtype: torch.dtype) -> float:
    """Return the operations per second of products of random square matrices of ``size``."""
    a, b = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
    seconds = median_seconds({"product": _waiting(lambda: torch.mm(a, b))}, rounds=9)["product"]
    return 2 * size**3 / seconds


def _extraction() -> list[Result]:
    entry = {"source": "random", "architecture": "vit_base_patch16_224", "seed": 0}
    model = load_model("vit", entry, checkpoint_root=Path(), input_size=_SIZE, device="cuda")
    images = torch.randn(_BATCH, 3, _SIZE, _SIZE, device="cuda")
    builds = itertools.count()

    def forward() -> None:
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
            for _ in range(8):
                model.tokens(images, [model.blocks])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tiles(folder / "tiles.zarr", _TILES)
        tiles = open_store(folder / "tiles.zarr")
        _written(folder, tiles, model, next(builds))
        seconds = median_seconds(
            {"extraction": lambda: _written(folder, tiles, model, next(builds)), "forward": _waiting(forward)}, rounds=3
        )
    rate = product_rate(8192, torch.bfloat16)
    passes = 8 * _BATCH * _OPERATIONS / seconds["forward"]
    whole = _TILES * _OPERATIONS / seconds["extraction"]
    return [
        Result("forward passes of ViT-B in bf16, against products in bf16", passes / 1e12, rate / 1e12, "TFLOP/s"),
        Result("extraction of ViT-B in bf16, against its forward passes", whole / 1e12, passes / 1e12, "TFLOP/s"),
        Result("extraction of ViT-B in bf16, against products in bf16", whole / 1e12, rate / 1e12, "TFLOP/s"),
    ]


def _written(folder: Path, tiles: object, model: Backbone, number: int) -> None:
    with build_store(folder / "tokens.zarr", spec=json.dumps({"build": number}), code="") as build:
        extract(build, tiles, model, precision="bf16", device="cuda", batch_size=_BATCH)  # type: ignore[arg-type]


def _searches() -> list[Result]:
    bank, queries = _tokens(_BANK, 1), _tokens(_QUERIES, 2)
    order = by_variance(moments(bank)[1])
    blocks = [queries[rows] for rows in slices(_QUERIES, 16 * 196)]
    search, sweep = MemoryBank(bank, device="cuda"), SweepBank(bank, order, _COUNTS, device="cuda")
    seconds = median_seconds(
        {
            "search": _waiting(lambda: search.search(blocks, threads=THREADS)),
            "sweep": _waiting(lambda: sweep.search(blocks, threads=THREADS)),
        },
        rounds=1,
    )
    rate = product_rate(8192, torch.float32)
    work = 2.0 * _BANK * _QUERIES * _FEATURES
    name = f"1-NN of {_QUERIES} among {_BANK} patches, {_FEATURES} features"
    return [
        Result(f"{name}, against products in fp32", work / seconds["search"] / 1e12, rate / 1e12, "TFLOP/s"),
        Result(f"sweep of {len(_COUNTS)}, time against that of one search", seconds["sweep"], seconds["search"], "s"),
    ]


def _tokens(rows: int, seed: int) -> npt.NDArray[np.float16]:
    """Return tokens around 200 centres, the i-th feature with variance 1 / i."""
    draw = torch.Generator("cuda").manual_seed(seed)
    centres = torch.randn(200, _FEATURES, device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    chosen = torch.randint(0, 200, (rows,), device="cuda", generator=draw)
    noise = torch.randn(rows, _FEATURES, device="cuda", generator=draw)
    scale = torch.arange(1, _FEATURES + 1, device="cuda").rsqrt()
    return ((centres[chosen] + 0.7 * noise) * scale).half().cpu().numpy()


def _waiting(work: Callable[[], object]) -> Callable[[], None]:
    def waited() -> None:
        work()
        torch.cuda.synchronize()

    return waited
