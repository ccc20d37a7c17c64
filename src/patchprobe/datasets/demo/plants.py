"""Trees, bushes and hedges."""

import cv2
import numpy as np

from patchprobe.datasets.demo.labels import VEGETATION
from patchprobe.datasets.demo.scene import NEAR, Canvas, Color, Paint
from patchprobe.datasets.demo.solids import darker, pick
from patchprobe.datasets.demo.style import City, draw_color
from patchprobe.datasets.demo.textures import Texture

_BARK: tuple[Color, ...] = ((74, 60, 48), (96, 86, 74), (58, 50, 44), (120, 112, 100))


def leaves(rng: np.random.Generator, city: City) -> list[Paint]:
    """Return the paints of one plant's leaves, from shaded to lit."""
    color = draw_color(rng, city.leaves)
    contrast = rng.uniform(0.22, 0.42)
    return [Paint(darker(color, factor), Texture.LEAVES, contrast) for factor in (0.5, 0.75, 1.0, 1.25)]


def tree(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z: float) -> None:
    """Draw a tree: with a round crown, a conifer or bare."""
    if z < 2.5:
        return
    height = rng.uniform(4, 13)
    canvas.cast(x, z, 0.35 * height, 0.35 * height, height)
    kind = rng.random()
    if kind < city.conifers:
        _conifer(canvas, rng, city, x, z, height)
        return
    bark = Paint(pick(rng, _BARK), Texture.GRASS, 0.3)
    plane, trunk = canvas.camera.front(z), rng.uniform(0.12, 0.3)
    clear = height * rng.uniform(0.2, 0.4)
    number = canvas.add(VEGETATION, plane, bark)
    lean = rng.normal(0, 0.15)
    canvas.polygon(
        [
            (x - trunk, 0, z),
            (x + trunk, 0, z),
            (x + lean + trunk * 0.6, clear + 1, z),
            (x + lean - trunk * 0.6, clear + 1, z),
        ],
        number,
    )
    if rng.random() < city.bare:
        _branches(canvas, rng, x + lean, clear, z, height, number)
        return
    paints = leaves(rng, city)
    radius = (height - clear) * rng.uniform(0.32, 0.5)
    middle = clear + (height - clear) * 0.5
    tones = canvas.tones(VEGETATION, z, paints)
    canvas.crown(tones, (x + lean, middle, z), (radius, (height - clear) * 0.5), 0.3)
    for _ in range(rng.integers(1, 4)):
        dx, dy = rng.uniform(-0.8, 0.8) * radius, rng.uniform(-0.3, 0.4) * (height - clear)
        size = radius * rng.uniform(0.4, 0.7)
        canvas.crown(tones, (x + lean + dx, middle + dy, z), (size, size), 0.35)


def bush(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z: float) -> None:
    """Draw a bush."""
    size = rng.uniform(0.5, 1.6)
    canvas.cast(x, z, size, size * 1.6, size)
    tones = canvas.tones(VEGETATION, z, leaves(rng, city))
    canvas.crown(tones, (x, size * 0.5, z), (size, size * rng.uniform(0.5, 0.9)), 0.3)


def hedge(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z0: float, z1: float, height: float) -> None:
    """Draw a hedge or dense green along the street in the plane of constant x."""
    z0 = max(z0, NEAR)
    paints = leaves(rng, city)
    step = max(height * 0.7, 0.8)
    for z in np.arange(z1, max(z0, 2.0), -step * rng.uniform(0.8, 1.2)):
        size = height * rng.uniform(0.4, 0.65)
        tones = canvas.tones(VEGETATION, float(z), paints)
        canvas.crown(tones, (x + rng.normal(0, 0.1), height - size * 0.8, float(z)), (size, size), 0.3)
    number = canvas.add(VEGETATION, canvas.camera.side(x), paints[1], gradient=-0.5)
    canvas.polygon([(x, 0, z0), (x, 0, z1), (x, height * 0.75, z1), (x, height * 0.75, z0)], number)


def _conifer(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z: float, height: float) -> None:
    base = draw_color(rng, ((42, 62, 44), (56, 74, 52), (38, 56, 50)))
    paints = [Paint(darker(base, factor), Texture.LEAVES, 0.35) for factor in (0.6, 0.85, 1.1, 1.3)]
    width = height * rng.uniform(0.16, 0.26)
    tones = canvas.tones(VEGETATION, z, paints)
    for share in (0.2, 0.4, 0.6, 0.8, 0.95):
        size = width * (1.05 - share)
        canvas.crown(tones, (x, height * share, z), (size, height * 0.16), 0.3)


def _branches(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, z: float, height: float, number: int
) -> None:
    """Draw branches and twigs, each forking into three, as lines."""
    ends = np.array([(x, y, np.pi / 2)])
    length, scale = (height - y) * 0.45, canvas.camera.focal / max(z, 1.0)
    for generation in range(4):
        ends = np.repeat(ends, 4 if generation == 0 else 3, axis=0)
        turned = ends[:, 2] + rng.uniform(-0.9, 0.9, len(ends))
        tips = ends[:, :2] + length * np.stack((np.cos(turned), np.sin(turned)), axis=1)
        corners = np.full((2 * len(ends), 3), z)
        corners[0::2, :2], corners[1::2, :2] = ends[:, :2], tips
        lines = np.rint(canvas.camera.project(corners)).astype(np.int32).reshape(-1, 2, 2)
        thickness = max(1, round(0.16 * 0.55**generation * scale))
        cv2.polylines(canvas.surface, list(lines), False, number, thickness)
        ends, length = np.column_stack((tips, turned)), length * 0.65
