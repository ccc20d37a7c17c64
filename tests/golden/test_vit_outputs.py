"""Our loading and token reading against outputs of the models' official code, with filled weights."""

import functools
import importlib.util

import numpy as np
import pytest
import timm
import torch

from patchprobe.models import load_model
from patchprobe.models.position_embedding import resize_like_dino

TOLERANCE = 1e-5

# architecture, position embedding method; the golden "reduced" models are narrow and shallow versions of them
MODELS = {
    "dino_vitb16": ("vit_base_patch16_224.dino", "dino"),
    "dinov2_vitb14": ("vit_base_patch14_dinov2.lvd142m", "dino"),
    "mae_vitb16": ("vit_base_patch16_224.mae", "timm"),
}


@pytest.fixture(scope="module")
def fill(shared):
    spec = importlib.util.spec_from_file_location("fill", shared / "golden" / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def narrow(monkeypatch):
    """Make timm build the reduced width and depth of the golden models."""
    create = functools.partial(timm.create_model, embed_dim=48, depth=3, num_heads=3)
    monkeypatch.setattr(timm, "create_model", create)


def timm_named(fill, name, spec):
    """The released file's tensors under the names timm has for them."""
    variant = "encoder_only" if "encoder_only" in spec["files"] else "primary"
    weights = fill.checkpoint(spec, variant, "reduced")
    weights = weights.get("model", weights)
    return {
        key: torch.from_numpy(value) for key, value in weights.items() if key != "mask_token" and "decoder" not in key
    }


@pytest.mark.parametrize(
    ("name", "case", "size"),
    [
        ("dino_vitb16", "native", 224),
        ("dino_vitb16", "lowvar", 224),
        ("dino_vitb16", "small_112", 112),
        ("dinov2_vitb14", "img_224", 224),
        ("dinov2_vitb14", "lowvar", 224),
        ("mae_vitb16", "native_nomask", 96),
        ("mae_vitb16", "lowvar", 96),
    ],
)
def test_tokens_of_every_block_equal_the_official_ones(fill, shared, narrow, tmp_path, name, case, size):
    spec = fill.load_spec(name)
    expected = np.load(shared / "golden" / name / "cases.npz")
    torch.save(timm_named(fill, name, spec), tmp_path / "w.pth")
    architecture, method = MODELS[name]
    entry = {"source": "timm", "architecture": architecture, "checkpoint": "w.pth", "position_embedding": method}
    model = load_model("m", entry, checkpoint_root=tmp_path, input_size=size, device="cpu")
    with torch.inference_mode():
        tokens = model.tokens(torch.from_numpy(fill.image(spec["cases"][case])), [1, 2, 3])
    np.testing.assert_allclose(tokens.patch.numpy(), expected[f"{case}/patch"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(tokens.cls.numpy(), expected[f"{case}/cls"], rtol=0, atol=TOLERANCE)
    if f"{case}/pos_embed_used" in expected:
        used = model.module.pos_embed.numpy()
        np.testing.assert_allclose(used, expected[f"{case}/pos_embed_used"], rtol=0, atol=TOLERANCE)
        assert model.provenance["position_embedding"]["applied"]


@pytest.mark.parametrize(
    ("name", "case", "old", "new"),
    [
        ("dino_vitb16", "rect_256x320", (14, 14), (16, 20)),
        ("dino_vitb16", "small_112", (14, 14), (7, 7)),
        ("dinov2_vitb14", "rect_196x266", (37, 37), (14, 19)),
        ("dinov2_vitb14", "img_224", (37, 37), (16, 16)),
    ],
)
def test_the_dino_resize_equals_the_official_one(fill, shared, name, case, old, new):
    spec = fill.load_spec(name)
    stored = timm_named(fill, name, spec)["pos_embed"]
    expected = np.load(shared / "golden" / name / "cases.npz")[f"{case}/pos_embed_used"]
    np.testing.assert_allclose(resize_like_dino(stored, old, new, prefix=1).numpy(), expected, rtol=0, atol=TOLERANCE)


def test_the_timm_resize_is_another_one(fill, shared, narrow, tmp_path):
    spec = fill.load_spec("dinov2_vitb14")
    expected = np.load(shared / "golden" / "dinov2_vitb14" / "cases.npz")["img_224/pos_embed_used"]
    torch.save(timm_named(fill, "dinov2_vitb14", spec), tmp_path / "w.pth")
    architecture, _ = MODELS["dinov2_vitb14"]
    entry = {"source": "timm", "architecture": architecture, "checkpoint": "w.pth", "position_embedding": "timm"}
    model = load_model("m", entry, checkpoint_root=tmp_path, input_size=224, device="cpu")
    # timm's own route: the model built at its native size, resized by its own method
    native = timm.create_model(architecture, num_classes=0, img_size=518)
    native.load_state_dict(timm_named(fill, "dinov2_vitb14", spec))
    native.set_input_size((224, 224))
    assert torch.equal(model.module.pos_embed, native.pos_embed)
    assert np.abs(model.module.pos_embed.numpy() - expected).max() > 0.01


def test_pretrained_vit_small_loads_strictly(shared):
    entry = {
        "source": "timm",
        "architecture": "vit_small_patch14_dinov2.lvd142m",
        "checkpoint": "vit_small_patch14_dinov2_saliency.safetensors",
        "position_embedding": "dino",
    }
    model = load_model("vits", entry, checkpoint_root=shared / "weights", input_size=224, device="cpu")
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
