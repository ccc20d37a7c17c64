"""Files of masked image models: their names, what is left out of them, and the wrong ones among them."""

import pytest
import timm
import torch

from patchprobe.errors import ModelError
from patchprobe.models.backbone import load_model

SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 3}
SIMMIM = {"use_abs_pos_emb": False, "use_shared_rel_pos_bias": True, "init_values": 0.1, "use_fc_norm": False}
SIMMIM_FT = {"use_abs_pos_emb": False, "use_rel_pos_bias": True, "init_values": 0.1}


def state(architecture="vit_base_patch16_224", **arguments):
    """Random weights with timm's names."""
    torch.manual_seed(0)
    built = timm.create_model(architecture, num_classes=0, img_size=32, **SMALL, **arguments)
    return {name: torch.randn_like(value) for name, value in built.state_dict().items()}


def decoder():
    """A decoder of one block; shapes count for nothing before it is built."""
    blocks = [f"decoder_blocks.0.{part}" for part in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")]
    parts = [*blocks, "decoder_embed", "decoder_norm", "decoder_pred"]
    names = ["mask_token", "decoder_pos_embed", *(f"{part}.{kind}" for part in parts for kind in ("weight", "bias"))]
    return {name: torch.zeros(8) for name in names}


def simmim():
    encoder = {f"encoder.{name}": value for name, value in state("beit_base_patch16_224", **SIMMIM).items()}
    extra = {
        "encoder.mask_token": torch.zeros(1, 1, 24),
        "encoder.rel_pos_bias.relative_position_index": torch.zeros(5, 5, dtype=torch.int64),
        "decoder.0.weight": torch.zeros(768, 24, 1, 1),
        "decoder.0.bias": torch.zeros(768),
    }
    return {"model": encoder | extra, "epoch": 799}


def simmim_ft():
    encoder = state("beit_base_patch16_224", **SIMMIM_FT)
    index = {f"blocks.{i}.attn.relative_position_index": torch.zeros(5, 5, dtype=torch.int64) for i in range(2)}
    return {"model": encoder | index | {"head.weight": torch.zeros(10, 24), "head.bias": torch.zeros(10)}}


def scalemae():
    unused = ("mask_token_decoder", "decoder_norm.bias", "fpn.fpn1.0.bias", "fcn_high.proj.bias", "fcn_low.proj.bias")
    return {"model": state() | {name: torch.zeros(8) for name in unused}, "epoch": 1}


def hugging_face(weights, names):
    """The weights of a timm ViT under Hugging Face's names."""
    file = {}
    for name, value in weights.items():
        if ".qkv." in name:
            block, kind = name.split(".")[1], name.split(".")[-1]
            for part, piece in zip(names["qkv"], value.chunk(3), strict=True):
                file[names["block"].format(block) + f"{part}.{kind}"] = piece.clone()
            continue
        if name.startswith("blocks."):
            _, block, part = name.split(".", 2)
            part, kind = part.rsplit(".", 1)
            file[names["block"].format(block) + f"{names[part]}.{kind}"] = value
        else:
            file[names["other"][name]] = value
    return file


OTHER = {
    "cls_token": "vit.embeddings.cls_token",
    "pos_embed": "vit.embeddings.position_embeddings",
    "patch_embed.proj.weight": "vit.embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "vit.embeddings.patch_embeddings.projection.bias",
    "norm.weight": "vit.layernorm.weight",
    "norm.bias": "vit.layernorm.bias",
}
TRANSFORMERS_4 = {
    "other": OTHER,
    "block": "vit.encoder.layer.{}.",
    "qkv": [f"attention.attention.{part}" for part in ("query", "key", "value")],
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
}
TRANSFORMERS_5 = {
    "other": OTHER,
    "block": "vit.layers.{}.",
    "qkv": [f"attention.{part}_proj" for part in "qkv"],
    "attn.proj": "attention.o_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
}


def load(folder, file, layout, architecture="vit_base_patch16_224", arguments=None, **more):
    torch.save(file, folder / "w.pth")
    entry = {"source": "timm", "architecture": architecture, "layout": layout, "checkpoint": "w.pth"}
    entry["arguments"] = SMALL | (arguments or {})
    return load_model("m", entry, checkpoint_root=folder, input_size=32, device="cpu", **more)


def beit(folder, file, layout, arguments):
    return load(folder, file, layout, "beit_base_patch16_224", arguments)


def test_mae_is_split_into_encoder_and_decoder(tmp_path):
    weights = state()
    model = load(tmp_path, {"model": weights | decoder(), "optimizer": {"lr": 0.1}, "epoch": 9}, "mae")
    assert all(torch.equal(value, weights[name]) for name, value in model.module.state_dict().items())
    assert model.decoder_weights.keys() == decoder().keys()
    assert model.provenance["left_out"] == ["epoch", "optimizer"]


@pytest.mark.parametrize("classifier", ["head.weight", "fc_norm.weight", "head.1.weight"])
def test_a_fine_tuned_mae_is_refused_by_name(tmp_path, classifier):
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: .*such as a fine-tuned MAE.*mae_pretrain_vit_base"):
        load(tmp_path, {"model": state() | {classifier: torch.zeros(24)}}, "mae")


def test_scale_mae_and_mae_are_told_apart(tmp_path):
    with pytest.raises(ModelError, match=r"not of layout mae.*mask_token_decoder.*laid out like scalemae"):
        load(tmp_path, scalemae(), "mae")
    with pytest.raises(ModelError, match=r"not of layout scalemae.*laid out like mae"):
        load(tmp_path, {"model": state() | decoder()}, "scalemae", ground_sample_distance=1.0)


def test_scale_mae_leaves_out_decoder_and_stored_positions(tmp_path):
    model = load(tmp_path, scalemae(), "scalemae", ground_sample_distance=2.5)
    assert not torch.equal(model.module.pos_embed, scalemae()["model"]["pos_embed"])
    assert model.provenance["position_embedding"]["ground_sample_distance"] == 2.5
    left_out = " ".join(model.provenance["left_out"])
    for name in ("pos_embed", "mask_token_decoder", "decoder_norm", "fpn", "fcn_high", "fcn_low", "epoch"):
        assert name in left_out
    told = load(tmp_path, scalemae(), "scalemae").provenance["position_embedding"]
    assert told["ground_sample_distance"] == 1.0  # its author's recipe


@pytest.mark.parametrize("names", [TRANSFORMERS_4, TRANSFORMERS_5], ids=["4.x", "5.x"])
def test_both_of_hugging_faces_namings_give_timms(tmp_path, names):
    weights = state()
    model = load(tmp_path, hugging_face(weights, names), "hf-vitmae")
    assert all(torch.equal(value, weights[name]) for name, value in model.module.state_dict().items())
    assert {part.eps for part in model.module.modules() if isinstance(part, torch.nn.LayerNorm)} == {1e-12}


@pytest.mark.parametrize("names", [TRANSFORMERS_4, TRANSFORMERS_5], ids=["4.x", "5.x"])
@pytest.mark.parametrize("blocks", ["decoder.decoder_layers.{}.", "decoder.decoder_encoder.layer.{}."])
def test_hugging_faces_decoder_gets_the_official_names(tmp_path, names, blocks):
    weights = state()
    inner = hugging_face({n: v for n, v in weights.items() if n.startswith("blocks.")}, names | {"block": blocks})
    outer = {f"decoder.{name}": value for name, value in decoder().items() if "blocks" not in name}
    model = load(tmp_path, hugging_face(weights, names) | inner | outer, "hf-vitmae")
    official = {f"decoder_{name}": value for name, value in weights.items() if name.startswith("blocks.")}
    assert model.decoder_weights.keys() == official.keys() | {name for name in decoder() if "blocks" not in name}
    assert all(torch.equal(value, model.decoder_weights[name]) for name, value in official.items())


@pytest.mark.parametrize("layout", ["mae", "hf-vitmae"])
def test_a_decoder_is_whole_and_of_known_names(tmp_path, layout):
    def file(parts):
        encoder = state() if layout == "mae" else hugging_face(state(), TRANSFORMERS_5)
        parts = {name if layout == "mae" else f"decoder.{name}": value for name, value in parts.items()}
        return {"model": encoder | parts} if layout == "mae" else encoder | parts

    missing = {name: value for name, value in decoder().items() if name != "decoder_blocks.0.attn.qkv.bias"}
    with pytest.raises(
        ModelError, match=r"models\.m\.checkpoint: .*1 missing: decoder_blocks\.0\.attn\.qkv\.bias; take"
    ):
        load(tmp_path, file(missing), layout)
    with pytest.raises(ModelError, match=r"1 surplus: decoder_foo\.w; take"):
        load(tmp_path, file(decoder() | {"decoder_foo.w": torch.ones(2)}), layout)
    model = load(tmp_path, file({"mask_token": torch.zeros(1, 1, 8)}), layout)
    assert not model.decoder_weights and "mask_token" in model.provenance["left_out"][0]
    assert load(tmp_path, file(decoder()), layout).provenance["decoder"] == [
        "decoder_blocks.0 (12 tensors)",
        "decoder_embed.bias",
        "decoder_embed.weight",
        "decoder_norm.bias",
        "decoder_norm.weight",
        "decoder_pos_embed",
        "decoder_pred.bias",
        "decoder_pred.weight",
        "mask_token",
    ]


def test_simmims_decoder_is_whole_or_absent(tmp_path):
    file = simmim()
    del file["model"]["decoder.0.bias"]
    with pytest.raises(ModelError, match=r"its decoder is incomplete, there is no decoder\.0\.bias"):
        beit(tmp_path, file, "simmim", SIMMIM)
    del file["model"]["decoder.0.weight"]
    model = beit(tmp_path, file, "simmim", SIMMIM)
    assert not model.decoder_weights and model.provenance["left_out"] == ["epoch", "model.encoder (2 tensors)"]


def test_a_hugging_face_classifier_is_refused_by_name(tmp_path):
    file = hugging_face(state(), TRANSFORMERS_4) | {"classifier.weight": torch.zeros(10, 24)}
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: a ViTForImageClassification.*facebook/vit-mae-base"):
        load(tmp_path, file, "hf-vitmae")


def test_a_lost_key_projection_is_listed(tmp_path):
    file = hugging_face(state(), TRANSFORMERS_4)
    del file["vit.encoder.layer.1.attention.attention.key.weight"]
    with pytest.raises(ModelError, match=r"1 missing: blocks\.1\.attn\.qkv\.weight; 2 surplus: blocks\.1\.attn\.query"):
        load(tmp_path, file, "hf-vitmae")


def test_simmim_is_split_into_encoder_and_decoder(tmp_path):
    file = simmim()
    model = beit(tmp_path, file, "simmim", SIMMIM)
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, file["model"][f"encoder.{name}"])
    assert model.decoder_weights.keys() == {"mask_token", "decoder.0.weight", "decoder.0.bias"}
    assert model.provenance["left_out"] == ["epoch", "model.encoder.rel_pos_bias.relative_position_index"]


def test_the_two_files_of_simmim_are_told_apart(tmp_path):
    with pytest.raises(ModelError, match=r"a fine-tuned SimMIM.*simmim_pretrain__vit_base.*laid out like simmim-ft"):
        beit(tmp_path, simmim_ft(), "simmim", SIMMIM)
    with pytest.raises(ModelError, match=r"not of layout simmim-ft.*laid out like simmim: "):
        beit(tmp_path, simmim(), "simmim-ft", SIMMIM_FT)


def test_a_fine_tuned_simmim_loads_under_its_own_layout(tmp_path):
    file = simmim_ft()
    model = beit(tmp_path, file, "simmim-ft", SIMMIM_FT)
    assert all(torch.equal(value, file["model"][name]) for name, value in model.module.state_dict().items())
    assert model.provenance["token_norm"] == "none, the architecture norms only its pooled vector"
    assert "model.head (2 tensors)" in model.provenance["left_out"]


@pytest.mark.parametrize(
    ("file", "layout", "surplus"),
    [
        (lambda: {"model": state() | {"blocks.0.extra": torch.zeros(1)}}, "mae", "1 surplus: blocks.0.extra"),
        (lambda: hugging_face(state(), TRANSFORMERS_5) | {"vit.extra": torch.zeros(1)}, "hf-vitmae", "1 surplus: vit."),
        (lambda: {"model": scalemae()["model"] | {"extra": torch.zeros(1)}}, "scalemae", "1 surplus: extra"),
        (
            lambda: {"model": simmim()["model"] | {"extra": torch.zeros(1)}},
            "simmim",
            "neither of encoder nor decoder: e",
        ),
    ],
)
def test_a_surplus_tensor_is_an_error(tmp_path, file, layout, surplus):
    with pytest.raises(ModelError) as error:
        load(tmp_path, file(), layout, ground_sample_distance=1.0)
    assert surplus in str(error.value)
