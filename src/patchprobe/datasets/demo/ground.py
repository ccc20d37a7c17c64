"""The ground of a street: road with markings, pavements, verges and what lies beyond."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.labels import GROUND, PARKING, ROAD, SIDEWALK, TERRAIN
from patchprobe.datasets.demo.scene import Canvas, Paint
from patchprobe.datasets.demo.solids import darker, pick
from patchprobe.datasets.demo.style import City
from patchprobe.datasets.demo.textures import Texture, blobs

Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Verge:
    """One side of a street, lengths in metres from the kerb outwards; ``line`` is where buildings stand."""

    half_road: float
    parking: float
    pavement: float
    green: float
    beyond: str  # "terrain", "pavement" or "ground"

    @property
    def kerb(self) -> float:
        """Distance of the kerb from the middle of the road."""
        return self.half_road + self.parking

    @property
    def line(self) -> float:
        """Distance of the building line from the middle of the road."""
        return self.kerb + self.pavement + self.green


@dataclass(frozen=True)
class Layout:
    """The plan of a street: x of the middle of the road, both sides, a crossing street if there is one, and the end."""

    middle: float
    left: Verge
    right: Verge
    crossing: tuple[float, float] | None
    end: float
    zebra: float | None

    def side(self, sign: int) -> Verge:
        """Return the left (-1) or right (1) side."""
        return self.left if sign < 0 else self.right

    def at(self, sign: int, distance: float) -> float:
        """Return the x at a distance from the middle of the road."""
        return self.middle + sign * distance


def draw_ground(canvas: Canvas, rng: np.random.Generator, city: City, layout: Layout) -> None:
    """Paint everything below the horizon."""
    camera = canvas.camera
    height, width = camera.shape
    plane = camera.ground()
    # Rows above the horizon at either end of a tilted one are not ground.
    top = max(int(camera.horizon - abs(camera.roll) * width) + 1, 0)
    v = np.arange(top, height, dtype=np.float32)[:, None]
    u = np.arange(width, dtype=np.float32)[None, :]
    inverse = plane.a + plane.b * u + plane.c * v
    ground = inverse > 1 / 400
    depth = 1 / np.maximum(inverse, 1 / 400)
    x, z = (u - camera.column) * (depth / camera.focal) - layout.middle, depth + camera.advance

    def paint(tag: tuple[int, int], look: Paint) -> int:
        return canvas.add(tag, plane, look)  # type: ignore[arg-type]

    cobbled = rng.random() < city.cobbled
    asphalt = Paint(
        darker(city.road_color, rng.uniform(0.85, 1.15)),
        Texture.COBBLES if cobbled else Texture.ASPHALT,
        rng.uniform(0.08, 0.2),
    )
    road = paint(ROAD, asphalt)
    flags = Paint(darker(city.paving_color, rng.uniform(0.85, 1.12)), city.paving, rng.uniform(0.06, 0.16))
    pavement, kerb = paint(SIDEWALK, flags), paint(SIDEWALK, Paint(darker(flags.color, rng.uniform(0.8, 1.3))))
    grass = Paint(
        pick(rng, ((88, 112, 52), (112, 122, 66), (136, 126, 84), (70, 96, 48), (120, 100, 72))),
        Texture.GRASS,
        rng.uniform(0.15, 0.35),
    )
    terrain = paint(TERRAIN, grass)
    area = np.full(ground.shape, road, np.int32)
    lot = Paint(darker(flags.color, rng.uniform(0.7, 1.0)), city.paving, 0.1)
    for sign, verge in ((-1, layout.left), (1, layout.right)):
        off = sign * x
        if verge.parking and rng.random() < 0.5:
            look = Paint(
                darker(asphalt.color, rng.uniform(0.85, 1.2)),
                Texture.COBBLES if rng.random() < 0.5 else Texture.ASPHALT,
                0.15,
            )
            bays = (off > verge.half_road) & (off <= verge.kerb)
            area[bays] = paint(PARKING if rng.random() < 0.4 else ROAD, look)
        area[off > verge.kerb] = pavement
        area[(off > verge.kerb) & (off < verge.kerb + 0.18)] = kerb
        if verge.green:
            inner = rng.random() < 0.4
            start = verge.kerb + (0.2 if inner else verge.pavement)
            area[(off > start) & (off < start + verge.green)] = terrain
        if verge.beyond != "pavement":
            area[off > verge.line] = terrain if verge.beyond == "terrain" else paint(GROUND, lot)
    if layout.crossing:
        near, far = layout.crossing
        crossing = (z > near) & (z < far)
        area[crossing] = road
    _markings(area, rng, x, z, layout, paint(ROAD, Paint(city.marking, Texture.ASPHALT, 0.12)), city)
    _stains(area, rng, x, z, road, paint(ROAD, asphalt._replace(color=darker(asphalt.color, rng.uniform(0.7, 0.9)))))
    if rng.random() < 0.4:
        litter = Paint(pick(rng, city.leaves), Texture.LEAVES, 0.3)
        _scatter(area, rng, x, z, {pavement: paint(SIDEWALK, litter), road: paint(ROAD, litter)})
    region = canvas.surface[top:]
    region[ground] = area[ground]


def _markings(
    area: npt.NDArray[np.int32],
    rng: np.random.Generator,
    x: npt.NDArray[np.floating],
    z: npt.NDArray[np.floating],
    layout: Layout,
    number: int,
    city: City,
) -> None:
    """Paint lines, a zebra crossing and stop lines on the road."""
    free = np.ones(x.shape, bool)
    if layout.crossing:
        free = (z < layout.crossing[0]) | (z > layout.crossing[1])
    lines = np.zeros(x.shape, bool)
    if rng.random() < 0.75:
        period, share = rng.uniform(3, 9), 1.0 if rng.random() < 0.25 else rng.uniform(0.3, 0.6)
        lines |= (np.abs(x) < 0.08) & ((z / period) % 1 < share)
    for sign, verge in ((-1, layout.left), (1, layout.right)):
        off = sign * x
        if rng.random() < 0.5:
            lines |= np.abs(off - verge.half_road + 0.25) < 0.07
        if verge.half_road > 6:
            lines |= (np.abs(off - verge.half_road / 2) < 0.07) & ((z / 5) % 1 < 0.4)
        if verge.parking and rng.random() < 0.6:
            lines |= (off > verge.half_road) & (off < verge.kerb) & (z % 5.5 < 0.12)
    lines &= free
    if layout.zebra is not None:
        zebra = (z > layout.zebra) & (z < layout.zebra + 3) & ((x / 1.0) % 1 < 0.5)
        stop = (z > layout.zebra - 1.4) & (z < layout.zebra - 1.0) & (x > 0)
        lines |= (zebra | stop) & (x > -layout.left.half_road) & (x < layout.right.half_road)
    np.copyto(area, number, where=lines & (z < 90))


def _stains(
    area: npt.NDArray[np.int32],
    rng: np.random.Generator,
    x: npt.NDArray[np.floating],
    z: npt.NDArray[np.floating],
    road: int,
    number: int,
) -> None:
    """Paint mended patches and manhole covers on the road."""
    for _ in range(rng.integers(0, 5)):
        cx, cz = rng.uniform(-4, 4), rng.uniform(4, 25)
        if rng.random() < 0.5:
            spot = (np.abs(x - cx) < rng.uniform(0.3, 1.2)) & (np.abs(z - cz) < rng.uniform(0.5, 4))
        else:
            spot = (x - cx) ** 2 + (z - cz) ** 2 < 0.35**2
        area[spot & (area == road)] = number


def _scatter(
    area: npt.NDArray[np.int32],
    rng: np.random.Generator,
    x: npt.NDArray[np.floating],
    z: npt.NDArray[np.floating],
    numbers: dict[int, int],
) -> None:
    """Strew leaves over the given surfaces."""
    bank, scale = blobs(), rng.uniform(20, 50)
    index = ((x * scale).astype(np.int32) & 511, (z * scale).astype(np.int32) & 511)
    strewn = (bank[index] > rng.uniform(0.9, 1.8)) & (z < 40)
    for below, above in numbers.items():
        area[strewn & (area == below)] = above
