"""The key ``decoder`` of a model: what it may say, what the registry gives, and who reconstructs."""

import copy

import pytest

from patchprobe.analyses.declaring import analyses
from patchprobe.analyses.reconstruction.paper_values import paper_values
from patchprobe.config.validation import load_schema, validate
from patchprobe.errors import ConfigError
from patchprobe.files import file_sha256
from patchprobe.models.checkpoints.files import WEIGHTS

SPLITS = {"train": {"source": "train"}, "evaluation": {"source": "test"}}
BASE = {
    "datasets": {"street": {"adapter": "synthetic", "splits": SPLITS, "tiling": {"size": 64}}},
    "models": {"pixels": {"source": "pixels"}, "mae": {}, "mae-visualize": {}, "simmim": {}, "demo-mae": {}},
}
TIMM = {"source": "timm", "architecture": "vit_base_patch16_224"}
(RECONSTRUCTION,) = (analysis for analysis in analyses() if analysis.name == "reconstruction")


@pytest.fixture(scope="module")
def check(repository):
    schema = load_schema(repository / "config/schema/config.schema.yaml")

    def check(models=None, **keys):
        config = copy.deepcopy(BASE) | keys
        config["models"] |= models or {}
        return validate(config, schema)

    return check


def test_models_with_a_decoder_are_those_that_say_so(check):
    config = check()
    assert RECONSTRUCTION.models(config) == ["demo-mae", "mae-visualize", "simmim"]
    assert RECONSTRUCTION.datasets(config) == ["street"]
    assert config["models"]["mae"]["decoder"] is None and "decoder" not in config["models"]["pixels"]
    assert config["models"]["demo-mae"]["decoder"]["heads"] == 4
    assert config["models"]["mae-visualize"]["decoder"] == {
        "checkpoint": None, "url": None, "sha256": None, "heads": 16, "target": "pixels"
    }  # fmt: skip


def test_models_and_the_whole_can_be_left_out(check):
    config = check(reconstruction={"models": ["simmim"]})
    assert RECONSTRUCTION.models(config) == ["simmim"] and RECONSTRUCTION.files(config)
    for config in (
        check(reconstruction={"models": []}),
        check(reconstruction={"enabled": False}),
        check({"mae-visualize": {"decoder": None}}, reconstruction={"models": []}),
    ):
        assert RECONSTRUCTION.files(config) == RECONSTRUCTION.report_files(config) == []
    assert RECONSTRUCTION.models(check({"mae-visualize": {"decoder": None}})) == ["demo-mae", "simmim"]


@pytest.mark.parametrize(
    ("models", "keys", "message"),
    [
        ({}, {"reconstruction": {"models": ["mae"]}}, "names mae, which has no decoder: say with models.mae.decoder"),
        (
            {},
            {"reconstruction": {"models": ["sinmim"]}},
            "names sinmim, which is not under models: did you mean simmim?",
        ),
        ({}, {"reconstruction": {"masked": [1.0]}}, "key reconstruction.masked.0"),
        ({"a": TIMM | {"decoder": {}}}, {}, "key models.a.decoder is given, but models.a.checkpoint is null"),
        ({"pixels": {"source": "pixels", "decoder": {}}}, {}, "key models.pixels.decoder has no meaning with this"),
        ({"simmim": {"decoder": {"target": "patches"}}}, {}, "key models.simmim.decoder.target is 'patches', allowed"),
        ({"simmim": {"decoder": {"file": "a"}}}, {}, "unknown key models.simmim.decoder.file"),
        (
            {"simmim": {"decoder": {"checkpoint": "../a.pth"}}},
            {},
            "models.simmim.decoder.checkpoint: ../a.pth lies outside",
        ),
        ({"simmim": {"decoder": {"checkpoint": "a{b}.pth"}}}, {}, "key models.simmim.decoder.checkpoint is 'a{b}.pth'"),
        ({"simmim": {"decoder": {"url": "nowhere"}}}, {}, "models.simmim.decoder.url: nowhere is not an address"),
        (
            {"scalemae": {"decoder": {}, "ground_sample_distance": 1.0}},
            {},
            "key models.scalemae.decoder is given, but no decoder is known for position_embedding gsd: remove it",
        ),
    ],
)
def test_what_cannot_be_is_named(check, models, keys, message):
    with pytest.raises(ConfigError) as caught:
        check(models, **keys)
    assert message in str(caught.value)


def test_a_decoder_of_the_registry_stays_with_the_encoder_that_it_was_trained_with(check):
    """Another encoder with it would reconstruct without an error, and wrongly."""
    own = check({"demo-mae": {"checkpoint": "mine.safetensors"}})["models"]["demo-mae"]
    assert own["decoder"] is None and own["sha256"] is None
    # One in the model's own file comes with whatever file it is.
    own = check({"mae-visualize": {"checkpoint": "mine.pth"}})["models"]["mae-visualize"]
    assert own["decoder"]["target"] == "pixels" and own["decoder"]["checkpoint"] is None
    given = {"checkpoint": "mine.safetensors", "decoder": {"checkpoint": "d.safetensors"}}
    own = check({"demo-mae": given})["models"]["demo-mae"]["decoder"]
    assert own == {"checkpoint": "d.safetensors", "url": None, "sha256": None, "heads": 16, "target": "pixels"}
    # Another decoder for the same encoder keeps what the registry says of it, but for the checksum.
    own = check({"demo-mae": {"decoder": {"checkpoint": "./d.safetensors"}}})["models"]["demo-mae"]["decoder"]
    assert own["checkpoint"] == "d.safetensors" and own["sha256"] is None
    assert (own["heads"], own["target"]) == (4, "normalised-patches")
    own = check({"demo-mae": {"decoder": {"heads": 2}}})["models"]["demo-mae"]["decoder"]
    assert own["heads"] == 2 and own["sha256"] == file_sha256(WEIGHTS / "demo-mae-decoder.safetensors")


def test_the_papers_values_stand_beside_its_model_under_any_name(check):
    models = {
        "mine": {"registry": "mae", "checkpoint": "x/mae_pretrain_vit_base_full.pth", "decoder": {}},
        "hf-vitmae": {},
    }
    config = check(models)
    found = paper_values(config, RECONSTRUCTION.models(config))
    assert {value["model"] for value in found} == {"mine", "hf-vitmae", "mae-visualize"}
    own = {
        (v["masked"], v["setting"]): (v["mse_normalised"], v["psnr"], v["ssim"]) for v in found if v["model"] == "mine"
    }
    # Table 4: no masking, then 75 %.
    assert own == {
        (0.0, ""): (0.163, 25.666, 0.78),
        (0.0, "zero-top-variance-200"): (0.199, 23.349, 0.722),
        (0.0, "keep-top-variance-200"): (1.173, 15.350, -0.074),
        (0.75, ""): (0.090, 25.571, 0.786),
        (0.75, "zero-top-variance-200"): (0.103, 24.488, 0.737),
        (0.75, "keep-top-variance-200"): (1.164, 14.474, -0.064),
    }
