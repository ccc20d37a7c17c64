"""Losses by hand arithmetic, learning, and what a wrong name says."""

import math
import random

import pytest
import torch
from pretraining_data import OBJECTIVES, SIDE, build, run, sampler

from patchprobe.config.inputs import has_decoder
from patchprobe.errors import ConfigError
from patchprobe.pretraining.crops import to_batch
from patchprobe.pretraining.objective import Batch, build_objective
from patchprobe.pretraining.objectives.mae import Decoder
from patchprobe.pretraining.objectives.mae import Options as MaeOptions
from patchprobe.run import preflight


def batch(n=4, *, local=0, presence=None):
    return Batch(
        [torch.randn(n, 3, SIDE, SIDE) for _ in range(2)],
        [torch.randn(n, 3, SIDE // 2, SIDE // 2) for _ in range(local)],
        presence,
    )


@pytest.mark.parametrize("name", ["supervised", "mae", "simmim"])
def test_loss_falls(name, images, tmp_path):
    _, course = run(name, images, tmp_path, steps=40)
    assert sum(course.losses[-5:]) < 0.97 * sum(course.losses[:5]), course.losses


@pytest.mark.parametrize("name", ["dino", "ibot"])
def test_students_learn_what_a_fixed_teacher_says(name, images):
    # In training, teacher and centre move, and a falling loss may as well mean collapse.
    objective = build(name)
    network = objective.network
    seen = to_batch(sampler(images, objective).crops(0), objective.views, network.mean, network.std, "cpu")
    for momentum in (0.0, 1.0):  # the centre of these very images, and from then on the same
        objective.agreement.center_momentum = momentum
        if name == "ibot":
            objective.patch_agreement.center.momentum = momentum
        objective.loss(seen)
    optimizer = torch.optim.AdamW([w for w in objective.parameters() if w.requires_grad], lr=1e-3)
    losses = []
    for _ in range(25):
        torch.manual_seed(0)
        random.seed(0)
        loss = objective.loss(seen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0], losses


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_weight_learns(name, images):
    objective = build(name)
    crops = sampler(images, objective)
    network = objective.network
    objective.loss(to_batch(crops.crops(0), objective.views, network.mean, network.std, "cpu")).backward()
    still = [n for n, w in objective.named_parameters() if w.requires_grad and (w.grad is None or not w.grad.any())]
    # The gradient of keys' biases is zero in theory, as softmax ignores what all keys share.
    assert not still


def test_supervised_loss_of_a_blank_classifier_is_log_2():
    objective = build("supervised", classes=3)
    torch.nn.init.zeros_(objective.classifier.weight)
    torch.nn.init.zeros_(objective.classifier.bias)
    presence = torch.tensor([[0.0, 1, 1]] * 4)
    assert objective.loss(batch(presence=presence)).item() == pytest.approx(math.log(2))


def test_mae_loss_of_a_blank_decoder_is_the_variance_of_the_target():
    objective = build("mae")
    for weight in objective.pixels.decoder_pred.parameters():
        torch.nn.init.zeros_(weight)
    # n pixels with mean 0 and unbiased variance 1 have a mean square of (n - 1) / n.
    assert objective.loss(batch()).item() == pytest.approx(47 / 48, rel=1e-5)


def test_simmim_loss_of_a_blank_decoder_is_the_mean_magnitude():
    objective = build("simmim")
    for weight in objective.pixels.parameters():
        torch.nn.init.zeros_(weight)
    images = torch.full((4, 3, SIDE, SIDE), -1.5)
    assert objective.loss(Batch([images], [], None)).item() == pytest.approx(1.5)


@pytest.mark.parametrize(("name", "share"), [("dino", 1.0), ("ibot", 2.0)])
def test_loss_of_heads_that_say_nothing_is_that_of_equal_odds(name, share):
    # One of 16 outputs, for [CLS] and, as all of iBOT's images are masked, for patches too.
    objective = build(name)
    for head in (objective.distillation.head, objective.distillation.teacher_head):
        head.last_layer.weight_g.data.zero_()
    assert objective.loss(batch(local=2)).item() == pytest.approx(share * math.log(16), rel=1e-4)


def test_the_decoder_puts_every_token_into_its_place(network):
    decoder = Decoder(network, MaeOptions(decoder_features=32, decoder_blocks=0))
    torch.nn.init.eye_(decoder.decoder_embed.weight)
    torch.nn.init.zeros_(decoder.decoder_embed.bias)
    decoder.decoder_norm = decoder.decoder_pred = torch.nn.Identity()
    visible, masked = [5, 17, 60], [p for p in range(64) if p not in (5, 17, 60)]
    tokens = torch.randn(1, 4, 32)
    out = decoder(tokens, torch.tensor([visible + masked]).argsort(dim=1))[0] - decoder.decoder_pos_embed[0]
    torch.testing.assert_close(out[0], tokens[0, 0])
    for place, patch in enumerate(visible):
        torch.testing.assert_close(out[1 + patch], tokens[0, 1 + place])
    for patch in masked:
        torch.testing.assert_close(out[1 + patch], decoder.mask_token[0, 0])


@pytest.mark.parametrize(("name", "momentum"), [("dino", 0.99), ("ibot", 0.996)])
def test_the_teacher_is_a_moving_average(name, momentum):
    objective = build(name)
    teacher, student = objective.encoder().vit.cls_token, objective.network.vit.cls_token
    assert teacher is not student and torch.equal(teacher, student)
    before = teacher.clone()
    with torch.no_grad():
        student += 1
    objective.after_step(0, 100)
    torch.testing.assert_close(teacher, momentum * before + (1 - momentum) * (before + 1))
    moved = teacher.clone()
    objective.after_step(99, 100)  # m = 1
    assert torch.equal(teacher, moved)
    assert not teacher.requires_grad


def test_the_last_layer_of_the_head_rests_at_first():
    objective = build("dino")
    weight = objective.distillation.head.last_layer.weight_v
    for step, rests in [(0, True), (2, True), (3, False)]:
        weight.grad = torch.ones_like(weight)
        objective.before_step(step, 100)
        assert (weight.grad is None) == rests


def test_decoders_have_the_official_names():
    block = ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    parts = ("decoder_embed", "decoder_norm", "decoder_pred", *(f"decoder_blocks.0.{part}" for part in block))
    names = {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")}
    assert build("mae").decoder().keys() == names | {"mask_token", "decoder_pos_embed"}
    assert build("simmim").decoder().keys() == {"mask_token", "decoder.0.weight", "decoder.0.bias"}
    assert build("dino").decoder() == {}


@pytest.mark.parametrize("name", ["maee", "network", "__init__"])
def test_unknown_objectives_are_refused(name, network):
    with pytest.raises(ConfigError, match=rf"pretraining\.objectives\.{name}: there is no such objective"):
        build_objective(name, network, 2, {})


def test_unknown_options_are_refused(network):
    with pytest.raises(ConfigError, match=r"options\.mask_ration: did you mean mask_ratio\?"):
        build_objective("mae", network, 2, {"mask_ration": 0.5})
    with pytest.raises(ConfigError, match="it has no options"):
        build_objective("supervised", network, 2, {"mask_ratio": 0.5})


def test_supervised_needs_classes(network):
    with pytest.raises(ConfigError, match="the images have none; sort the images of"):
        build_objective("supervised", network, 0, {})


def test_options_are_checked_before_the_first_job():
    objectives = {"mae": {"options": {"mask": 0.5}}, "dino": {"options": {}}}
    own = {"pretraining": {"objectives": objectives}, "patch_retrieval": {"enabled": False}}
    config = {"corruptions": {}, "datasets": {}, **own}
    with pytest.raises(ConfigError, match=r"unknown key pretraining.objectives.mae.options.mask: .*mask_ratio"):
        preflight.check(config, device="cpu")
    objectives["mae"]["options"] = {"mask_ratio": 0.5}
    preflight.check(config, device="cpu")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_modules_say_whether_they_have_a_decoder(name):
    """Rules are made from it, so that the file of a decoder is an output where there is one."""
    assert has_decoder(name) == bool(build(name).decoder())
