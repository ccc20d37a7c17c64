"""Real weights with timm's names at another input size than their own."""

import timm
import torch
from safetensors.torch import load_file

from patchprobe.models.backbone import load_model

ARCHITECTURE = "vit_small_patch14_dinov2.lvd142m"
FILE = "vit_small_patch14_dinov2_saliency.safetensors"


def load(shared, method):
    entry = {"source": "timm", "architecture": ARCHITECTURE, "checkpoint": FILE, "position_embedding": method}
    return load_model("small", entry, checkpoint_root=shared / "weights", input_size=224, device="cpu")


def test_a_pretrained_vit_loads_strictly(shared):
    model = load(shared, "dino")
    assert (model.grid, model.features, model.blocks, model.registers) == ((16, 16), 384, 12, 0)
    assert model.mean == (0.485, 0.456, 0.406)
    assert model.provenance["position_embedding"] == {
        "method": "dino",
        "applied": True,
        "checkpoint_grid": [37, 37],
        "grid": [16, 16],
    }
    with torch.inference_mode():
        tokens = model.tokens(torch.zeros(1, 3, 224, 224), [12])
    assert tokens.patch.shape == (1, 1, 256, 384) and tokens.patch.isfinite().all()


def test_the_resize_of_timm_is_that_of_timm_and_not_the_authors(shared):
    # timm's own route: the model built at its native size, resized by its own method
    native = timm.create_model(ARCHITECTURE, num_classes=0)
    native.load_state_dict(load_file(shared / "weights" / FILE))
    native.set_input_size((224, 224))
    used = load(shared, "timm").module.pos_embed
    assert torch.equal(used, native.pos_embed)
    assert (used - load(shared, "dino").module.pos_embed).abs().max() > 0.01
