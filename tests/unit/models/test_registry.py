"""The registry against timm, torchvision and the layouts; what is in a file of weights is for the golden tests."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
import yaml
from timm.models import get_pretrained_cfg

from patchprobe.config.validation import load_schema, validate
from patchprobe.errors import ConfigError
from patchprobe.models.backbone import load_model
from patchprobe.models.layout import open_layout
from patchprobe.models.registered import registered_model, registered_models, resolve
from patchprobe.models.vit import build_vit
from patchprobe.reference.models import reference, with_reference

NAMES = registered_models()
PAPER = ["supervised", "dino", "dinov2", "ibot", "mae", "simmim", "scalemae"]
# Architectures with timm's tag of the very weights of the entry.
TAGGED = [name for name in NAMES if "." in registered_model(name).entry["architecture"]]
# Names that differ from the address's, since that is the same for many models.
RENAMED = {"ibot", "hf-vitmae", "radio"}

every_model = pytest.mark.parametrize("name", NAMES)


def test_models_of_the_study_and_newer_ones_are_there():
    newer = {"dinov2-reg", "moco-v3", "dinov3", "hf-vitmae", "tips-v2", "pe-spatial", "eupe", "radio", "beit-v2"}
    newer |= {"pixio", "hf-pixio", "msn", "ijepa", "satmae", "selfpatch", "franca", "franca-l", "beit-v2-in22k"}
    sizes = {"dinov3-s", "dinov3-s-plus", "dinov3-l", "dinov3-l-sat", "mae-l", "mae-h", "franca-224", "franca-l-224"}
    sizes |= {f"dinov2-{size}" for size in "slg"} | {f"dinov2-reg-{size}" for size in "slg"}
    newer |= {"capi", "capi-lvd", "croco-v2", "data2vec2", "dofa", "eva02", "radio-v4"}
    sizes |= {
        "pe-spatial-t",
        "pe-spatial-s",
        "pe-spatial-l",
        "tips-v2-l",
        "croco-v2-l",
        "data2vec2-l",
        "eva02-l",
        "radio-v4-h",
    }
    assert {*PAPER, *newer, *sizes} <= set(NAMES)


# features, blocks and, for files that say it in their names, the size there
SIZES = {
    "dinov2-s": (384, 12, "vits"),
    "dinov2-l": (1024, 24, "vitl"),
    "dinov2-g": (1536, 40, "vitg"),
    "dinov2-reg-s": (384, 12, "vits"),
    "dinov2-reg-l": (1024, 24, "vitl"),
    "dinov2-reg-g": (1536, 40, "vitg"),
    "dinov3-s": (384, 12, "vits16_"),
    "dinov3-s-plus": (384, 12, "vits16plus_"),
    "dinov3-l": (1024, 24, "vitl16_pretrain_lvd"),
    "dinov3-l-sat": (1024, 24, "vitl16_pretrain_sat"),
    "mae-l": (1024, 24, "large"),
    "mae-h": (1280, 32, "huge"),
    "franca": (768, 12, "vitb"),
    "franca-224": (768, 12, "vitb14_In21K_224"),
    "franca-l": (1024, 24, "vitl"),
    "franca-l-224": (1024, 24, "vitl14_Laion600M_224"),
    "ijepa": (1280, 32, "vit.h.14"),
    "selfpatch": (384, 12, "vits16"),
}


@pytest.mark.parametrize("name", SIZES)
def test_architecture_is_of_the_size_that_the_file_names(name):
    model = registered_model(name)
    with torch.device("meta"):
        module = build_vit(name, model.entry["architecture"], (224, 224), model.entry.get("arguments"))
    features, blocks, word = SIZES[name]
    assert (module.embed_dim, len(module.blocks)) == (features, blocks)
    assert word in model.entry["checkpoint"] and module.patch_embed.patch_size == (model.patch_size,) * 2


@every_model
def test_entry_is_a_valid_configuration_by_its_name_alone(repository, name):
    schema = load_schema(repository / "config/schema/config.schema.yaml")
    splits = {"train": {"source": "train"}, "evaluation": {"source": "val"}}
    data = {"adapter": "synthetic", "splits": splits, "tiling": {"size": 256}, "ground_sample_distance": 1.0}
    model = validate({"datasets": {"streets": data}, "models": {name: None}}, schema)["models"][name]
    assert "registry" not in model
    for key, value in registered_model(name).entry.items():
        # Of a decoder the registry leaves out what has a default.
        assert model[key] == value or value.items() <= model[key].items()


@every_model
def test_facts_are_complete(name):
    model = registered_model(name)
    assert set(model.paper) == {"title", "authors", "year", "url"} and set(model.licence) == {"code", "weights"}
    assert model.paper["url"].startswith("https://arxiv.org/abs/")
    assert model.title and model.family and model.trained_on and model.get and model.quirks
    assert all(isinstance(quirk, str) for quirk in model.quirks)
    assert {"mean", "std", "input_size", "position_embedding"} <= model.entry.keys()


@every_model
def test_architecture_gives_tokens_of_the_grid(name):
    model = registered_model(name)
    arguments = {**model.entry.get("arguments", {}), "depth": 1}
    side = model.entry["input_size"]
    entry = {"source": "random", "architecture": model.entry["architecture"], "arguments": arguments}
    backbone = load_model(name, entry, checkpoint_root=Path(), input_size=side, device="cpu")
    with torch.inference_mode():
        tokens = backbone.tokens(torch.zeros(1, 3, side, side), [1])
    assert backbone.grid == model.grid
    assert tokens.patch.shape == (1, 1, model.grid[0] * model.grid[1], backbone.features)
    assert bool(getattr(backbone.module, "pos_embed", None) is not None) == (
        model.positions.startswith("absolute") or model.positions == "computed"
    )
    assert bool(getattr(backbone.module, "rope", None) is not None) == ("rotary" in model.positions)


@pytest.mark.parametrize("name", TAGGED)
def test_normalisation_and_size_are_those_of_timm(name):
    model = registered_model(name)
    known = get_pretrained_cfg(model.entry["architecture"])
    assert (tuple(model.entry["mean"]), tuple(model.entry["std"])) == (known.mean, known.std)
    assert known.input_size == (3, model.native_size, model.native_size)
    if known.url:
        assert model.entry["url"] == known.url


def test_supervised_is_the_file_of_torchvision():
    weights = torchvision.models.ViT_B_16_Weights.IMAGENET1K_V1
    entry = registered_model("supervised").entry
    transform = weights.transforms()
    assert entry["url"] == weights.url
    assert (entry["mean"], entry["std"]) == (transform.mean, transform.std)


@pytest.mark.parametrize("name", [name for name in PAPER if name != "scalemae"])
def test_models_of_the_study_are_vit_base(name):
    entry = registered_model(name).entry
    with torch.device("meta"):
        module = build_vit(name, entry["architecture"], (224, 224), entry.get("arguments"))
    assert (module.embed_dim, len(module.blocks)) == (768, 12)


def test_scalemae_is_vit_large():
    with torch.device("meta"):
        module = timm.create_model(registered_model("scalemae").entry["architecture"])
    assert (module.embed_dim, len(module.blocks)) == (1024, 24)


@pytest.mark.parametrize("name", [name for name in NAMES if registered_model(name).entry["checkpoint"]])
def test_files_have_a_layout_and_the_name_of_their_address(name):
    entry = registered_model(name).entry
    assert callable(open_layout(entry["layout"]))
    if entry["url"] and name not in RENAMED:
        assert entry["url"].endswith(f"/{entry['checkpoint']}")
    if entry["sha256"] and len(entry["sha256"]) < 64:
        assert f"-{entry['sha256']}." in entry["checkpoint"]
    files = [registered_model(other).entry["checkpoint"] for other in NAMES]
    assert files.count(entry["checkpoint"]) == 1


def test_the_digests_in_the_readme_of_mae_are_compared():
    """They are the first six digits of MD5s, of the files of pre-training alone (README of facebookresearch/mae)."""
    given = {name: md5 for name in NAMES if (md5 := registered_model(name).entry.get("md5"))}
    assert given == {"mae": "8cad7c", "mae-l": "b8b06e", "mae-h": "9bdbb0"}


def test_batch_norm_is_for_mae_only():
    probes = {name: registered_model(name).entry.get("probe", {}).get("batch_norm", False) for name in NAMES}
    assert {name for name, batch_norm in probes.items() if batch_norm} == {
        "mae",
        "mae-visualize",
        "mae-l",
        "mae-h",
        "hf-vitmae",
        "demo-mae",
    }


def test_page_of_models_is_made_from_the_registry(repository):
    page = (repository / "docs/models.md").read_text()
    assert page == with_reference(page), "run: python -m patchprobe.reference.models docs/models.md"
    for name in NAMES:
        model = registered_model(name)
        assert f"### {name}\n" in page and model.get in page and all(quirk in page for quirk in model.quirks)


def test_a_model_that_leaves_keys_to_its_layout_has_its_section(tmp_path):
    facts = {
        "title": "V",
        "family": "distilled",
        "trained_on": "x",
        "native_size": 64,
        "patch_size": 8,
        "positions": "absolute",
    }
    facts |= {
        "paper": {"title": "T", "authors": "A", "year": 2026, "url": "u"},
        "licence": {"code": "c", "weights": "w"},
    }
    entry = {"source": "timm", "architecture": "vit", "checkpoint": "a.pth"}
    file = {"model": facts | {"get": "By hand.", "quirks": []}, "entry": entry}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(file))
    section = reference(tmp_path)
    assert "`a.pth`, layout `timm`, by hand" in section and "64 px, 8 x 8 patches of 8 px" in section
    assert "to other sizes as the code of its layout" in section and "that of the code of its layout" in section
    digests = {"md5": "0" * 32, "sha256": "1" * 64}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(file | {"entry": entry | digests}))
    assert f"MD5 `{'0' * 32}`; SHA-256 `{'1' * 64}` |" in reference(tmp_path)


def test_page_without_the_two_lines_is_refused():
    with pytest.raises(ConfigError, match="has no lines"):
        with_reference("# Models\n")


@pytest.fixture
def folder(tmp_path):
    """A registry with the one model ``vit``."""
    facts = {"title": "V", "family": "supervised", "paper": {}, "trained_on": "x", "native_size": 8, "patch_size": 4}
    facts |= {"positions": "absolute", "licence": {}, "get": "x", "quirks": []}
    entry = {
        "source": "timm",
        "architecture": "vit",
        "checkpoint": "a.pth",
        "url": "http://a",
        "sha256": "0" * 8,
        "md5": "0" * 6,
    }
    entry |= {"arguments": {"depth": 2, "num_heads": 3}, "input_size": 8}
    (tmp_path / "vit.yaml").write_text(yaml.safe_dump({"model": facts, "entry": entry}))
    return tmp_path


def test_own_keys_win_inside_mappings_too(folder):
    resolved = resolve("vit", {"arguments": {"depth": 1}, "input_size": None, "url": "http://mirror"}, folder)
    assert resolved["arguments"] == {"depth": 1, "num_heads": 3}
    assert resolved["input_size"] is None and resolved["architecture"] == "vit"
    assert (resolved["url"], resolved["sha256"]) == ("http://mirror", "0" * 8)
    assert resolve("other", {"registry": "vit", "seed": 1}, folder) == {**resolve("vit", {}, folder), "seed": 1}
    assert resolve("vit", {"source": "pixels"}, folder) == {"source": "pixels"}


def test_another_file_has_neither_address_nor_digest_of_the_registrys(folder):
    resolved = resolve("vit", {"checkpoint": "b.pth"}, folder)
    assert resolved["checkpoint"] == "b.pth" and not {"url", "sha256", "md5"} & resolved.keys()
    assert resolve("vit", {"checkpoint": "b.pth", "sha256": "1" * 8}, folder)["sha256"] == "1" * 8
    for same in ("a.pth", "./a.pth", "absent/../a.pth"):
        resolved = resolve("vit", {"checkpoint": same}, folder)
        assert (resolved["checkpoint"], resolved["url"], resolved["sha256"]) == ("a.pth", "http://a", "0" * 8)
    own = {"source": "timm", "checkpoint": "sub/../b.pth"}
    assert resolve("mine", own, folder)["checkpoint"] == "b.pth"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {title: x}\nentry: {}", "missing under model: family, get, licence"),
        ("model: [1]\nentry: {}", "has no mapping 'model'"),
        ("entry: {", "is not YAML"),
    ],
)
def test_damaged_file_is_named(folder, text, message):
    (folder / "vit.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        registered_model("vit", folder)
    assert str(folder / "vit.yaml") in str(caught.value)


def test_unknown_fact_is_named(folder):
    file = folder / "vit.yaml"
    content = yaml.safe_load(file.read_text())
    content["model"]["licens"] = "x"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="unknown under model: licens"):
        registered_model("vit", folder)


@pytest.mark.parametrize("name", ["franca", "franca-224", "franca-l", "franca-l-224", "dinov2-g"])
def test_gated_mlps_are_as_wide_as_in_the_official_code(name):
    entry = registered_model(name).entry
    with torch.device("meta"):
        module = build_vit(name, entry["architecture"], (224, 224), entry.get("arguments"))
    # SwiGLUFFNFused: two thirds of four times the features, up to a multiple of eight
    hidden = (int(4 * module.embed_dim * 2 / 3) + 7) // 8 * 8
    assert module.blocks[0].mlp.fc1.weight.shape == (2 * hidden, module.embed_dim)
    assert module.blocks[0].mlp.fc2.weight.shape == (module.embed_dim, hidden)
    assert isinstance(module.blocks[0].mlp.act, torch.nn.SiLU)
