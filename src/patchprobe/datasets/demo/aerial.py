"""What lies and stands where in an aerial scene: areas of ground, and things with the rectangles that hold them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from patchprobe.datasets.demo.aerial_canvas import Bytes, Color, Floats, Light, Material

Span = tuple[float, float]
Path = Sequence[tuple[float, float]]

SUPERCATEGORIES = {
    "Airplane": ("Boeing737", "Boeing747", "Boeing777", "A220", "A330", "ARJ21", "other-airplane"),
    "Ship": (
        "Passenger Ship",
        "Motorboat",
        "Fishing Boat",
        "Tugboat",
        "Dry Cargo Ship",
        "Liquid Cargo Ship",
        "Warship",
    ),
    "Vehicle": ("Small Car", "Bus", "Cargo Truck", "Dump Truck", "Van"),
    "Court": ("Basketball Court", "Tennis Court", "Football Field", "Baseball Field"),
    "Road": ("Intersection", "Roundabout", "Bridge"),
}
CLASSES = tuple(name for names in SUPERCATEGORIES.values() for name in names)

# Length and width in px, and by which share of them individuals differ.
_SIZES = {
    "Boeing737": (37, 34, 0.03),
    "Boeing747": (60, 54, 0.02),
    "Boeing777": (57, 50, 0.03),
    "A220": (33, 34, 0.03),
    "A330": (48, 48, 0.03),
    "ARJ21": (32, 26, 0.03),
    "other-airplane": (25, 31, 0.06),
    "Passenger Ship": (62, 17, 0.1),
    "Motorboat": (16, 7, 0.12),
    "Fishing Boat": (27, 10, 0.08),
    "Tugboat": (23, 13, 0.08),
    "Dry Cargo Ship": (66, 17, 0.06),
    "Liquid Cargo Ship": (64, 18, 0.08),
    "Warship": (62, 12, 0.08),
    "Small Car": (11, 6.5, 0.04),
    "Bus": (27, 8.5, 0.04),
    "Cargo Truck": (24, 9, 0.05),
    "Dump Truck": (20, 10.5, 0.04),
    "Van": (14, 8, 0.04),
    "Basketball Court": (36, 21, 0.03),
    "Tennis Court": (44, 25, 0.03),
    "Football Field": (60, 40, 0.0),
    "Baseball Field": (40, 40 * 2**0.5, 0.0),
}

# Bits of the map of what a place is taken by.
SOLID, ROAD, WATER = 1, 2, 4
# Things are drawn layer by layer: flat ones, bridges, what moves, what is high.
FLAT, DECK, LOW, HIGH = range(4)
_MARGIN = 80
# Of an object that the border cuts, at least this share of its area is in the picture.
_LEAST_SHARE = 0.35


@dataclass(frozen=True)
class Area:
    """A polygon of ground, points (n, 2) in px, or a strip of the given width along a line.

    ``rows`` are the direction (radians), the distance (px) and the contrast of rows of plants.
    """

    points: Floats
    color: Color
    material: Material
    width: float = 0.0
    rows: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Thing:
    """Something that is drawn in a rectangle: its middle, length and width in px, its direction in radians, its seed.

    A direction of 0 looks to the right and one of pi / 2 down. Things whose kind is one of CLASSES are annotated.
    """

    kind: str
    x: float
    y: float
    angle: float
    length: float
    width: float
    seed: int
    layer: int = LOW

    def corners(self) -> Floats:
        """Return the corners front left, front right, rear right and rear left, clockwise, (4, 2)."""
        return _rectangle(self.x, self.y, self.angle, self.length, self.width)


def _rectangle(x: float, y: float, angle: float, length: float, width: float) -> Floats:
    cos, sin = math.cos(angle), math.sin(angle)
    a, b, c, d = length / 2 * cos, length / 2 * sin, -width / 2 * sin, width / 2 * cos
    return np.array(
        [(x + a - c, y + b - d), (x + a + c, y + b + d), (x - a + c, y - b + d), (x - a - c, y - b - d)], np.float32
    )


@dataclass(frozen=True)
class Plan:
    """An aerial scene of size x size px before it is drawn."""

    size: int
    areas: tuple[Area, ...]
    things: tuple[Thing, ...]
    light: Light

    def objects(self) -> list[Thing]:
        """Return the things that are annotated."""
        return [thing for thing in self.things if thing.kind in CLASSES]


@dataclass
class Site:
    """A scene while it is planned, in a frame turned by ``angle`` about the middle of the picture: (u, v) in px.

    ``foliage`` is the kind of its trees. ``reach`` is how far the frame has to be filled to cover the picture.
    """

    size: int
    rng: np.random.Generator
    angle: float
    tones: Mapping[str, Color]
    foliage: str = "tree"
    areas: list[Area] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reach = 0.72 * self.size
        self._cos, self._sin = math.cos(self.angle), math.sin(self.angle)
        side = self.size + 2 * _MARGIN
        self._taken = np.zeros((side, side), np.uint8)
        self._picture = np.array([(0, 0), (self.size, 0), (self.size, self.size), (0, self.size)], np.float32)

    def at(self, points: Path | Floats) -> Floats:
        """Return points of the frame in the picture, float32 (n, 2)."""
        turn = np.array([[self._cos, self._sin], [-self._sin, self._cos]])
        placed = np.asarray(points, np.float64) @ turn + self.size / 2
        result: Floats = placed.astype(np.float32)
        return result

    def tone(self, name: str, spread: float = 5.0) -> Color:
        """Return a colour of the scene, by a few grey values different each time."""
        red, green, blue = self.tones[name]
        step = self.rng.normal(0, spread)
        return round(red + step), round(green + step), round(blue + step)

    def ground(
        self,
        points: Path | Floats,
        color: Color,
        material: Material,
        *,
        width: float = 0.0,
        takes: int = 0,
        frees: int = 0,
        rows: tuple[float, float, float] | None = None,
    ) -> None:
        """Add an area of ground; ``takes`` and ``frees`` are bits of what the place is taken by."""
        placed = self.at(points)
        if rows:
            rows = (rows[0] + self.angle, *rows[1:])
        if (placed.max(0) > -width).all() and (placed.min(0) < self.size + width).all():
            self.areas.append(Area(placed, color, material, width, rows))
        if takes or frees:
            mask = np.zeros_like(self._taken)
            corners = [np.rint(placed + _MARGIN).astype(np.int32)]
            if width:
                cv2.polylines(mask, corners, False, 1, round(width))
            else:
                cv2.fillPoly(mask, corners, 1)
            self._taken |= mask * np.uint8(takes)
            self._taken &= ~(mask * np.uint8(frees))

    def strip(self, u: Span, v: Span, color: Color, material: Material, *, takes: int = 0, frees: int = 0) -> None:
        """Add a rectangle of ground."""
        self.ground([(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1])], color, material, takes=takes, frees=frees)

    def put(
        self,
        kind: str,
        u: float,
        v: float,
        turn: float = 0.0,
        *,
        size: Span | None = None,
        margin: float = 1.0,
        blocked: int = SOLID,
        needs: int = 0,
        takes: int = SOLID,
        layer: int = LOW,
    ) -> bool:
        """Add a thing and return True, unless it stands on what is ``blocked``, lacks what it ``needs`` or is outside.

        ``margin`` in px is kept free around it. Without ``size`` (length and width) it gets the size of its class.
        """
        x = self.size / 2 + u * self._cos - v * self._sin
        y = self.size / 2 + u * self._sin + v * self._cos
        if size is None:
            length, width, spread = _SIZES[kind]
            scale = self.rng.normal(1, spread) if spread else 1.0
            size = length * scale, width * scale
        far = sum(size) / 2
        if not (-far < x < self.size + far and -far < y < self.size + far):
            return False
        angle = self.angle + turn
        corners = _rectangle(x, y, angle, *size)
        seen = cv2.intersectConvexConvex(corners, self._picture)[0] / (size[0] * size[1])
        if seen < (_LEAST_SHARE if kind in CLASSES else 1e-3):
            return False
        window, mask = self._window(_rectangle(x, y, angle, size[0] + 2 * margin, size[1] + 2 * margin))
        if (window & mask * np.uint8(blocked)).any() or (needs and (~window & mask * np.uint8(needs)).any()):
            return False
        if takes:
            window, mask = self._window(corners)
            window |= mask * np.uint8(takes)
        self.things.append(Thing(kind, x, y, angle, *size, int(self.rng.integers(2**62)), layer))
        return True

    def _window(self, corners: Floats) -> tuple[Bytes, Bytes]:
        """Return the part of the map around a rectangle, and a mask of the rectangle in it."""
        side = len(self._taken)
        left, top, width, height = cv2.boundingRect(corners)
        rows = slice(max(top + _MARGIN, 0), min(top + height + _MARGIN, side))
        columns = slice(max(left + _MARGIN, 0), min(left + width + _MARGIN, side))
        window = self._taken[rows, columns]
        mask = np.zeros(window.shape, np.uint8)
        cv2.fillConvexPoly(
            mask, np.rint(corners + np.array((_MARGIN - columns.start, _MARGIN - rows.start))).astype(np.int32), 1
        )
        return window, mask
