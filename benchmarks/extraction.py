"""The speed of extraction, tile store to token store, against a bare timm forward loop on the same tiles."""

import itertools
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import THREADS, Result, median_seconds
from patchprobe.models.backbone import load_model
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tokens.extraction import extract

_SIZE, _TILES, _BATCH = 224, {"cpu": 64, "cuda": 8192}, {"cpu": 8, "cuda": 128}


def run() -> list[Result]:
    """Time whole builds, checksums included; the loop has its images normalised and on the device beforehand.

    The network is a ViT-S/14 with random weights: its speed does not depend on them.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(THREADS)
    entry = {"source": "random", "architecture": "vit_small_patch14_dinov2", "seed": 0}
    model = load_model("vit", entry, checkpoint_root=Path(), input_size=_SIZE, device=device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tiles(folder / "tiles.zarr", _TILES[device])
        tiles = open_store(folder / "tiles.zarr")
        images = torch.from_numpy(tiles["image"].to_numpy()[0]).permute(0, 3, 1, 2).float().contiguous().to(device)
        images = images / 127.5 - 1
        builds = itertools.count()

        def forward_loop() -> None:
            with torch.inference_mode():
                for batch in images.split(_BATCH[device]):
                    model.module.forward_features(batch)
            if device == "cuda":
                torch.cuda.synchronize()

        def forward_passes(layers: list[int]) -> None:
            with torch.inference_mode():
                for batch in images.split(_BATCH[device]):
                    model.tokens(batch, layers)
            if device == "cuda":
                torch.cuda.synchronize()

        def extraction(layers: str) -> None:
            store = folder / "features.zarr"
            with build_store(store, spec=json.dumps({"build": next(builds)}), code="") as build:
                extract(build, tiles, model, layers=layers, device=device, batch_size=_BATCH[device])

        seconds = median_seconds(
            {
                "forward": forward_loop,
                "last": lambda: extraction("last"),
                "all": lambda: extraction("all"),
                "passes for the last block": lambda: forward_passes([model.blocks]),
                "passes for all blocks": lambda: forward_passes(list(range(1, model.blocks + 1))),
            },
            rounds=5,
        )
    speed = {name: _TILES[device] / duration for name, duration in seconds.items()}
    return [
        Result(
            "extraction of the last block, against the bare forward loop", speed["last"], speed["forward"], "tiles/s"
        ),
        Result("extraction of all 12 blocks, against that of the last", speed["all"], speed["last"], "tiles/s"),
        Result(
            "forward passes for the tokens of all 12 blocks, against those for the last (time, storage apart)",
            seconds["passes for all blocks"],
            seconds["passes for the last block"],
            "s",
        ),
    ]


def make_tiles(store: Path, tiles: int) -> None:
    """Write a store of ``tiles`` random tiles of 224 px, one level."""
    shape = (1, tiles, _SIZE, _SIZE, 3)
    with build_store(store, spec="{}", code="") as build:
        array = build.array("image", shape, (1, 32, *shape[2:]), np.uint8, ("level", "tile", "y", "x", "channel"))
        array[...] = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        build.coordinate("level", [0.0], ("level",))
        for name in ("tile", "image_id", "split"):
            build.coordinate(name, [f"{name} {i}" for i in range(tiles)], ("tile",))
