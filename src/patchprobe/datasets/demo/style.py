"""What a city looks like: each city has its own distribution of everything that varies from street to street."""

from dataclasses import dataclass

import numpy as np

from patchprobe.datasets.demo.scene import Color
from patchprobe.datasets.demo.textures import Texture
from patchprobe.seeds import generator

_WALLS: tuple[Color, ...] = (
    (150, 80, 62),
    (128, 66, 54),
    (172, 118, 88),
    (205, 196, 178),
    (188, 180, 168),
    (222, 214, 196),
    (150, 148, 144),
    (112, 114, 118),
    (198, 172, 120),
    (176, 150, 138),
    (128, 142, 120),
    (120, 138, 152),
    (84, 88, 92),
    (232, 228, 220),
    (166, 140, 100),
    (196, 140, 110),
)
_LEAVES: tuple[Color, ...] = (
    (62, 92, 40),
    (48, 74, 38),
    (84, 112, 48),
    (104, 118, 52),
    (70, 96, 62),
    (138, 122, 48),
    (150, 92, 40),
    (122, 70, 42),
    (110, 104, 78),
)
_CARS: tuple[Color, ...] = (
    (30, 31, 34),
    (62, 64, 68),
    (105, 107, 110),
    (150, 152, 154),
    (190, 191, 192),
    (225, 225, 222),
    (130, 28, 28),
    (34, 52, 98),
    (52, 86, 120),
    (60, 82, 60),
    (140, 110, 60),
    (186, 160, 60),
    (92, 62, 48),
)
_PAVING = (Texture.PAVING, Texture.ASPHALT, Texture.COBBLES, Texture.STONE, Texture.PLASTER)
_WALL_TEXTURES = (Texture.PLASTER, Texture.BRICK, Texture.STONE, Texture.SMOOTH)
WEATHERS = ("clear", "broken", "overcast", "fog", "rain", "dusk", "night")


@dataclass(frozen=True)
class City:
    """The habits of a city; probabilities in 0..1, lengths in metres, ``density`` values relative to 1."""

    walls: tuple[Color, ...]
    leaves: tuple[Color, ...]
    cars: tuple[Color, ...]
    wall_textures: tuple[Texture, ...]
    paving: Texture
    paving_color: Color
    road_color: Color
    cobbled: float
    storeys: tuple[float, float]
    gaps: float
    fences: float
    greens: float
    trees: float
    conifers: float
    bare: float
    traffic: float
    parking: float
    people: float
    cycles: float
    signs: float
    clutter: float
    bay: float
    storey: float
    marking: Color
    weather: tuple[float, ...]
    focal: float
    camera_height: float
    bonnet: float


def city_style(seed: int, name: str) -> City:
    """Return the style of a city; it depends on the seed and the name only."""
    rng = generator(seed, "city", name)

    def some(colors: tuple[Color, ...], least: int, most: int) -> tuple[Color, ...]:
        chosen = rng.choice(len(colors), int(rng.integers(least, most + 1)), replace=False)
        return tuple(colors[i] for i in chosen)

    low = rng.uniform(1, 4)
    grey = rng.uniform(75, 135)
    paving = rng.uniform(100, 175)
    warm = rng.uniform(-10, 14)
    return City(
        walls=some(_WALLS, 4, 8),
        leaves=some(_LEAVES, 2, 4),
        cars=some(_CARS, 5, 9),
        wall_textures=tuple(_WALL_TEXTURES[i] for i in rng.integers(0, len(_WALL_TEXTURES), 3)),
        paving=_PAVING[rng.integers(len(_PAVING))],
        paving_color=(paving + warm, paving + warm * 0.3, paving - warm),
        road_color=(grey + 3, grey, grey - 2 + rng.uniform(-6, 8)),
        cobbled=float(rng.choice((0.0, 0.05, 0.4))),
        storeys=(low, low + rng.uniform(1, 6)),
        gaps=rng.uniform(0.15, 0.6),
        fences=rng.uniform(0.6, 1.0),
        greens=rng.uniform(0.2, 0.8),
        trees=rng.uniform(0.3, 1.5),
        conifers=rng.uniform(0, 0.4),
        bare=float(rng.choice((0.0, 0.0, 0.25, 0.7))),
        traffic=rng.uniform(0.5, 1.5),
        parking=rng.uniform(0.1, 0.8),
        people=rng.uniform(0.5, 1.8),
        cycles=rng.uniform(0.5, 1.8),
        signs=rng.uniform(0.6, 1.6),
        clutter=rng.uniform(0.3, 1.2),
        bay=rng.uniform(1.6, 3.4),
        storey=rng.uniform(2.8, 3.7),
        marking=(225, 222, 212) if rng.random() < 0.8 else (220, 185, 80),
        weather=tuple(rng.dirichlet((2.5, 2.5, 2.5, 0.8, 0.8, 0.7, 0.5)).tolist()),
        focal=rng.uniform(330, 540),
        camera_height=rng.uniform(1.15, 2.0),
        bonnet=float(rng.choice((0.0, 0.3, 1.0))),
    )


def draw_color(rng: np.random.Generator, colors: tuple[Color, ...], spread: float = 10.0) -> Color:
    """Return one of the colours, lighter or darker and a little off."""
    base = np.array(colors[rng.integers(len(colors))]) * rng.uniform(0.8, 1.2) + rng.normal(0, spread / 2, 3)
    r, g, b = np.clip(base, 8, 248).tolist()
    return r, g, b
