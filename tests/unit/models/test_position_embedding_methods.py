"""Ways of position embeddings to another size, by hand and by timm's own code for RADIO."""

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from patchprobe.models.layout import open_layout
from patchprobe.models.position_embedding import fit_position_embedding

SMALL = {"embed_dim": 48, "depth": 1, "num_heads": 3, "num_classes": 0, "patch_size": 4}


def resized(method, rows, columns):
    """Positions of a grid of 4 x 4, whose two features are row and column, behind a prefix token, at another size."""
    grid = torch.stack(torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij"), dim=-1)
    stored = torch.cat([torch.full((1, 1, 2), 9.0), grid.reshape(1, 16, 2)], dim=1)
    module = VisionTransformer((4 * rows, 4 * columns), **{**SMALL, "embed_dim": 2, "num_heads": 1, "depth": 0})
    weights, facts = fit_position_embedding({"pos_embed": stored}, module, method, "m", stored_grid=(4, 4))
    assert facts == {
        "method": method,
        "applied": (rows, columns) != (4, 4),
        "checkpoint_grid": [4, 4],
        "grid": [rows, columns],
    }
    assert weights["pos_embed"][0, 0].tolist() == [9, 9]
    found = weights["pos_embed"][0, 1:].reshape(rows, columns, 2)
    return found[:, 0, 0].tolist(), found[0, :, 1].tolist()


@pytest.mark.parametrize(
    ("method", "size", "rows", "columns"),
    [
        # the middle of each half
        ("bilinear", (2, 4), [0.5, 2.5], [0, 1, 2, 3]),
        # weights of a triangle over four pixels, three at the edge: (0.75 * 1 + 0.25 * 2) / 1.75
        ("bilinear-antialiased", (2, 4), [5 / 7, 16 / 7], [0, 1, 2, 3]),
        # the upper left part of a square of 4 x 4, which is the stored one
        ("radio", (2, 4), [0, 1], [0, 1, 2, 3]),
        ("radio-aligned", (2, 4), [0, 1], [0, 1, 2, 3]),
        ("radio", (2, 1), [0.5, 2.5], [0.5]),
        # outermost positions stay where they are
        ("radio-aligned", (7, 3), [0, 0.5, 1, 1.5, 2, 2.5, 3], [0, 0.5, 1]),
        ("radio", (8, 2), [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], [0, 0.25]),
        ("bilinear", (4, 4), [0, 1, 2, 3], [0, 1, 2, 3]),
    ],
)
def test_positions_are_those_by_hand(method, size, rows, columns):
    found = resized(method, *size)
    assert found[0] == pytest.approx(rows) and found[1] == pytest.approx(columns)


def radio_file(tokens, features=48):
    torch.manual_seed(0)
    model = VisionTransformer(
        **{**SMALL, "embed_dim": features}, reg_tokens=tokens - 1, no_embed_class=True, final_norm=False
    )
    names = {
        f"radio_model.model.{name}": value for name, value in model.state_dict().items() if name.startswith("blocks.")
    }
    return names | {
        "radio_model.model.patch_generator.embedder.weight": torch.randn(features, 48),
        "radio_model.model.patch_generator.pos_embed": torch.randn(1, 16, features),
        "radio_model.model.patch_generator.cls_token.token": torch.randn(tokens, features),
        "radio_model.input_conditioner.norm_mean": torch.tensor([0.25, 0.5, 0.75]).reshape(3, 1, 1),
        "radio_model.input_conditioner.norm_std": torch.tensor([0.5, 0.25, 0.125]).reshape(3, 1, 1),
    }


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("tokens", "grid"), [(8, (3, 7)), (10, (6, 2))])
def test_a_file_of_radio_becomes_what_timm_makes_of_it(aligned, tokens, grid):
    file = radio_file(tokens)
    module = VisionTransformer(
        (4 * grid[0], 4 * grid[1]), **SMALL, reg_tokens=tokens - 1, no_embed_class=True, final_norm=False
    )
    theirs = checkpoint_filter_fn(dict(file), module, interpolation="bilinear", antialias=False, align_corners=aligned)
    contents = open_layout("radio")(file, "k")
    ours, _ = fit_position_embedding(
        contents.encoder, module, "radio-aligned" if aligned else "radio", "m", square=True
    )
    assert ours.keys() == theirs.keys() == module.state_dict().keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], atol=1e-6, rtol=0)
    assert contents.normalisation == ((0.25, 0.5, 0.75), (0.5, 0.25, 0.125))


@pytest.mark.parametrize(
    ("features", "tokens", "method"),
    [
        (768, 8, "radio-aligned"),
        (1280, 8, "radio-aligned"),
        (1280, 10, "radio"),
        (1024, 8, "radio"),
        (1152, 10, "radio"),
    ],
)
def test_the_way_of_radio_is_that_of_the_release(features, tokens, method):
    file = {
        "base_model.patch_generator.embedder.weight": torch.zeros(features, 768),
        "base_model.patch_generator.pos_embed": torch.zeros(1, 4, features),
        "base_model.patch_generator.cls_token.token": torch.zeros(tokens, features),
    }
    assert open_layout("radio")({"state_dict": file}, "k").position_embedding == method


def test_the_moving_average_of_radio_is_preferred():
    average, raw = (
        {name.replace("radio_model.model.", "base_model."): value for name, value in radio_file(8).items()}
        for _ in "ab"
    )
    raw = {name: value + 1 for name, value in raw.items()}
    contents = open_layout("radio")({"state_dict": raw, "state_dict_ema": average}, "k")
    assert torch.equal(contents.encoder["pos_embed"], average["base_model.patch_generator.pos_embed"])
    assert contents.taken == "state_dict_ema.base_model."
