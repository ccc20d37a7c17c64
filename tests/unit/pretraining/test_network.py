import pytest
import timm
import torch
from lightly.models.utils import patchify
from pretraining_data import SIDE, SMALL
from torch.nn import functional as F

from patchprobe.errors import ConfigError
from patchprobe.pretraining.network import Network, parameter_count


def test_tokens_are_those_of_timm(network):
    images = torch.randn(2, 3, SIDE, SIDE)
    torch.testing.assert_close(network(images), network.vit.forward_features(images))


def test_local_crops_get_positions_as_bicubic_interpolation_gives_them(network):
    plane = network.vit.pos_embed[:, 1:].unflatten(1, (8, 8)).permute(0, 3, 1, 2)
    expected = F.interpolate(plane, size=(4, 4), mode="bicubic").flatten(2).transpose(1, 2)
    torch.testing.assert_close(network.positions(16), expected)
    assert network(torch.randn(2, 3, SIDE // 2, SIDE // 2)).shape == (2, 17, 32)


def test_masked_patches_hide_their_pixels(network):
    images = torch.randn(2, 3, SIDE, SIDE)
    changed = images.clone()
    changed[0, :, :4, 4:8] += 1  # patch 1
    mask = torch.zeros(2, 64, dtype=torch.bool)
    mask[0, 1] = True
    token = torch.randn(1, 1, 32)
    torch.testing.assert_close(network(images, mask, token), network(changed, mask, token))
    assert not torch.allclose(network(images), network(changed))
    assert not torch.allclose(network(images, mask, token), network(images, mask, 2 * token))


def test_patches_are_cut_as_in_the_code_of_mae(network):
    images = torch.randn(2, 3, SIDE, SIDE)
    torch.testing.assert_close(network.patchify(images), patchify(images, 4))


def test_parameters_are_counted():
    assert parameter_count(torch.nn.Linear(3, 4)) == 16


@pytest.mark.parametrize(
    ("name", "arguments", "size", "message"),
    [
        ("vit_tiny_patch61", {}, 32, "pretraining.architecture: timm cannot build vit_tiny_patch61 at 32 px"),
        (SMALL["name"], {"depht": 2}, 32, "pretraining.architecture: timm cannot build"),
        ("resnet18", {}, 32, "pretraining.architecture"),
        (SMALL["name"], {"reg_tokens": 2}, 32, "is not a plain ViT with one"),
        (SMALL["name"], {"patch_size": 8}, 40, "40 px is not a multiple of 16, two patches"),
    ],
)
def test_unusable_architectures_are_refused(name, arguments, size, message):
    with pytest.raises(ConfigError, match=message):
        Network(name, arguments, size)


def test_equal_seeds_give_equal_networks(network):
    from patchprobe.pretraining.training import seed_weights

    seed_weights(0)
    torch.testing.assert_close(Network(SMALL["name"], SMALL["arguments"], SIDE).state_dict(), network.state_dict())
    plain = timm.create_model(SMALL["name"], num_classes=0, img_size=SIDE, **SMALL["arguments"])
    assert plain.state_dict().keys() == network.vit.state_dict().keys()
