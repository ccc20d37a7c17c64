"""The tokens of a black image, as the rule makes them."""

import numpy as np
import torch

from patchprobe.models.backbone import load_model
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tokens.black import black_image, read_black
from patchprobe.tokens.extraction import extract

ENTRY = {
    "source": "random",
    "architecture": "vit_tiny_patch16_224",
    "arguments": {"embed_dim": 48, "depth": 2, "num_heads": 3},
}


def test_a_black_image_is_black_before_it_is_normalised(tmp_path):
    size = (32, 48)
    model = load_model("m", ENTRY, checkpoint_root=tmp_path, input_size=size, device="cpu")
    with build_store(tmp_path / "black.zarr", spec="{}", code="") as build:
        extract(build, black_image(size), model, layers="all", dtype="float32")
    store = open_store(tmp_path / "black.zarr")
    black = torch.tensor([-mean / std for mean, std in zip(model.mean, model.std, strict=True)])
    with torch.inference_mode():
        tokens = model.tokens(black.view(1, 3, 1, 1).expand(1, 3, *size).contiguous(), [1, 2]).patch
        grey = model.tokens(torch.zeros(1, 3, *size), [2]).patch
    np.testing.assert_allclose(read_black([store]), tokens[1, 0], atol=1e-5)
    np.testing.assert_allclose(read_black([store], 0), tokens[0, 0], atol=1e-5)
    assert np.abs(read_black([store]) - grey[0, 0].numpy()).max() > 0.01
    assert read_black([]) is None and read_black([store]).shape == (6, 48)
