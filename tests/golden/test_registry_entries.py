"""Every model of the registry that has official outputs, named in a configuration and nothing more, gives them.

The layout, the arguments and the interpolation of positions are those of the registry; only the size of the model is
that of the reduced files, and their weights are no one's, so that no SHA-256 fits.
"""

import pytest
import torch
from official import REDUCED, Run, output, write

from patchprobe.config.specs import ground_sample_distance
from patchprobe.config.validation import load_schema, validate
from patchprobe.models.backbone import load_model
from patchprobe.models.registered import registered_model, registered_models, resolve

# model of the registry, golden folder, case at the size of the position embedding and, where there is one, at another
CASES = [
    ("supervised", "torchvision_vit_b_16", "native"),
    ("dino", "dino_vitb16", "native"),
    ("dino", "dino_vitb16", "small_112"),
    ("dinov2", "dinov2_vitb14", "img_224"),
    ("dinov2-reg", "dinov2_vitb14_reg", "img_224"),
    ("dinov3", "dinov3_vitb16", "native"),
    ("ibot", "ibot_vitb16", "native"),
    ("ibot", "ibot_vitb16", "rect_256x320"),
    ("moco-v3", "mocov3_vitb16", "native"),
    ("mae", "mae_vitb16", "native_nomask"),
    ("mae-visualize", "mae_vitb16", "native_nomask"),
    ("hf-vitmae", "hf_vitmae_base", "native_nomask"),
    ("hf-vitmae", "hf_vitmae_base", "interp_128"),
    ("simmim", "simmim_vitb16", "native_nomask"),
    ("scalemae", "scalemae_vitl16", "res1_224"),
    ("dinov3-l-sat", "dinov3_vitl16_sat", "native"),
    ("pixio", "pixio_vitb16", "native"),
    ("pixio", "pixio_vitb16", "rect_128x192"),
    ("hf-pixio", "hf_pixio_vitb16", "rect_128x192"),
    ("msn", "msn_vitb16", "native"),
    ("msn", "msn_vitb16", "small_112"),
    ("beit-v2", "beitv2_vitb16", "native"),
    ("ijepa", "ijepa_vith14", "native"),
    ("satmae", "satmae_vitl16_rgb", "native"),
    ("selfpatch", "selfpatch_vits16", "rect_128x192"),
    ("franca", "franca_vitb14", "img_224"),
    ("franca-224", "franca_vitb14", "img_224"),
    ("franca-l", "franca_vitb14", "img_224"),
    ("franca-l-224", "franca_vitb14", "img_224"),
    ("capi", "capi_vitl14", "native"),
    ("capi", "capi_vitl14", "rect_140x196"),
    ("croco-v2", "croco_v2_vitb16", "native"),
    ("croco-v2", "croco_v2_vitb16", "rect_128x192"),
    ("data2vec2", "data2vec2_vitb16", "native"),
    ("dofa", "dofa_vitb16", "native"),
    ("eva02", "eva02_vitb14", "native"),
    ("eva02", "eva02_vitb14", "sq_112"),
    ("pe-spatial", "pe_spatial_vitb16", "img_224"),
    ("pe-spatial", "pe_spatial_vitb16", "rect_128x192"),
    ("tips-v2", "tips_v2_vitb14", "img_224"),
    ("tips-v2", "tips_v2_vitb14", "rect_98x154"),
    ("radio", "cradio_v3_vitb16", "rect_ac_true"),
]
# files by which the entries name their weights, where the golden folder has several
VARIANTS = {
    "mae": "encoder_only",
    "radio": "hf",
    "franca-224": "v1_1_0",
    "franca-l": "v1_1_0",
    "franca-l-224": "v1_1_0",
}
SATELLITE = ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COMPARED = ("patch", "cls", "cls_tokens", "reg")


@pytest.mark.parametrize(("name", "model", "case"), CASES)
def test_named_model_gives_the_official_tokens(repository, official, compare, tmp_path, name, model, case):
    golden = official(model)
    images = golden.images(case)
    # 256 px of 0.875 m in 224 px: one pixel of the input is 1 m, as in Scale-MAE's case
    data = {"adapter": "synthetic", "tiling": {"size": 256}, "ground_sample_distance": 0.875}
    data["splits"] = {"train": {"source": "train"}, "evaluation": {"source": "val"}}
    own = {"arguments": REDUCED, "sha256": None, "md5": None}
    if images.shape[2:] != (224, 224):
        own["input_size"] = list(images.shape[2:])
    schema = load_schema(repository / "config/schema/config.schema.yaml")
    config = validate({"datasets": {"streets": data}, "models": {name: own}}, schema)
    entry = config["models"][name]
    write(golden.content(VARIANTS.get(name, "primary")), tmp_path / entry["checkpoint"])
    backbone = load_model(
        name,
        entry,
        checkpoint_root=tmp_path,
        input_size=224,
        device="cpu",
        ground_sample_distance=ground_sample_distance(config, "streets", name),
    )
    with torch.inference_mode():
        tokens = backbone.tokens(images, [1, 2, 3])
    expected = golden.expected(case)
    done = Run(backbone, images, tokens, None)
    for kind in expected.keys() & COMPARED:
        compare(f"registry: {name}", case, kind, output(kind, done), expected[kind], golden.tolerance(case))
    assert "patch" in expected


@pytest.mark.parametrize(("name", "model"), sorted({(name, model) for name, model, _ in CASES}))
def test_facts_of_the_registry_are_those_of_the_release(official, name, model):
    structure = official(model).spec["structure"]
    entry = registered_model(name).entry
    if structure.get("mean"):
        scale = 255 if max(structure["mean"]) > 1 else 1
        assert entry["mean"] == pytest.approx([value / scale for value in structure["mean"]], rel=1e-12)
        assert entry["std"] == pytest.approx([value / scale for value in structure["std"]], rel=1e-12)
    if structure.get("native_input"):
        assert f"patch {registered_model(name).patch_size}" in structure["native_input"] or name == "radio"


def test_most_entries_with_official_outputs_state_their_normalisation(official):
    """The second set of golden folders does, for each of its entries."""
    stated = {name for name, model, _ in CASES if official(model).spec["structure"].get("mean")}
    assert len(stated) >= 17 and stated < set(registered_models())


@pytest.mark.parametrize("name", ["dinov3-l", "dinov3-l-sat"])
@pytest.mark.parametrize(("model", "normalisation"), [("dinov3_vitb16", IMAGENET), ("dinov3_vitl16_sat", SATELLITE)])
def test_another_file_of_dinov3_is_normalised_as_its_names_say(official, tmp_path, name, model, normalisation):
    write(official(model).content("primary"), tmp_path / "w.pth")
    entry = resolve(name, {"checkpoint": "w.pth", "arguments": REDUCED})
    backbone = load_model(name, entry, checkpoint_root=tmp_path, input_size=224, device="cpu")
    assert (backbone.provenance["mean"], backbone.provenance["std"]) == tuple(map(list, normalisation))
    own = resolve(name, {"checkpoint": "w.pth", "arguments": REDUCED, "mean": [0.5] * 3, "std": [0.5] * 3})
    assert load_model(name, own, checkpoint_root=tmp_path, input_size=224, device="cpu").provenance["mean"] == [0.5] * 3
