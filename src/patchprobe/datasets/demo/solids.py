"""Solids made of flat faces: vehicles, people, two-wheelers and street furniture, in their own coordinates.

x is forward, y up, z to the left, in metres, with the origin on the ground in the middle.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from patchprobe.datasets.demo.scene import Color, Face, Paint
from patchprobe.datasets.demo.textures import Texture

Corners = list[tuple[float, float, float]]
GLASS_TONES = ((38, 46, 54), (62, 74, 84), (95, 110, 122), (28, 30, 34))
LAMP_WHITE = Paint((235, 235, 220), glow=1.0)
LAMP_RED = Paint((190, 30, 25), glow=0.8)
TYRE = Paint((30, 30, 32), Texture.SMOOTH, 0.08)


def box(
    back: float,
    front: float,
    bottom: float,
    top: float,
    width: float,
    paint: Paint,
    details: dict[str, list] | None = None,
) -> list[Face]:
    """Return the faces of a box; ``details`` of the faces "left", "right", "front", "back" are (corners, paint)."""
    w, more = width / 2, details or {}
    b, f, y, t = back, front, bottom, top
    return [
        Face(((b, y, w), (f, y, w), (f, t, w), (b, t, w)), paint, (0, 0, 1), more.get("left", ())),
        Face(((b, y, -w), (f, y, -w), (f, t, -w), (b, t, -w)), paint, (0, 0, -1), more.get("right", ())),
        Face(((f, y, w), (f, y, -w), (f, t, -w), (f, t, w)), paint, (1, 0, 0), more.get("front", ())),
        Face(((b, y, w), (b, y, -w), (b, t, -w), (b, t, w)), paint, (-1, 0, 0), more.get("back", ())),
        Face(((b, t, w), (f, t, w), (f, t, -w), (b, t, -w)), paint, (0, 1, 0)),
    ]


def disc(x: float, y: float, z: float, radius: float, sides: int = 12, squeeze: float = 1.0) -> Corners:
    """Return a regular polygon in the plane of constant z."""
    return [(x + radius * squeeze * a, y + radius * b, z) for a, b in _circle(sides)]


def across(x: float, left: float, right: float, bottom: float, top: float) -> Corners:
    """Return a rectangle in the plane of constant x."""
    return [(x, bottom, left), (x, bottom, right), (x, top, right), (x, top, left)]


def along(z: float, back: float, front: float, bottom: float, top: float) -> Corners:
    """Return a rectangle in the plane of constant z."""
    return [(back, bottom, z), (front, bottom, z), (front, top, z), (back, top, z)]


def limb(x0: float, y0: float, x1: float, y1: float, thick0: float, thick1: float) -> Corners:
    """Return a tapering bar between two points of the plane z = 0."""
    dx, dy = x1 - x0, y1 - y0
    length = max(math.hypot(dx, dy), 1e-6)
    nx, ny = -dy / length / 2, dx / length / 2
    return [
        (x0 + nx * thick0, y0 + ny * thick0, 0.0),
        (x1 + nx * thick1, y1 + ny * thick1, 0.0),
        (x1 - nx * thick1, y1 - ny * thick1, 0.0),
        (x0 - nx * thick0, y0 - ny * thick0, 0.0),
    ]


def shift(corners: Sequence[tuple[float, float, float]], dx: float, dy: float = 0.0, dz: float = 0.0) -> Corners:
    """Return moved corners."""
    return [(x + dx, y + dy, z + dz) for x, y, z in corners]


def darker(color: Color, factor: float) -> Color:
    """Return a colour multiplied by a factor."""
    r, g, b = (float(min(255.0, c * factor)) for c in color)
    return r, g, b


def pick(rng: np.random.Generator, colors: Sequence[Color], jitter: float = 12.0) -> Color:
    """Return one of the colours, changed a little."""
    light, color = rng.uniform(0.85, 1.15), colors[int(rng.integers(len(colors)))]
    r, g, b = (
        min(max(c * light + d, 8.0), 250.0) for c, d in zip(color, rng.normal(0, jitter / 2, 3).tolist(), strict=True)
    )
    return r, g, b


@cache
def _circle(sides: int) -> tuple[tuple[float, float], ...]:
    angles = [2 * math.pi * (i + 0.5) / sides for i in range(sides)]
    return tuple((math.cos(a), math.sin(a)) for a in angles)
