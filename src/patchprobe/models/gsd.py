"""Position embedding by ground sample distance: positions counted in metres on the ground, not in patches."""

import torch


def gsd_position_embedding(
    grid: tuple[int, int], features: int, ground_sample_distance: float | torch.Tensor
) -> torch.Tensor:
    """Return the position embedding of Scale-MAE, float32 (B, 1 + rows * columns, features).

    ``grid`` is (rows, columns) of patches in row-major order, behind a [CLS] position of zeros. B is 1 for one
    ground sample distance in metres per pixel of the model's input, or their number for a 1-d tensor of them, one for
    each image. A quarter of the features each are the sines and cosines of x, then of y, at frequencies
    10000^(-k / quarter). Raises ValueError if a distance is not a positive number or 4 does not divide ``features``.

    Source: section 3 of arXiv 2212.14532 with its reference distance of one metre, as in
    ``get_2d_sincos_pos_embed_with_resolution`` of bair-climate-initiative/scale-mae (89280d83), in float32 like there:
    at many metres per pixel the rounding of an angle shows.
    """
    metres = torch.as_tensor(ground_sample_distance, dtype=torch.float32).reshape(-1)
    if not (metres.isfinite() & (metres > 0)).all():
        raise ValueError(f"a ground sample distance has to be a positive number of metres, not {metres.tolist()}")
    if features % 4:
        raise ValueError(
            f"{features} features cannot be shared among sines and cosines of x and y; use a multiple of 4"
        )
    rows, columns = grid
    quarter = features // 4
    frequencies = 1 / 10000 ** (torch.arange(quarter, dtype=torch.float32, device=metres.device) / quarter)
    y, x = torch.meshgrid(
        torch.arange(rows, dtype=torch.float32, device=metres.device),
        torch.arange(columns, dtype=torch.float32, device=metres.device),
        indexing="ij",
    )
    angles = [axis.reshape(1, -1, 1) * metres.reshape(-1, 1, 1) * frequencies for axis in (x, y)]
    patches = torch.cat([part(angle) for angle in angles for part in (torch.sin, torch.cos)], dim=-1)
    return torch.cat([torch.zeros(len(metres), 1, features, device=metres.device), patches], dim=1)
