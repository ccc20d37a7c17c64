"""Files of sizes without official outputs: names and shapes of a family's file, brought to the size, fit the registry's entry.

And every file is taken for one of its own family, so that the hint for a file with the wrong layout names the right one.
"""

import re

import pytest
import torch
from official import families

from patchprobe.models.checkpoints.files import layout_names
from patchprobe.models.checkpoints.sorting import sort_file
from patchprobe.models.deciding import decided
from patchprobe.models.layout import open_layout
from patchprobe.models.registered import registered_model
from patchprobe.models.vit import build_vit

FAMILIES = families()
# name in the registry: golden folder, blocks, other sides of tensors (768 features to how many, and so on)
SIZES = {
    "pe-spatial-t": ("pe_spatial_vitb16", 12, {768: 192, 2304: 576, 3072: 768}),
    "pe-spatial-s": ("pe_spatial_vitb16", 12, {768: 384, 2304: 1152, 3072: 1536}),
    "pe-spatial": ("pe_spatial_vitb16", 12, {}),
    "pe-spatial-l": ("pe_spatial_vitb16", 24, {768: 1024, 2304: 3072, 3072: 4096, 16: 14}),
    "tips-v2": ("tips_v2_vitb14", 12, {}),
    "tips-v2-l": ("tips_v2_vitb14", 24, {768: 1024, 2304: 3072, 3072: 4096}),
    "eva02": ("eva02_vitb14", 12, {}),
    "eva02-l": ("eva02_vitb14", 24, {768: 1024, 2048: 2730}),
    "croco-v2": ("croco_v2_vitb16", 12, {}),
    "croco-v2-l": ("croco_v2_vitb16", 24, {768: 1024, 2304: 3072, 3072: 4096}),
    "data2vec2": ("data2vec2_vitb16", 12, {}),
    "data2vec2-l": ("data2vec2_vitb16", 24, {768: 1024, 2304: 3072, 3072: 4096}),
    "capi": ("capi_vitl14", 24, {}),
    "capi-lvd": ("capi_vitl14", 24, {}),
    "dofa": ("dofa_vitb16", 12, {}),
    "radio": ("cradio_v3_vitb16", 12, {}),
    "dinov2": ("dinov2_vitb14", 12, {}),
    "dinov2-s": ("dinov2_vitb14", 12, {768: 384, 2304: 1152, 3072: 1536}),
    "dinov2-l": ("dinov2_vitb14", 24, {768: 1024, 2304: 3072, 3072: 4096}),
    # the names and the gated MLPs of Franca are those of DINOv2's ViT-g
    "dinov2-g": ("franca_vitb14", 40, {768: 1536, 2304: 4608, 2048: 4096, 4096: 8192}),
    "dinov2-reg": ("dinov2_vitb14_reg", 12, {}),
    "dinov2-reg-s": ("dinov2_vitb14_reg", 12, {768: 384, 2304: 1152, 3072: 1536}),
    "dinov2-reg-l": ("dinov2_vitb14_reg", 24, {768: 1024, 2304: 3072, 3072: 4096}),
    "dinov3": ("dinov3_vitb16", 12, {}),
    "dinov3-s": ("dinov3_vitb16", 12, {768: 384, 2304: 1152, 3072: 1536}),
    "dinov3-l": ("dinov3_vitb16", 24, {768: 1024, 2304: 3072, 3072: 4096}),
    "dinov3-l-sat": ("dinov3_vitl16_sat", 24, {}),
    "mae-visualize": ("mae_vitb16", 12, {}),
    "mae-l": ("mae_vitb16", 24, {768: 1024, 2304: 3072, 3072: 4096}),
    "mae-h": ("mae_vitb16", 32, {768: 1280, 2304: 3840, 3072: 5120, 16: 14}),
    "franca": ("franca_vitb14", 12, {}),
    "franca-224": ("franca_vitb14", 12, {}),
    "franca-l": ("franca_vitb14", 24, {768: 1024, 2304: 3072, 2048: 2736, 4096: 5472}),
    "franca-l-224": ("franca_vitb14", 24, {768: 1024, 2304: 3072, 2048: 2736, 4096: 5472}),
    "pixio": ("pixio_vitb16", 12, {}),
    "hf-pixio": ("hf_pixio_vitb16", 12, {}),
    "msn": ("msn_vitb16", 12, {}),
    "beit-v2": ("beitv2_vitb16", 12, {}),
    "ijepa": ("ijepa_vith14", 32, {}),
    "satmae": ("satmae_vitl16_rgb", 24, {}),
    "selfpatch": ("selfpatch_vits16", 12, {}),
}
KIN = [{"dino", "ibot"}, {"data2vec2", "data2vec2-ema"}, {"dofa", "dofa-first"}, {"selfpatch", "selfpatch-normed"}]
# of an encoder of 12 blocks, which some files have in chunks
LAST = re.compile(r"blocks\.(\d+\.)?11\.")


def brought(part, blocks, sides):
    """A file with other sides of its tensors and more blocks, of zeros that take no memory."""
    result = {}
    for name, value in part.items():
        if isinstance(value, dict):
            result[name] = brought(value, blocks, sides)
            continue
        # a mask of biases leaves those of queries and values alone
        filled = torch.ones(()) if name.endswith("bias_mask") else torch.zeros(())
        filled = filled.expand([sides.get(side, side) for side in value.shape])
        result[name] = filled
        if last := LAST.search(name):
            more = [LAST.sub(f"blocks.{last[1] or ''}{block}.", name) for block in range(12, blocks)]
            result |= dict.fromkeys(more, filled)
    return result


@pytest.mark.parametrize("name", SIZES)
def test_a_file_of_the_size_fits_the_entry(official, name):
    folder, blocks, sides = SIZES[name]
    entry = registered_model(name).entry
    file = brought(official(folder).shapes("primary", "full"), blocks, sides)
    contents = open_layout(entry["layout"])(file, "models.m.checkpoint")
    with torch.device("meta"):
        size = (entry["input_size"],) * 2
        module = build_vit(name, entry["architecture"], size, entry.get("arguments"))
    expected = {key: value.shape for key, value in module.state_dict().items()}
    found = {key: value.shape for key, value in contents.encoder.items() if key != "rope.periods"}
    positions = [shapes.pop("pos_embed") for shapes in (found, expected) if "pos_embed" in shapes]
    assert len(positions) in (0, 2) and len({shape[-1] for shape in positions}) <= 1
    assert found == expected
    assert len(module.blocks) == blocks and module.embed_dim == sides.get(
        768, contents.encoder["blocks.0.norm1.weight"].numel()
    )
    # the layout says the rest as the registry and timm do
    settled = decided(
        name, {"architecture": entry["architecture"], "arguments": entry.get("arguments")}, contents, module
    )
    assert settled["arguments"] == (entry.get("arguments") or {})
    assert entry["position_embedding"] == contents.position_embedding
    # the file of RADIO says it, by numbers that are made up here, and the layout of MAE is not that of SatMAE's images
    if name not in ("radio", "satmae"):
        assert [list(part) for part in contents.normalisation] == [entry["mean"], entry["std"]]


@pytest.mark.parametrize("folder", FAMILIES)
def test_every_file_is_taken_for_one_of_its_family_and_no_other(official, folder):
    golden, layout = official(folder), FAMILIES[folder].entry["layout"]
    kin = next((group for group in KIN if layout in group), {layout})
    for variant in golden.spec["files"]:
        content, fitting = golden.content(variant), set()
        for other in layout_names():
            try:
                sort_file(content, other, "")
            except Exception:  # as the hint for a wrong layout does it
                continue
            fitting.add(other)
        variants = {v.entry.get("layout", layout) for v in FAMILIES[folder].variants if v.file == variant}
        assert (variants or {layout}) & fitting and fitting <= kin | variants | {"timm"}, (variant, fitting)
