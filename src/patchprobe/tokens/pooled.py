"""What a store of image features has beside them: what transforms are fitted on."""

import xarray as xr

from patchprobe.tokens.transforms import Moments, joined_moments

MOMENTS = ("moment_count", "moment_mean", "moment_covariance")
"""Arrays of the moments of parts of the training images: (fit, part), then with one and with two axes of features."""


def read_moments(features: xr.Dataset, told: str) -> Moments:
    """Return the moments of the training images' patch tokens at the largest size, of a store of image features.

    ``told`` is what the model was told there, empty for nothing.
    """
    fit = features["fit_told"].values.tolist().index(told)
    parts = zip(*(features[key].isel(fit=fit).values for key in MOMENTS), strict=True)
    return joined_moments([Moments(int(count), mean, covariance) for count, mean, covariance in parts])
