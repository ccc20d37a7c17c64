"""Networks built for a file's weights: the same buffers, names and shapes as drawn ones, and no number drawn."""

import pytest
import torch

from patchprobe.models.unfilled import outline
from patchprobe.models.vit import build_vit

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
# Learned positions, rotary ones with periods and with a cache, relative ones with an index, and our own.
ARCHITECTURES = (
    "vit_base_patch16_224",
    "vit_base_patch16_dinov3",
    "vit_base_patch16_rope_reg1_gap_256",
    "beit_base_patch16_224",
    "data2vec2_vit",
    "croco_v2_vit",
    "capi_vit",
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_buffers_are_computed_and_parameters_are_not_drawn(architecture):
    size = (112, 112)
    drawn = build_vit("m", architecture, size, SMALL)
    before = torch.random.get_rng_state()
    bare = build_vit("m", architecture, size, SMALL, drawn=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    buffers = dict(drawn.named_buffers())
    for name, buffer in bare.named_buffers():
        assert torch.equal(buffer, buffers.pop(name)), name
    assert not buffers
    shapes = {name: (value.shape, value.dtype) for name, value in drawn.state_dict().items()}
    assert {name: (value.shape, value.dtype) for name, value in bare.state_dict().items()} == shapes
    # With the same weights, the same outputs.
    bare.load_state_dict(drawn.state_dict(), strict=True)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(bare.eval().forward_features(images), drawn.eval().forward_features(images))


def test_an_outline_has_names_and_no_memory():
    plain = outline("vit_large_patch16_224")
    assert {value.device.type for value in plain.state_dict().values()} == {"meta"}
    assert plain.num_features == 1024 and plain.num_classes == 0
