"""A graphics card against its own matrix rate: extraction of ViT-B in bf16, and searches of the size of Cityscapes."""

import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
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

# The study's evaluation on Cityscapes, in patches: 960 training tiles of 196 patches, and an eighth of its 2,304 for evaluation,
# since the time grows in proportion.
_BANK, _QUERIES, _FEATURES = 188_160, 56_448, 768
_COUNTS = (0, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 650, 700)
_TILES, _SIZE, _BATCH = 4096, 224, 128
# Products and additions of ViT-B/16 with one image of 224 px: 12 blocks of 197 tokens, attention included.
_OPERATIONS = 12 * (2 * 197 * 12 * 768**2 + 4 * 197**2 * 768) + 2 * 196 * 768**2


def run() -> list[Result]:
    """Measure rates, the product in the same precision as reference; nothing without a card."""
    if not torch.cuda.is_available():
        print("card: there is no CUDA device", file=sys.stderr)
        return []
    results = []
    for result in itertools.chain(_extraction(), _searches()):
        # At once, since the searches take minutes.
        print(f"{result.name}: {result.ours:.4g} of {result.reference:.4g} {result.unit}", file=sys.stderr, flush=True)
        results.append(result)
    return results


def product_rate(size: int, dtype: torch.dtype) -> float:
    """Return the operations per second of products of random square matrices of ``size``."""
    a, b = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
    seconds = median_seconds({"product": _waiting(lambda: torch.mm(a, b))}, rounds=9)["product"]
    return 2 * size**3 / seconds


def _extraction() -> Iterator[Result]:
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
    for name, ours, reference in (
        ("forward passes of ViT-B in bf16, against products in bf16", passes, rate),
        ("extraction of ViT-B in bf16, against its forward passes", whole, passes),
        ("extraction of ViT-B in bf16, against products in bf16", whole, rate),
    ):
        yield Result(name, ours / 1e12, reference / 1e12, "TFLOP/s")


def _written(folder: Path, tiles: object, model: Backbone, number: int) -> None:
    with build_store(folder / "tokens.zarr", spec=json.dumps({"build": number}), code="") as build:
        extract(build, tiles, model, precision="bf16", device="cuda", batch_size=_BATCH)  # type: ignore[arg-type]


def _searches() -> Iterator[Result]:
    bank, queries = _tokens(_BANK, 1), _tokens(_QUERIES, 2)
    order = by_variance(moments(bank)[1])
    blocks = [queries[rows] for rows in slices(_QUERIES, 16 * 196)]
    rate = product_rate(8192, torch.float32)
    search = MemoryBank(bank, device="cuda")
    once = median_seconds({"search": _waiting(lambda: search.search(blocks, threads=THREADS))}, rounds=1)["search"]
    work = 2.0 * _BANK * _QUERIES * _FEATURES
    name = f"1-NN of {_QUERIES} among {_BANK} patches, {_FEATURES} features"
    yield Result(f"{name}, against products in fp32", work / once / 1e12, rate / 1e12, "TFLOP/s")
    sweep = SweepBank(bank, order, _COUNTS, device="cuda")
    all_counts = median_seconds({"sweep": _waiting(lambda: sweep.search(blocks, threads=THREADS))}, rounds=1)["sweep"]
    yield Result(f"sweep of {len(_COUNTS)}, time against that of one search", all_counts, once, "s")


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
