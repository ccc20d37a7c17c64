"""Trees, bushes and hedges."""

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
    canvas.crown(VEGETATION, (x + lean, middle, z), (radius, (height - clear) * 0.5), paints, 0.3)
    for _ in range(rng.integers(1, 4)):
        dx, dy = rng.uniform(-0.8, 0.8) * radius, rng.uniform(-0.3, 0.4) * (height - clear)
        size = radius * rng.uniform(0.4, 0.7)
        canvas.crown(VEGETATION, (x + lean + dx, middle + dy, z - 0.1), (size, size), paints, 0.35)


def bush(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z: float) -> None:
    """Draw a bush."""
    size = rng.uniform(0.5, 1.6)
    canvas.cast(x, z, size, size * 1.6, size)
    canvas.crown(VEGETATION, (x, size * 0.5, z), (size, size * rng.uniform(0.5, 0.9)), leaves(rng, city), 0.3)


def hedge(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z0: float, z1: float, height: float) -> None:
    """Draw a hedge or dense green along the street in the plane of constant x."""
    z0 = max(z0, NEAR)
    paints = leaves(rng, city)
    step = max(height * 0.7, 0.8)
    for z in np.arange(z1, max(z0, 2.0), -step * rng.uniform(0.8, 1.2)):
        size = height * rng.uniform(0.4, 0.65)
        canvas.crown(VEGETATION, (x + rng.normal(0, 0.1), height - size * 0.8, float(z)), (size, size), paints, 0.3)
    number = canvas.add(VEGETATION, canvas.camera.side(x), paints[1], gradient=-20)
    canvas.polygon([(x, 0, z0), (x, 0, z1), (x, height * 0.75, z1), (x, height * 0.75, z0)], number)


def _conifer(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z: float, height: float) -> None:
    base = draw_color(rng, ((42, 62, 44), (56, 74, 52), (38, 56, 50)))
    paints = [Paint(darker(base, factor), Texture.LEAVES, 0.35) for factor in (0.6, 0.85, 1.1, 1.3)]
    width = height * rng.uniform(0.16, 0.26)
    for share in (0.2, 0.4, 0.6, 0.8, 0.95):
        size = width * (1.05 - share)
        canvas.crown(VEGETATION, (x, height * share, z), (size, height * 0.16), paints, 0.3)


def _branches(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, z: float, height: float, number: int
) -> None:
    """Draw branches and twigs, which fork twice."""
    ends = [(x, y, np.pi / 2, (height - y) * 0.45)]
    for generation in range(4):
        thick, following = 0.12 * 0.55**generation, []
        for x0, y0, angle, length in ends:
            for turn in rng.uniform(-0.9, 0.9, 3 if generation else 4):
                bend = angle + float(turn)
                x1, y1 = x0 + length * np.cos(bend), y0 + length * np.sin(bend)
                canvas.polygon(
                    [(x0 - thick, y0, z), (x0 + thick, y0, z), (x1 + thick * 0.5, y1, z), (x1 - thick * 0.5, y1, z)],
                    number,
                )
                following.append((x1, y1, bend, length * 0.65))
        ends = following
