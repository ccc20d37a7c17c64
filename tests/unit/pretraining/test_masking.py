import pytest
import torch

from patchprobe.pretraining.masking import random_mask

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("grid", "ratio", "unit", "masked"),
    [(8, 0.75, 1, 48), (8, 0.6, 2, 40), (14, 0.75, 1, 147), (8, 0.5, 4, 32), (5, 0.6, 1, 15), (4, 0.0, 1, 0)],
)
def test_every_image_has_the_same_number_of_masked_patches(grid, ratio, unit, masked):
    mask = random_mask(50, grid, ratio, unit=unit, device=CPU)
    assert mask.shape == (50, grid * grid) and mask.dtype == torch.bool
    assert mask.sum(dim=1).tolist() == [masked] * 50


def test_blocks_are_masked_whole():
    mask = random_mask(20, 8, 0.6, unit=2, device=CPU).reshape(20, 4, 2, 4, 2).permute(0, 1, 3, 2, 4).flatten(3)
    assert ((mask.sum(-1) == 0) | (mask.sum(-1) == 4)).all()


def test_every_patch_is_masked_as_often_as_the_ratio_says():
    torch.manual_seed(0)
    often = random_mask(20000, 4, 0.75, device=CPU).float().mean(dim=0)
    # Five standard deviations of a share of 20,000 draws.
    assert (often - 0.75).abs().max() < 5 * (0.75 * 0.25 / 20000) ** 0.5


def test_blocks_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="blocks of 3 x 3 patches do not tile a grid of 8 x 8"):
        random_mask(1, 8, 0.5, unit=3, device=CPU)
