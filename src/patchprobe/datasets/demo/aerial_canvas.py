"""A picture of the ground from above: flat colours and shadows at twice the size, then light, texture, air and sensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.textures import Texture, atlas, blobs, clouds, grain, patch

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Color = tuple[int, int, int]
Points = Floats | Sequence[tuple[float, float]]

# Corners are given to OpenCV in 1/16 px of the doubled picture.
_BITS = 4
# Pixels of the doubled picture in a pixel.
_FINE = 2


class Material(IntEnum):
    """What a surface is made of; the number is its row in the table of reliefs."""

    PAINT = 0
    ASPHALT = 1
    CONCRETE = 2
    GRASS = 3
    SOIL = 4
    CROPS = 5
    WATER = 6
    LEAVES = 7
    ROOF = 8
    FOAM = 9


# How much a surface is lightened and darkened by fine leaves, mottles, clouds, grit, waves and slabs.
_RELIEF = np.array(
    [
        (0, 0, 0.01, 0, 0, 0),
        (0.01, 0.01, 0.04, 0.035, 0, 0),
        (0.01, 0.02, 0.045, 0.02, 0, 0.02),
        (0.055, 0.05, 0.07, 0, 0, 0),
        (0.04, 0.05, 0.09, 0.03, 0, 0),
        (0.04, 0.02, 0.06, 0.02, 0, 0),
        (0, 0.01, 0.04, 0, 0.07, 0),
        (0.21, 0.05, 0.03, 0, 0, 0),
        (0.01, 0.02, 0.03, 0.015, 0, 0),
        (0.1, 0.12, 0, 0, 0.1, 0),
    ],
    np.float32,
)
# How much a surface turns from fresh to dry in places.
_DRYNESS = np.array([0, 0.1, 0.15, 0.9, 0.7, 0.4, 0, 0.5, 0.1, 0], np.float32)
_DRY = np.array((11, 3, -5), np.float32)
_HAZE = np.array((186, 196, 206), np.float32)
_SHALLOW = np.array((10, 22, 16), np.float32)


@dataclass(frozen=True)
class Light:
    """Light, air and sensor of a scene: angles in radians, blur and noise in px and grey values, the rest in 0..1.

    ``shadow`` is the length of the shadow of something that is 1 px high; ``sun`` is where shadows point to.
    """

    sun: float
    shadow: float
    depth: float
    haze: float
    exposure: float
    contrast: float
    saturation: float
    balance: tuple[float, float, float]
    blur: float
    noise: float
    wind: float
    slabs: float


@dataclass(frozen=True)
class Rows:
    """Rows of plants in a polygon (n, 2): their direction in radians, their distance in px and their contrast."""

    points: Floats
    angle: float
    period: float
    strength: float


class Canvas:
    """Colours with materials, uint8 (2 * size, 2 * size, 4), and shadows, uint8 (2 * size, 2 * size).

    Points are (x, y) in px of the final picture, whose pixel i reaches from i to i + 1.
    """

    def __init__(self, size: int, light: Light) -> None:
        self.size = size
        self.pixels = np.zeros((_FINE * size, _FINE * size, 4), np.uint8)
        self.shadow = np.zeros((_FINE * size, _FINE * size), np.uint8)
        self.rows: list[Rows] = []
        self.away = np.array((np.cos(light.sun), np.sin(light.sun)), np.float32)
        self._shift = self.away * np.float32(light.shadow)

    def colors(self) -> Bytes:
        """Return the flat colours at the final size, without light and texture, uint8 (size, size, 3)."""
        small: Bytes = cv2.resize(self.pixels, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small[..., :3])

    def polygon(self, points: Points, color: Color, material: Material, height: float = 0.0) -> None:
        """Fill a polygon, (n, 2), that shades what lies beside it; one with a height has to be convex."""
        corners = np.asarray(points, np.float32)
        if height:
            hull = cv2.convexHull(np.concatenate((corners, corners + self._shift * np.float32(height))))
            cv2.fillConvexPoly(self.shadow, _fixed(hull[:, 0]), 255, shift=_BITS)
        fixed = _fixed(corners)
        cv2.fillPoly(self.pixels, [fixed], (*color, int(material)), shift=_BITS)
        cv2.fillPoly(self.shadow, [fixed], 0, shift=_BITS)

    def disc(self, center: Floats, radius: float, color: Color, material: Material, height: float = 0.0) -> None:
        """Fill a disc that shades what lies beside it."""
        middle = _fixed(center).tolist()
        fixed = round(radius * _FINE * (1 << _BITS))
        if height:
            end = _fixed(center + self._shift * np.float32(height)).tolist()
            cv2.circle(self.shadow, end, fixed, 255, -1, shift=_BITS)
            cv2.line(self.shadow, middle, end, 255, max(1, round(2 * radius * _FINE)), shift=_BITS)
        cv2.circle(self.pixels, middle, fixed, (*color, int(material)), -1, shift=_BITS)
        cv2.circle(self.shadow, middle, fixed, 0, -1, shift=_BITS)

    def line(self, points: Points, width: float, color: Color, material: Material) -> None:
        """Draw a line of the given width through points, (n, 2)."""
        fixed = _fixed(np.asarray(points, np.float32))
        cv2.polylines(
            self.pixels, [fixed], False, (*color, int(material)), max(1, round(_FINE * width)), cv2.LINE_8, _BITS
        )


class Pen:
    """Draws on a canvas in the frame of a thing: u px ahead of its middle, v px to its right."""

    def __init__(self, canvas: Canvas, x: float, y: float, angle: float) -> None:
        cos, sin = np.cos(angle), np.sin(angle)
        self._canvas = canvas
        self._turn = np.array([[cos, sin], [-sin, cos]], np.float32)
        self._middle = np.array((x, y), np.float32)

    def polygon(
        self, points: Points, color: Color, *, height: float = 0.0, material: Material = Material.PAINT
    ) -> None:
        """Fill a polygon."""
        self._canvas.polygon(self._placed(points), color, material, height)

    def both(self, points: Points, color: Color, *, height: float = 0.0) -> None:
        """Fill a polygon on the right and its mirror image on the left."""
        right = np.asarray(points, np.float32)
        self.polygon(right, color, height=height)
        self.polygon(right * np.array((1, -1), np.float32), color, height=height)

    def box(
        self,
        u: tuple[float, float],
        v: tuple[float, float],
        color: Color,
        *,
        height: float = 0.0,
        material: Material = Material.PAINT,
    ) -> None:
        """Fill a rectangle."""
        self.polygon([(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1])], color, height=height, material=material)

    def disc(
        self,
        u: float,
        v: float,
        radius: float,
        color: Color,
        *,
        height: float = 0.0,
        material: Material = Material.PAINT,
    ) -> None:
        """Fill a disc."""
        self._canvas.disc(self._placed([(u, v)])[0], radius, color, material, height)

    def line(self, points: Points, width: float, color: Color) -> None:
        """Draw a line of paint."""
        self._canvas.line(self._placed(points), width, color, Material.PAINT)

    def below(self, u: float, v: float) -> Color:
        """Return the colour that has been drawn at a place, the nearest one for places outside the picture."""
        x, y = np.clip(_fixed(self._placed([(u, v)]))[0] >> _BITS, 0, len(self._canvas.pixels) - 1)
        red, green, blue = self._canvas.pixels[y, x, :3].tolist()
        return red, green, blue

    def facing(self, u: float, v: float) -> float:
        """Return how far a slope that descends towards (u, v) is turned to the sun, -1..1."""
        return float(-(np.array((u, v), np.float32) @ self._turn) @ self._canvas.away)

    def _placed(self, points: Points) -> Floats:
        placed: Floats = np.asarray(points, np.float32) @ self._turn + self._middle
        return placed


def _fixed(points: Floats) -> npt.NDArray[np.int32]:
    """Return points as OpenCV takes them, whose pixel i of the doubled picture has its middle at i."""
    fixed: npt.NDArray[np.int32] = np.rint((points * _FINE - 0.5) * (1 << _BITS)).astype(np.int32)
    return fixed


def photograph(canvas: Canvas, light: Light, rng: np.random.Generator) -> Bytes:
    """Return the picture of a canvas, uint8 RGB (size, size, 3); all random numbers come from ``rng``."""
    size = canvas.size
    material = np.ascontiguousarray(canvas.pixels[::_FINE, ::_FINE, 3])
    pixels = canvas.colors().astype(np.float32)
    relief = _relief(material, light, rng)
    for rows in canvas.rows:
        _plough(relief, material == Material.CROPS, rows)
    dry = _table(_DRYNESS, material) * _sample(clouds(), size, 1.0, 1.6, 1.6, rng, coarse=2)
    pixels += dry[..., None] * _DRY
    water = (material == Material.WATER) | (material == Material.FOAM)
    if water.any():
        width = size // 10 | 1
        shore = cv2.blur((~water).astype(np.float32), (width, width))
        pixels += (shore * water)[..., None] * _SHALLOW
    shadow = cv2.blur(cv2.resize(canvas.shadow, (size, size), interpolation=cv2.INTER_AREA), (3, 3))
    shade = shadow.astype(np.float32) * np.float32(light.depth / 255)
    # The blue sky lights what the sun does not reach.
    for channel, share in enumerate((1.0, 0.95, 0.85)):
        pixels[..., channel] *= relief * (1 - np.float32(share) * shade)
    return _develop(pixels, light, rng)


def _table(values: Floats, material: Bytes) -> Floats:
    """Return the values of the materials of all pixels."""
    table = np.zeros(256, np.float32)
    table[: len(values)] = values
    found: Floats = cv2.LUT(material, table)
    return found


def _relief(material: Bytes, light: Light, rng: np.random.Generator) -> Floats:
    """Return the factor by which texture lightens and darkens each pixel, float32 (size, size)."""
    textures: tuple[tuple[Floats, float, float, float, int], ...] = (
        (_level(Texture.LEAVES, 1), 0.3, 0.8, 0.8, 1),
        (blobs(), 0.0, 0.5, 0.5, 1),
        (clouds(), 0.0, 0.9, 0.9, 2),
        (_level(Texture.ASPHALT, 0), light.slabs, 0.8, 0.8, 1),
        (blobs(), light.wind, 0.2, 0.5, 1),
        (_level(Texture.PAVING, 0), light.slabs, 0.4, 0.4, 1),
    )
    present = np.flatnonzero(np.bincount(material.reshape(-1), minlength=len(_RELIEF)))
    relief = np.ones(material.shape, np.float32)
    for column, (bank, angle, along, across, coarse) in enumerate(textures):
        if _RELIEF[present, column].any():
            texture = _sample(bank, len(material), angle, along, across, rng, coarse=coarse)
            relief += _table(_RELIEF[:, column], material) * texture
    return relief


def _level(texture: Texture, level: int) -> Floats:
    plane: Floats = atlas()[level, texture].astype(np.float32) / 50
    return plane


def _sample(
    bank: Floats, size: int, angle: float, along: float, across: float, rng: np.random.Generator, *, coarse: int = 1
) -> Floats:
    """Return a turned piece of a tileable bank with the given pixels in a texel, float32 (size, size).

    Only every ``coarse``-th pixel is looked up; those between are interpolated.
    """
    cos, sin = coarse * np.cos(angle), coarse * np.sin(angle)
    x, y = rng.uniform(0, len(bank), 2)
    matrix = np.array([[cos / along, sin / along, x], [-sin / across, cos / across, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    side = size // coarse
    piece: Floats = cv2.warpAffine(bank, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_WRAP)
    return piece if coarse == 1 else cv2.resize(piece, (size, size))


def _plough(relief: Floats, crops: npt.NDArray[np.bool_], rows: Rows) -> None:
    """Add rows to the crops within a polygon, in place."""
    low = np.floor(np.clip(rows.points.min(0), 0, len(relief))).astype(int)
    high = np.ceil(np.clip(rows.points.max(0), 0, len(relief))).astype(int)
    if (high <= low).any():
        return
    x, y = np.arange(low[0], high[0], dtype=np.float32), np.arange(low[1], high[1], dtype=np.float32)[:, None]
    inside = np.zeros((len(y), len(x)), np.uint8)
    cv2.fillPoly(inside, [np.rint(rows.points - low).astype(np.int32)], 1)
    phase = (y * np.float32(np.cos(rows.angle)) - x * np.float32(np.sin(rows.angle))) / np.float32(rows.period)
    wave = np.float32(rows.strength) * np.sin(phase * np.float32(2 * np.pi))
    window = slice(low[1], high[1]), slice(low[0], high[0])
    relief[window] += wave * (crops[window] & (inside > 0))


def _develop(pixels: Floats, light: Light, rng: np.random.Generator) -> Bytes:
    """Return pixels seen through lens, air and sensor, uint8."""
    pixels = cv2.GaussianBlur(pixels, (5, 5), light.blur)
    # A grey of 110 keeps its brightness when contrast and saturation change.
    mixing = light.contrast * (light.saturation * np.eye(3) + (1 - light.saturation) / 3)
    gain = light.exposure * (1 - light.haze) * np.array(light.balance)
    offset = gain * 110 * (1 - light.contrast) + light.haze * _HAZE
    pixels = cv2.transform(pixels, np.column_stack((gain[:, None] * mixing, offset)))
    noise = patch(grain(), len(pixels), len(pixels), 1, rng)
    image: Bytes = cv2.addWeighted(pixels, 1.0, noise, light.noise, 0.0, dtype=cv2.CV_8U)
    return image
