"""Buildings, walls and fences along the street."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.labels import BUILDING, FENCE, WALL
from patchprobe.datasets.demo.scene import NEAR, SIDE, Canvas, Color, Paint, Plane
from patchprobe.datasets.demo.solids import GLASS_TONES, darker, pick
from patchprobe.datasets.demo.style import City, draw_color
from patchprobe.datasets.demo.textures import Texture

_AWNINGS: tuple[Color, ...] = (
    (160, 40, 40),
    (40, 90, 60),
    (50, 70, 120),
    (200, 170, 90),
    (60, 60, 62),
    (215, 210, 200),
)
_ROOFS: tuple[Color, ...] = ((120, 62, 46), (92, 52, 44), (74, 76, 82), (58, 60, 64), (140, 84, 60))


@dataclass(frozen=True)
class _Front:
    """How a facade is divided; lengths in metres, window sizes as shares of bay and storey."""

    paint: Paint
    bay: float
    storey: float
    plinth: float
    width: float
    height: float
    sill: float
    frame: Paint
    panes: tuple[Paint, ...]
    shop: bool
    bands: bool
    ribbon: bool
    balconies: bool


def building(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z0: float, z1: float) -> None:
    """Draw a building from z0 to z1 with its street side in the plane of constant x; its end faces the camera."""
    if z1 < NEAR:
        return
    front = _front(rng, city, canvas.light.night)
    storeys = max(1, round(rng.uniform(*city.storeys)))
    height = front.plinth + storeys * front.storey + rng.uniform(0, 0.5)
    deep = np.sign(x) * rng.uniform(8, 14)
    ends, side, top = (canvas.part(rng) for _ in range(3))
    if z0 > NEAR + 0.5:
        end = _Front(**{**front.__dict__, "shop": False, "balconies": False})
        blind = ends.random() < 0.4
        _facade(canvas, ends, canvas.camera.front(z0), (x, x + deep), height, z0, end, blind=blind)
    # Windows are counted from where the building came into sight.
    start = max(z0, NEAR - canvas.camera.advance)
    _facade(canvas, side, canvas.camera.side(x), (start, z1), height, x, front)
    if top.random() < 0.6:
        _roof(canvas, top, x, deep, max(z0, NEAR), z1, height)


def block(canvas: Canvas, rng: np.random.Generator, city: City, x0: float, x1: float, z: float) -> None:
    """Draw a building that faces the camera, from x0 to x1 at depth z."""
    front = _front(rng, city, canvas.light.night)
    height = front.plinth + max(1, round(rng.uniform(*city.storeys))) * front.storey
    _facade(canvas, canvas.part(rng), canvas.camera.front(z), (x0, x1), height, z, front)
    if rng.random() < 0.5:
        paint = Paint(pick(rng, _ROOFS), Texture.PLANKS, 0.12)
        number = canvas.add(BUILDING, canvas.camera.front(z), paint)
        slope, rise = min(2.5, (x1 - x0) / 4), rng.uniform(1.5, 3.5)
        canvas.polygon(
            [(x0, height, z), (x1, height, z), (x1 - slope, height + rise, z), (x0 + slope, height + rise, z)], number
        )


def barrier(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, *, fence: bool) -> None:
    """Draw a wall or a fence along the street."""
    z0, height = max(z0, NEAR), rng.uniform(0.9, 2.0) if fence else rng.uniform(0.6, 2.6)
    corners = [(x, 0, z0), (x, 0, z1), (x, height, z1), (x, height, z0)]
    plane = canvas.camera.side(x)
    if not fence:
        texture = (Texture.BRICK, Texture.STONE, Texture.PLASTER, Texture.COBBLES)[rng.integers(4)]
        color = pick(rng, ((150, 85, 66), (160, 155, 145), (130, 126, 120), (196, 190, 178), (108, 104, 100)))
        canvas.polygon(corners, canvas.add(WALL, plane, Paint(color, texture, 0.16), gradient=-0.3))
        coping = canvas.add(WALL, plane, Paint(darker(color, rng.uniform(0.7, 1.25))))
        canvas.polygon([(x, height, z0), (x, height, z1), (x, height - 0.12, z1), (x, height - 0.12, z0)], coping)
        return
    bars = Paint(
        pick(rng, ((60, 62, 60), (120, 90, 62), (150, 150, 150), (52, 76, 60), (205, 200, 190))), Texture.SMOOTH, 0.05
    )
    gaps = Paint(darker(bars.color, rng.uniform(0.35, 0.7)), Texture.LEAVES, 0.2)
    number = canvas.add(FENCE, plane, gaps)
    canvas.polygon(corners, number)
    region = _region(canvas, plane, np.array(corners, float), x, number)
    if region is None:
        return
    area, inside, along, up = region
    pitch, share = rng.uniform(0.12, 0.5), rng.uniform(0.3, 0.6)
    along = along + canvas.camera.advance
    solid = (along / pitch) % 1 < share
    rails = (np.abs(up - 0.2) < 0.06) | (np.abs(up - height + 0.1) < 0.06)
    posts = along % 2.5 < 0.14
    np.copyto(area, canvas.add(FENCE, plane, bars), where=inside & (solid | rails | posts))


def _front(rng: np.random.Generator, city: City, night: float) -> _Front:
    texture = city.wall_textures[rng.integers(len(city.wall_textures))]
    paint = Paint(draw_color(rng, city.walls), texture, rng.uniform(0.05, 0.16))
    glass = pick(rng, GLASS_TONES)
    lit = Paint((238, 205, 140), Texture.SMOOTH, 0.15, rng.uniform(0.5, 1.0))
    curtain = Paint(pick(rng, ((190, 188, 180), (160, 150, 138), (120, 124, 130))), Texture.SMOOTH, 0.15)
    dark = Paint(glass, Texture.SMOOTH, 0.25)
    panes = (
        dark,
        Paint(darker(glass, 1.5), Texture.SMOOTH, 0.2),
        curtain,
        lit if night and rng.random() < 0.8 else dark,
    )
    ribbon = rng.random() < 0.2
    return _Front(
        paint=paint,
        bay=city.bay * rng.uniform(0.8, 1.3),
        storey=city.storey * rng.uniform(0.92, 1.1),
        plinth=rng.uniform(0.2, 1.0),
        width=rng.uniform(0.35, 0.65),
        height=rng.uniform(0.4, 0.68),
        sill=rng.uniform(0.2, 0.3),
        frame=Paint(darker(paint.color, rng.uniform(0.6, 1.35)), Texture.SMOOTH, 0.03),
        panes=panes,
        shop=rng.random() < 0.4,
        bands=rng.random() < 0.4,
        ribbon=ribbon,
        balconies=not ribbon and rng.random() < 0.25,
    )


def _facade(
    canvas: Canvas,
    rng: np.random.Generator,
    plane: Plane,
    extent: tuple[float, float],
    height: float,
    place: float,
    front: _Front,
    *,
    blind: bool = False,
) -> None:
    start, end = extent
    ends = [(start, 0.0), (end, 0.0), (end, height), (start, height)]
    corners = np.array([(place, y, s) if plane.lie == SIDE else (s, y, place) for s, y in ends])
    number = canvas.add(BUILDING, plane, front.paint, gradient=rng.uniform(-0.3, 0.1))
    canvas.polygon(corners.tolist(), number)
    region = _region(canvas, plane, corners, place, number)
    near = min(extent) if plane.lie == SIDE else place
    # Storeys of less than four pixels are left plain.
    if region is None or blind or front.storey * canvas.camera.focal < 4 * near:
        return
    area, inside, along, up = region
    bay = (along - min(start, end)) / front.bay
    floor = (up - front.plinth) / front.storey
    column, row = np.floor(bay).astype(np.int32), np.floor(floor).astype(np.int32)
    across, rise = bay - column, floor - row
    upper = (row >= 0) & (up < height - 0.25)
    half = 0.5 if front.ribbon else front.width / 2
    off, above = np.abs(across - 0.5), rise - front.sill
    if front.bands:
        np.copyto(area, canvas.add(BUILDING, plane, front.frame), where=inside & upper & (rise > 0.94))
    frame = inside & upper & (off < half + 0.05) & (above > -0.05) & (above < front.height + 0.05)
    np.copyto(area, canvas.add(BUILDING, plane, front.frame), where=frame)
    pane = frame & (off < half - 0.01) & (above > 0) & (above < front.height)
    pane &= (off > 0.02) | (front.width < 0.45)
    tones = rng.integers(0, len(front.panes), (32, 64))
    numbers = np.array([canvas.add(BUILDING, plane, paint) for paint in front.panes], np.int32)
    np.copyto(area, numbers[tones[row & 31, column & 63]], where=pane)
    if front.balconies:
        rail = (
            inside
            & (row >= 1)
            & (up < height - 0.5)
            & (rise < 0.3)
            & (across > 0.1)
            & (across < 0.9)
            & (column % 2 == 0)
        )
        np.copyto(
            area, canvas.add(BUILDING, plane, Paint(darker(front.paint.color, 0.55), Texture.GRASS, 0.25)), where=rail
        )
    if front.shop:
        _shop(canvas, rng, plane, front, area, inside & (row < 1), across, up)


def _shop(
    canvas: Canvas,
    rng: np.random.Generator,
    plane: Plane,
    front: _Front,
    area: npt.NDArray[np.int32],
    inside: npt.NDArray[np.bool_],
    across: npt.NDArray[np.floating],
    up: npt.NDArray[np.floating],
) -> None:
    awning = Paint(pick(rng, _AWNINGS), Texture.PLANKS, 0.1, 0.4)
    np.copyto(area, canvas.add(BUILDING, plane, Paint(darker(front.paint.color, rng.uniform(0.5, 1.0)))), where=inside)
    glass = inside & (up > 0.4) & (up < 2.5) & (np.abs(across - 0.5) < 0.44)
    np.copyto(area, canvas.add(BUILDING, plane, Paint(pick(rng, GLASS_TONES), Texture.STONE, 0.3, 0.5)), where=glass)
    np.copyto(area, canvas.add(BUILDING, plane, awning), where=inside & (up > 2.5) & (up < 3.2))


def _roof(canvas: Canvas, rng: np.random.Generator, x: float, deep: float, z0: float, z1: float, height: float) -> None:
    rise, ridge = rng.uniform(1.5, 4), x + deep / 2
    side = canvas.camera.side(x)._replace(normal=(-float(np.sign(x)) * 0.6, 0.8, 0.0))
    gable = Paint(pick(rng, _ROOFS), Texture.PLANKS, 0.12)
    number = canvas.add(BUILDING, canvas.camera.front(z0), gable._replace(color=darker(gable.color, 1.2)))
    canvas.polygon([(x, height, z0), (x + deep, height, z0), (ridge, height + rise, z0)], number)
    number = canvas.add(BUILDING, side, gable)
    canvas.polygon([(x, height, z0), (x, height, z1), (ridge, height + rise, z1), (ridge, height + rise, z0)], number)


def _region(
    canvas: Canvas, plane: Plane, corners: npt.NDArray[np.float64], place: float, number: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], npt.NDArray[np.floating], npt.NDArray[np.floating]] | None:
    """Return the part of the canvas that a surface spans, where it is, and metres along and up at each pixel.

    None where it is too small for details.
    """
    window = canvas.window(corners)
    if window is None:
        return None
    rows, columns = window
    camera = canvas.camera
    u = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :]
    v = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    depth = 1 / np.maximum(plane.a + plane.b * u, 1e-3)
    up = (camera.horizon + camera.roll * (u - camera.column) - v) * (depth / camera.focal) + camera.height
    along = depth if plane.lie == SIDE else (u - camera.column) * (place / camera.focal)
    area = canvas.surface[window]
    if area.shape[0] * area.shape[1] < 60:
        return None
    return area, area == number, np.broadcast_to(along, area.shape), up
