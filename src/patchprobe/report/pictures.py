"""Pictures and words at places of a figure that are given in inches from its upper left corner."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchprobe.report.style import plain


def put_image(
    figure: Figure,
    x: float,
    y: float,
    side: float,
    image: npt.NDArray[np.uint8],
    *,
    height: float | None = None,
    **options: Any,
) -> Axes:
    """Put an image, uint8 (y, x, 3), into a square of ``side`` inches and return its axes, in px of the image.

    With ``height`` the square is a rectangle of that height. ``options`` are those of ``imshow``. Pixels stay pixels in an SVG.
    """
    wide, high = figure.get_size_inches()
    tall = side if height is None else height
    axes = figure.add_axes((x / wide, 1 - (y + tall) / high, side / wide, tall / high))
    axes.imshow(image, interpolation="none", **({"aspect": "equal"} | options))
    axes.set_axis_off()
    return axes


def put_text(figure: Figure, x: float, y: float, text: str, **options: Any) -> None:
    """Write text of one line or more; ``options`` are those of ``text``, by default to the right of (x, y) and on its line."""
    width, height = figure.get_size_inches()
    usual: dict[str, Any] = {"fontsize": 6, "linespacing": 1.1, "ha": "left", "va": "baseline"}
    figure.text(x / width, 1 - y / height, "\n".join(map(plain, text.split("\n"))), **(usual | options))
