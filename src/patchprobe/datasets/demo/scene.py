"""A scene being drawn: camera, surfaces with their label, and primitives that paint them from back to front.

Every pixel belongs to exactly one surface, and label, instance and colour are looked up by surface, so that they agree
to the pixel. World coordinates are metres: x to the right, y up from the ground, z forward from the camera.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.textures import Texture, blobs, patch

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Color = tuple[float, float, float]
NEAR = 0.8
GROUND, SIDE, FRONT = range(3)
SKY = 0


class Tag(NamedTuple):
    """What a surface shows: label id and instance id of Cityscapes; equal for stuff."""

    label: int
    instance: int


class Paint(NamedTuple):
    """How a surface looks: colour in 0..255, texture and its contrast, and light of its own (0 to 1) at night."""

    color: Color
    texture: Texture = Texture.SMOOTH
    contrast: float = 0.04
    glow: float = 0.0


class Plane(NamedTuple):
    """Inverse depth a + b u + c v at pixel column u and row v, how texture lies on it, and its normal."""

    a: float
    b: float
    c: float
    lie: int
    normal: tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along z: focal length and centre in px, height above ground in metres, roll as slope.

    ``advance`` is how many metres it has gone along the street since the street was planned, ``pan`` by how many px it
    has turned to the left: its centre is that much further right.
    """

    shape: tuple[int, int]
    focal: float
    height: float
    column: float
    horizon: float
    roll: float = 0.0
    advance: float = 0.0
    pan: float = 0.0

    def project(self, points: Points) -> npt.NDArray[np.float64]:
        """Return the pixel (column, row) of world points, (n, 3) -> (n, 2); what is behind NEAR is moved there."""
        scale = self.focal / np.maximum(points[:, 2], NEAR)
        u = self.column + points[:, 0] * scale
        v = self.horizon + self.roll * (u - self.column) - (points[:, 1] - self.height) * scale
        return np.stack((u, v), axis=1)

    def pixel(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return the pixel (column, row) of one world point, as :meth:`project` does."""
        scale = self.focal / max(z, NEAR)
        return self.column + x * scale, self.horizon + self.roll * x * scale - (y - self.height) * scale

    def ground(self) -> Plane:
        """Return the plane y = 0."""
        scale = self.focal * self.height
        offset = (self.roll * self.column - self.horizon) / scale
        return Plane(offset, -self.roll / scale, 1 / scale, GROUND, (0.0, 1.0, 0.0))

    def side(self, x: float) -> Plane:
        """Return the plane of constant x, seen from x = 0."""
        scale = self.focal * x
        return Plane(-self.column / scale, 1 / scale, 0.0, SIDE, (-np.sign(x), 0.0, 0.0))

    def front(self, z: float) -> Plane:
        """Return the plane of constant z, seen from the camera."""
        return Plane(1 / max(z, NEAR), 0.0, 0.0, FRONT, (0.0, 0.0, -1.0))


@dataclass(frozen=True)
class Light:
    """Light on surfaces: direction to the sun, and colours of sun and sky as factors per channel."""

    direction: tuple[float, float, float]
    sun: Color
    ambient: Color
    night: float = 0.0

    def on(self, normal: tuple[float, float, float]) -> Color:
        """Return the factors of a matt surface, more ambient light from above than from below."""
        facing = max(0.0, sum(a * b for a, b in zip(self.direction, normal, strict=True)))
        open_sky = 0.8 + 0.2 * normal[1]
        r, g, b = (a * open_sky + s * facing for a, s in zip(self.ambient, self.sun, strict=True))
        return r, g, b


@dataclass(frozen=True)
class Scene:
    """A finished scene: image uint8 (height, width, 3) RGB, label ids uint8 and instance ids uint16 (height, width)."""

    image: npt.NDArray[np.uint8]
    label_ids: npt.NDArray[np.uint8]
    instance_ids: npt.NDArray[np.uint16]


class Face(NamedTuple):
    """A flat part of a solid in its own coordinates (x forward, y up, z to its left): corners (n, 3) and details on it.

    A face without a normal is seen from both sides.
    """

    corners: Sequence[Sequence[float]]
    paint: Paint
    normal: tuple[float, float, float] | None = None
    details: Sequence[tuple[Sequence[Sequence[float]], Paint]] = ()
    tag: Tag | None = None


@dataclass
class Canvas:
    """The surfaces of a scene, painted from back to front.

    ``film`` is for the pictures of a video: things then look the same in all of them, also where a part is out of sight,
    and of each countable one ``silhouettes`` has what it would show if nothing stood before it, uint8 (height, width)
    by instance id; ``cut`` has the ids of those that reach beyond the picture.
    """

    camera: Camera
    light: Light
    rng: np.random.Generator
    film: bool = False
    surface: npt.NDArray[np.int32] = field(init=False)
    shadow: npt.NDArray[np.uint8] = field(init=False)
    contact: npt.NDArray[np.uint8] = field(init=False)
    rows: list[tuple[float, ...]] = field(default_factory=list)
    glows: list[tuple[float, float, float, Color]] = field(default_factory=list)
    silhouettes: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    _lit: dict[tuple[float, float, float], Color] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.surface = np.zeros(self.camera.shape, np.int32)
        self.shadow = np.zeros(self.camera.shape, np.uint8)
        self.contact = np.zeros(self.camera.shape, np.uint8)

    def part(self, rng: np.random.Generator) -> np.random.Generator:
        """Return the generator of a part of a thing: in a film one of its own, that only this part takes numbers from."""
        return np.random.Generator(np.random.PCG64(int(rng.integers(2**62)))) if self.film else rng

    def add(
        self, tag: Tag, plane: Plane, paint: Paint, *, shade: float = 1.0, gradient: float = 0.0, x: float = 0.0
    ) -> int:
        """Register a surface and return its number.

        ``gradient`` is the relative change of brightness over 100 rows, ``x`` where its texture begins, in metres.
        """
        factors = self._lit.get(plane.normal)
        if factors is None:
            factors = self._lit[plane.normal] = self.light.on(plane.normal)
        glow = paint.glow * self.light.night
        shade *= 1 - glow
        r, g, b = (c * (shade * factor + glow) for c, factor in zip(paint.color, factors, strict=True))
        self.rows.append((*tag, r, g, b, paint.texture, paint.contrast, *plane[:4], gradient / 100, x))
        return len(self.rows) - 1

    def polygon(self, corners: Sequence[Sequence[float]], number: int) -> None:
        """Fill a polygon of world points with a surface."""
        self.outline([self.camera.pixel(*corner) for corner in corners], number)

    def outline(self, pixels: Sequence[Sequence[float]] | Points, number: int) -> None:
        """Fill a polygon of pixels (column, row) with a surface."""
        cv2.fillPoly(self.surface, [_whole(np.array(pixels))], number)

    def window(self, corners: Points) -> tuple[slice, slice] | None:
        """Return the rows and columns of the picture that the projection of world points spans, None if outside."""
        pixels = self.camera.project(corners)
        (left, top), (right, bottom) = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int) + 1
        height, width = self.camera.shape
        top, bottom, left, right = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
        return None if top >= bottom or left >= right else (slice(top, bottom), slice(left, right))

    def solid(self, faces: Sequence[Face], tag: Tag, x: float, z: float, yaw: float, y: float = 0.0) -> None:
        """Draw a solid that stands at (x, y, z) and is turned by ``yaw`` (0: facing along +z), far faces first."""
        corners = [face.corners for face in faces]
        details = [detail for face in faces for detail, _ in face.details]
        local = np.array([corner for part in (*corners, *details) for corner in part])
        cos, sin = math.cos(yaw), math.sin(yaw)
        # Forward (local x) is +z turned by yaw to the right, left (local z) is -x.
        world = np.stack(
            (x + local[:, 0] * sin - local[:, 2] * cos, y + local[:, 1], z + local[:, 0] * cos + local[:, 2] * sin),
            axis=1,
        )
        if world[:, 2].max() < NEAR:
            return
        pixels = _whole(self.camera.project(world))
        ends = list(accumulate(len(c) for c in (*corners, *details)))
        starts = [0, *ends[:-1]]
        first_detail, order = len(faces), []
        for i, face in enumerate(faces):
            px, py, pz = world[starts[i] : ends[i]].sum(0).tolist()
            n = ends[i] - starts[i]
            px, py, pz = px / n, py / n - self.camera.height, pz / n
            normal = (0.0, 0.0, -1.0)
            if face.normal is not None:
                a, b, c = face.normal
                normal = (a * sin - c * cos, b, a * cos + c * sin)
            if face.normal is None or px * normal[0] + py * normal[1] + pz * normal[2] < 0:
                order.append((-(px * px + py * py + pz * pz), i, first_detail, normal))
            first_detail += len(face.details)
        front, start = self.camera.front(z), x if self.film else 0.0
        for _, i, detail, normal in sorted(order):
            face = faces[i]
            plane = front._replace(normal=normal)
            own = face.tag or tag
            parts = [(i, face.paint), *((j, paint) for j, (_, paint) in enumerate(face.details, start=detail))]
            for j, paint in parts:
                outline = pixels[starts[j] : ends[j]]
                cv2.fillPoly(self.surface, [outline], self.add(own, plane, paint, x=start))
                if self.film and own.instance >= 1000:
                    self._record(own.instance, outline)

    def _record(self, instance: int, outline: npt.NDArray[np.int32]) -> None:
        """Add a polygon to the silhouette of a thing."""
        silhouette = self.silhouettes.setdefault(instance, np.zeros(self.camera.shape, np.uint8))
        cv2.fillPoly(silhouette, [outline], 1)
        height, width = self.camera.shape
        if outline.min() < 0 or outline[:, 0].max() >= width or outline[:, 1].max() >= height:
            self.cut.add(instance)

    def cast(self, x: float, z: float, length: float, width: float, height: float, yaw: float = 0.0) -> None:
        """Darken the ground under a box and where it keeps the sun off."""
        cos, sin = math.cos(yaw), math.sin(yaw)
        base = [
            (x + a * length / 2 * sin - b * width / 2 * cos, z + a * length / 2 * cos + b * width / 2 * sin)
            for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
        ]
        dx, dy, dz = self.light.direction
        reach = min(height / max(dy, 0.15), 4 * height)
        if self.light.sun[0] > 0.15:
            self._darken([*base, *((x - dx * reach, z - dz * reach) for x, z in base)], self.shadow)
        self._darken(base, self.contact)

    def tones(self, tag: Tag, z: float, paints: Sequence[Paint]) -> npt.NDArray[np.int32]:
        """Register surfaces for :meth:`crown` at a depth, from shaded to lit."""
        plane = self.camera.front(z)._replace(normal=(0.0, 0.7, -0.7))
        return np.array([self.add(tag, plane, paint) for paint in paints], np.int32)

    def crown(
        self,
        tones: npt.NDArray[np.int32],
        middle: tuple[float, float, float],
        size: tuple[float, float],
        gaps: float,
    ) -> None:
        """Paint an irregular round mass such as leaves: middle in the world, half width and half height in metres.

        ``gaps`` (0 to 1) is how ragged the edge is.
        """
        z, rng = middle[2], self.part(self.rng)
        if z < NEAR:
            return
        scale = self.camera.focal / z
        u, v = self.camera.pixel(*middle)
        half_width, half_height = size[0] * scale, size[1] * scale
        reach = 1 + gaps
        above, before = int(v - reach * half_height), int(u - reach * half_width)
        top, bottom = max(above, 0), min(int(v + reach * half_height) + 2, self.surface.shape[0])
        left, right = max(before, 0), min(int(u + reach * half_width) + 2, self.surface.shape[1])
        if top >= bottom or left >= right:
            return
        # About eight blobs of noise across, at least a texel for each pixel.
        step = max(max(half_width, half_height) / 90, 0.25)
        start = (top - above, left - before) if self.film else (0, 0)
        rough = patch(blobs(), bottom - top, right - left, step, rng, start)
        across = (np.arange(left, right, dtype=np.float32) - u) / max(half_width, 0.5)
        down = (np.arange(top, bottom, dtype=np.float32) - v) / max(half_height, 0.5)
        distance = (down * down)[:, None] + (across * across)[None, :]
        inside = distance + np.float32(gaps) * rough < 1
        lit = (0.5 - 0.45 * down)[:, None] + (0.35 * self.light.direction[0] * across)[None, :] + 0.3 * rough
        tone = (lit * len(tones)).astype(np.int32).clip(0, len(tones) - 1)
        region = self.surface[top:bottom, left:right]
        np.copyto(region, tones[tone], where=inside)

    def _darken(self, base: Sequence[tuple[float, float]], layer: npt.NDArray[np.uint8]) -> None:
        seen = [self.camera.pixel(x, 0.0, z) for x, z in base if z > NEAR]
        if len(seen) >= 3:
            cv2.fillConvexPoly(layer, cv2.convexHull(_whole(np.array(seen))), 1)


def _whole(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return whole pixels; corners far outside are moved nearer, since OpenCV counts in 16 bits and a fraction."""
    return np.rint(np.minimum(np.maximum(pixels, -8000), 8000)).astype(np.int32)
