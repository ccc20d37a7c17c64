"""Position embeddings in metres, against arithmetic by hand."""

import numpy as np
import pytest
import torch

from patchprobe.models.gsd import gsd_position_embedding


def test_a_quarter_each_are_sines_and_cosines_of_x_then_y():
    embedding = gsd_position_embedding((2, 3), 8, 0.5)
    assert embedding.dtype == torch.float32
    x, y = np.array([0, 0.5, 1, 0, 0.5, 1]), np.array([0, 0, 0, 0.5, 0.5, 0.5])  # metres, row by row
    frequencies = np.array([1, 0.01])  # 10000^0, 10000^(-1/2)
    parts = [part(axis[:, None] * frequencies) for axis in (x, y) for part in (np.sin, np.cos)]
    np.testing.assert_allclose(embedding[0, 1:], np.concatenate(parts, axis=1), atol=1e-7)
    assert not embedding[0, 0].any()


def test_each_image_has_its_own_distance():
    both = gsd_position_embedding((3, 3), 48, torch.tensor([0.3, 10.0]))
    assert both.shape == (2, 10, 48)
    for embedding, metres in zip(both, (0.3, 10.0), strict=True):
        assert torch.equal(embedding, gsd_position_embedding((3, 3), 48, metres)[0])


def test_equal_places_on_the_ground_have_equal_embeddings():
    coarse, fine = gsd_position_embedding((4, 4), 16, 2.0), gsd_position_embedding((8, 8), 16, 1.0)
    patches = fine[0, 1:].reshape(8, 8, 16)[::2, ::2]
    np.testing.assert_allclose(coarse[0, 1:].reshape(4, 4, 16), patches, atol=1e-6)


@pytest.mark.parametrize("metres", [0.0, -1.0, float("nan"), torch.tensor([1.0, float("inf")])])
def test_a_distance_that_is_no_positive_number_is_refused(metres):
    with pytest.raises(ValueError, match="positive number of metres"):
        gsd_position_embedding((2, 2), 8, metres)


def test_features_have_to_be_a_multiple_of_four():
    with pytest.raises(ValueError, match="multiple of 4"):
        gsd_position_embedding((2, 2), 6, 1.0)
