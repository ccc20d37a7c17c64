"""Drawing a plan: courts, roads, buildings, trees and what lies about; planes, ships and vehicles have their own module."""

from collections.abc import Callable

import numpy as np

from patchprobe.datasets.demo.aerial import SUPERCATEGORIES, Plan, Thing
from patchprobe.datasets.demo.aerial_canvas import Canvas, Color, Material, Pen, Rows
from patchprobe.datasets.demo.aerial_movers import airliner, pick, propeller_plane, scaled, ship, varied, vehicle

_LINE, _ASPHALT = (232, 232, 226), (96, 97, 99)


def paint(plan: Plan) -> Canvas:
    """Draw areas and things, the lower ones first."""
    canvas = Canvas(plan.size, plan.light)
    for area in plan.areas:
        if area.width:
            canvas.line(area.points, area.width, area.color, area.material)
        else:
            canvas.polygon(area.points, area.color, area.material)
        if area.rows:
            canvas.rows.append(Rows(area.points, *area.rows))
    for thing in sorted(plan.things, key=lambda thing: thing.layer):
        _draw(Pen(canvas, thing.x, thing.y, thing.angle), thing)
    return canvas


def _draw(pen: Pen, thing: Thing) -> None:
    kind, length, width, rng = thing.kind, thing.length, thing.width, np.random.default_rng(thing.seed)
    if kind == "other-airplane":
        propeller_plane(pen, length, width, rng)
    elif kind in SUPERCATEGORIES["Airplane"]:
        airliner(pen, kind, length, width)
    elif kind in SUPERCATEGORIES["Ship"]:
        ship(pen, kind, length, width, rng)
    elif kind in SUPERCATEGORIES["Vehicle"]:
        vehicle(pen, kind, length, width, rng)
    else:
        _FIXED[kind](pen, length, width, rng)


def _frame(pen: Pen, u: tuple[float, float], v: tuple[float, float], width: float = 1.0, color: Color = _LINE) -> None:
    """Draw the outline of a rectangle within it."""
    for first, last in ((v[0], v[0] + width), (v[1] - width, v[1])):
        pen.box(u, (first, last), color)
    for first, last in ((u[0], u[0] + width), (u[1] - width, u[1])):
        pen.box((first, last), v, color)


def _arc(pen: Pen, u: float, v: float, radius: float, start: float, end: float, width: float = 0.9) -> None:
    angles = np.linspace(start, end, 18)
    pen.line(np.stack((u + radius * np.cos(angles), v + radius * np.sin(angles)), 1), width, _LINE)


def _basketball(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    floor = pick(((186, 96, 66), (178, 84, 64), (196, 112, 72)), rng)
    a, b = length / 2, width / 2
    pen.box((-a, a), (-b, b), floor)
    for sign in (-1, 1):
        ends = sorted((sign * a * 0.92, sign * a * 0.55))
        pen.box((ends[0], ends[1]), (-0.3 * b, 0.3 * b), pick(((54, 96, 140), (60, 120, 92)), rng))
        _arc(
            pen,
            sign * a * 0.86,
            0,
            0.68 * b,
            np.pi / 2 if sign > 0 else -np.pi / 2,
            3 * np.pi / 2 if sign > 0 else np.pi / 2,
        )
        pen.box((sign * a * 0.9 - 0.6, sign * a * 0.9 + 0.6), (-0.12 * b, 0.12 * b), (244, 244, 240))
    _frame(pen, (-0.92 * a, 0.92 * a), (-0.86 * b, 0.86 * b))
    pen.box((-0.45, 0.45), (-0.86 * b, 0.86 * b), _LINE)
    _arc(pen, 0, 0, 0.26 * b, 0, 2 * np.pi)


def _tennis(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    apron, floor = [((62, 112, 84), (52, 92, 150)), ((70, 120, 96), (46, 78, 138)), ((58, 104, 78), (98, 140, 92))][
        int(rng.integers(3))
    ]
    a, b = length / 2, width / 2
    pen.box((-a, a), (-b, b), varied(apron, rng, 4))
    pen.box((-0.68 * a, 0.68 * a), (-0.62 * b, 0.62 * b), varied(floor, rng, 4))
    _frame(pen, (-0.68 * a, 0.68 * a), (-0.62 * b, 0.62 * b))
    for sign in (-1, 1):
        pen.box((-0.68 * a, 0.68 * a), (sign * 0.46 * b - 0.4, sign * 0.46 * b + 0.4), _LINE)
        pen.box((sign * 0.36 * a - 0.4, sign * 0.36 * a + 0.4), (-0.46 * b, 0.46 * b), _LINE)
    pen.box((-0.36 * a, 0.36 * a), (-0.4, 0.4), _LINE)
    pen.box((-0.5, 0.5), (-0.72 * b, 0.72 * b), (40, 44, 46), height=1)


def _football(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    a, b = length / 2, width / 2
    grass = varied((78, 132, 62), rng, 5)
    pen.box((-a, a), (-b, b), grass, material=Material.GRASS)
    for stripe in range(0, 10, 2):
        u = -a + stripe * length / 10
        pen.box((u, u + length / 10), (-b, b), scaled(grass, 1.13), material=Material.GRASS)
    _frame(pen, (-0.95 * a, 0.95 * a), (-0.93 * b, 0.93 * b))
    pen.box((-0.5, 0.5), (-0.93 * b, 0.93 * b), _LINE)
    _arc(pen, 0, 0, 0.26 * b, 0, 2 * np.pi)
    for sign in (-1, 1):
        for depth, half in ((0.3, 0.55), (0.11, 0.26)):
            ends = sorted((sign * 0.95 * a, sign * (0.95 - depth) * a))
            _frame(pen, (ends[0], ends[1]), (-half * b, half * b), 0.9)


def _baseball(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    home, soil = -length / 2, varied((176, 128, 86), rng)

    def fan(radius: float, color: Color, material: Material, start: float = 0.0) -> None:
        """Draw a quarter of a disc around home plate."""
        angles = np.linspace(-np.pi / 4, np.pi / 4, 16)
        rim = np.stack((home + start + radius * np.cos(angles), radius * np.sin(angles)), 1)
        pen.polygon(np.concatenate((((home + start, 0.0),), rim)), color, material=material)

    fan(length, soil, Material.SOIL)
    fan(length - 3.5, varied((84, 136, 66), rng, 5), Material.GRASS, 1.0)
    fan(0.52 * length, soil, Material.SOIL)
    side = 0.29 * length
    pen.polygon(
        [
            (home + 4, 0),
            (home + 4 + side / 1.4, side / 1.4),
            (home + 4 + 1.42 * side, 0),
            (home + 4 + side / 1.4, -side / 1.4),
        ],
        (92, 144, 70),
        material=Material.GRASS,
    )
    pen.disc(home + 4 + 0.7 * side, 0, 1.7, soil)
    for sign in (-1, 1):
        pen.line([(home + 1.5, sign * 0.5), (home + 0.69 * length, sign * 0.675 * length)], 0.7, _LINE)
    for u, v in ((2.6, 0.0), (0.52 * side + 4, 0.9 * side), (0.52 * side + 4, -0.9 * side), (1.65 * side + 4, 0.0)):
        pen.disc(home + u, v, 0.9, (246, 246, 242))


def _intersection(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    a, half = length / 2, 11.0
    tone = varied(_ASPHALT, rng, 4)
    pen.box((-a, a), (-half, half), tone, material=Material.ASPHALT)
    pen.box((-half, half), (-a, a), tone, material=Material.ASPHALT)
    pen.box((-half - 3, half + 3), (-half - 1.2, half + 1.2), tone, material=Material.ASPHALT)
    pen.box((-half - 1.2, half + 1.2), (-half - 3, half + 3), tone, material=Material.ASPHALT)
    for sign in (-1, 1):
        low, high = sorted((sign * (half + 3.5), sign * (half + 9)))
        for v in np.arange(-half + 1, half - 1, 3.4):
            pen.box((low, high), (v, v + 1.7), _LINE)
            pen.box((v, v + 1.7), (low, high), _LINE)
        stop = sign * (half + 10.2)
        pen.box((stop - 0.6, stop + 0.6), (0, half - 1) if sign < 0 else (1 - half, 0), _LINE)
        pen.box((1 - half, 0) if sign < 0 else (0, half - 1), (stop - 0.6, stop + 0.6), _LINE)


def _roundabout(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    radius = length / 2
    pen.disc(0, 0, radius, (176, 174, 168), material=Material.CONCRETE)
    pen.disc(0, 0, radius - 1.2, varied(_ASPHALT, rng, 4), material=Material.ASPHALT)
    for angle in np.arange(0, 2 * np.pi, np.pi / 12):
        points = [((0.76 * radius) * np.cos(turn), (0.76 * radius) * np.sin(turn)) for turn in (angle, angle + 0.12)]
        pen.line(points, 0.8, _LINE)
    pen.disc(0, 0, 0.53 * radius, (204, 200, 190), material=Material.CONCRETE)
    pen.disc(0, 0, 0.48 * radius, varied((92, 134, 66), rng), material=Material.GRASS)
    if rng.random() < 0.5:
        pen.disc(0, 0, 0.2 * radius, (190, 182, 168), material=Material.CONCRETE)
        pen.disc(0, 0, 0.13 * radius, (96, 156, 176), height=1)
    else:
        for angle in np.arange(0, 2 * np.pi, 1.05):
            _crown(pen, 0.3 * radius * np.cos(angle), 0.3 * radius * np.sin(angle), 3.0, rng)


def _bridge(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    a, b = length / 2, width / 2
    side = pick(((206, 202, 192), (188, 186, 180), (150, 108, 90)), rng)
    pen.box((-a, a), (-b, b), side, height=5, material=Material.CONCRETE)
    pen.box((-a, a), (-b + 1.8, b - 1.8), varied((112, 112, 112), rng, 4), material=Material.ASPHALT)
    for u in np.arange(-a + 3, a - 3, 8.0):
        pen.box((u, u + 4), (-0.4, 0.4), _LINE)
    for u in (-a, a - 1.6):
        pen.box((u, u + 1.6), (-b, b), scaled(side, 0.7))
    if rng.random() < 0.4:
        for u in np.linspace(-0.7 * a, 0.7 * a, 6):
            pen.both([(u, b - 1.6), (u + 1.4, b - 1.6), (u + 1.4, b), (u, b)], scaled(side, 0.6), height=2)


_ROOFS = ((164, 88, 66), (150, 78, 60), (126, 116, 108), (104, 92, 84), (178, 104, 74), (96, 102, 110))


def _house(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a roof whose slopes are as bright as they are turned to the sun."""
    a, b, roof = length / 2, width / 2, pick(_ROOFS, rng)
    pen.box((-a, a), (-b, b), scaled(roof, 0.7), height=7)
    ridge = a - b if rng.random() < 0.6 else a
    for sign in (-1, 1):
        lit = scaled(roof, 1 + 0.3 * pen.facing(0, sign))
        pen.polygon([(-ridge, 0), (ridge, 0), (a, sign * b), (-a, sign * b)], lit, material=Material.ROOF)
        end = scaled(roof, 1 + 0.3 * pen.facing(sign, 0))
        pen.polygon([(sign * ridge, 0), (sign * a, b), (sign * a, -b)], end, material=Material.ROOF)
    u = rng.uniform(-0.5, 0.3) * a
    pen.box((u, u + 2), (0.25 * b, 0.25 * b + 2), (120, 80, 68), height=2)


def _flat(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a flat roof with a parapet, stair heads and machines."""
    a, b = length / 2, width / 2
    roof = pick(((168, 164, 158), (148, 146, 144), (190, 186, 178), (132, 126, 122), (176, 160, 144)), rng)
    pen.box((-a, a), (-b, b), scaled(roof, 1.18), height=float(rng.uniform(11, 20)), material=Material.ROOF)
    pen.box((1.6 - a, a - 1.6), (1.6 - b, b - 1.6), roof, material=Material.ROOF)
    pen.polygon(
        [(1.6 - a, 1.6 - b), (a - 1.6, 1.6 - b), (a - 1.6, 3 - b), (3 - a, b - 1.6), (1.6 - a, b - 1.6)],
        scaled(roof, 0.9),
        material=Material.ROOF,
    )
    for _ in range(int(length * width / 160)):
        u, v = rng.uniform(-0.75, 0.65) * a, rng.uniform(-0.6, 0.4) * b
        size = rng.uniform(2, 5, 2)
        tone = pick(((206, 208, 208), (110, 112, 114), (184, 180, 172)), rng)
        pen.box((u, u + size[0]), (v, v + size[1]), tone, height=1.5)


def _hall(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a hall with a ribbed metal roof, a ridge and skylights."""
    a, b = length / 2, width / 2
    roof = pick(((66, 112, 170), (86, 128, 172), (196, 198, 198), (222, 222, 218), (152, 156, 158), (178, 92, 78)), rng)
    pen.box((-a, a), (-b, b), roof, height=9, material=Material.ROOF)
    for sign in (-1, 1):
        lit = scaled(roof, 1 + 0.1 * pen.facing(0, sign))
        pen.box((-a, a), (0, b) if sign > 0 else (-b, 0), lit, material=Material.ROOF)
        for u in np.arange(-a + 3, a - 1, 4.0):
            pen.box((u, u + 0.8), (0, b) if sign > 0 else (-b, 0), scaled(lit, 0.93), material=Material.ROOF)
    pen.box((-a, a), (-0.7, 0.7), scaled(roof, 0.82))
    if rng.random() < 0.6:
        for u in np.arange(-0.8 * a, 0.75 * a, 13.0):
            pen.both([(u, 0.35 * b), (u + 5, 0.35 * b), (u + 5, 0.6 * b), (u, 0.6 * b)], scaled(roof, 0.7))


def _tank(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    radius, roof = length / 2, pick(((226, 226, 220), (206, 206, 200), (130, 150, 160)), rng)
    pen.disc(0, 0, radius, scaled(roof, 0.8), height=0.5 * radius)
    pen.disc(0, 0, radius - 1.2, roof)
    for angle in np.arange(0, np.pi, np.pi / 4):
        u, v = (radius - 2) * np.cos(angle), (radius - 2) * np.sin(angle)
        pen.line([(-u, -v), (u, v)], 0.5, scaled(roof, 0.9))
    pen.disc(0, 0, 1.6, scaled(roof, 0.7), height=1)


def _stack(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a block of containers, side by side and end to end."""
    colors = ((170, 62, 48), (48, 92, 148), (56, 120, 84), (196, 190, 180), (198, 134, 50), (110, 74, 60))
    for u in np.arange(-length / 2, length / 2 - 12, 16.0):
        for v in np.arange(-width / 2, width / 2 - 5, 6.0):
            if rng.random() < 0.9:
                color = pick(colors, rng)
                high = float(rng.integers(1, 4)) * 2
                pen.box((u, u + 15.2), (v, v + 5.5), color, height=high)
                pen.box((u + 0.8, u + 1.6), (v, v + 5.5), scaled(color, 0.8))


def _crane(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a portal crane whose boom reaches over the water."""
    a, b = length / 2, width / 2
    paint = pick(((52, 108, 170), (206, 84, 44), (214, 168, 40)), rng)
    for v in (-b, b - 1.6):
        pen.box((-a, -0.1 * a), (v, v + 1.6), scaled(paint, 0.8), height=9)
    for u in (-a, -0.55 * a, -0.1 * a - 1.6):
        pen.box((u, u + 1.6), (-b, b), paint, height=11)
    for v in (-2.4, 1.2):
        pen.box((-a, a), (v, v + 1.2), paint, height=14)
    for u in np.arange(-a, a - 1, 5.0):
        pen.box((u, u + 0.9), (-2.2, 2.2), paint)
    pen.box((-0.7 * a, -0.45 * a), (-2.6, 2.6), (214, 214, 208), height=3)


_GREEN: tuple[Color, ...] = ((58, 92, 46), (70, 102, 50), (48, 80, 44), (82, 106, 54), (62, 88, 56))
_AUTUMN: tuple[Color, ...] = ((150, 108, 52), (134, 84, 48), (158, 134, 62), (108, 104, 56), (82, 98, 56))
_SHRUBS: tuple[Color, ...] = ((78, 84, 56), (92, 92, 64), (66, 76, 50), (104, 98, 70))


def _crown(
    pen: Pen, u: float, v: float, radius: float, rng: np.random.Generator, colors: tuple[Color, ...] = _GREEN
) -> None:
    """Draw the crown of a tree, lighter towards the sun."""
    color = pick(colors, rng)
    pen.disc(u, v, 0.8 * radius, color, height=1.1 * radius, material=Material.LEAVES)
    sun = pen.facing(1, 0), pen.facing(0, 1)
    angles = rng.uniform(0, 6.28) + np.arange(5) * 1.257
    for angle in angles.tolist():
        away = (np.cos(angle), np.sin(angle))
        lit = scaled(color, 1 + 0.2 * (away[0] * sun[0] + away[1] * sun[1]))
        pen.disc(u + 0.52 * radius * away[0], v + 0.52 * radius * away[1], 0.46 * radius, lit, material=Material.LEAVES)
    top = scaled(color, 1.16)
    pen.disc(u + 0.2 * radius * sun[0], v + 0.2 * radius * sun[1], 0.42 * radius, top, material=Material.LEAVES)


def _plant(colors: tuple[Color, ...]) -> Callable[[Pen, float, float, np.random.Generator], None]:
    return lambda pen, length, width, rng: _crown(pen, 0.0, 0.0, length / 2, rng, colors)


def _bare_tree(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw the branches of a tree without leaves; some trees keep theirs."""
    if rng.random() < 0.3:
        _crown(pen, 0.0, 0.0, length / 2, rng)
        return
    radius, wood = length / 2, pick(((112, 100, 88), (98, 88, 80), (124, 112, 96)), rng)
    pen.disc(0, 0, 0.25 * radius, wood, height=0.8 * radius, material=Material.LEAVES)
    for angle in rng.uniform(0, 6.28) + np.arange(7) * 0.9:
        tip = radius * rng.uniform(0.7, 1.0)
        pen.polygon([(0, 0), (tip * np.cos(angle - 0.14), tip * np.sin(angle - 0.14)),
                     (tip * np.cos(angle + 0.14), tip * np.sin(angle + 0.14))], scaled(wood, rng.uniform(0.8, 1.15)),
                    height=0.6 * radius, material=Material.LEAVES)  # fmt: skip


def _home(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a mobile home: a long pale roof with a ridge, and an awning along one side."""
    a, b = length / 2, width / 2
    roof = pick(((214, 212, 206), (196, 194, 190), (176, 170, 160), (150, 152, 156), (206, 196, 178)), rng)
    for sign in (-1, 1):
        side = (0, b) if sign > 0 else (-b, 0)
        pen.box((-a, a), side, scaled(roof, 1 + 0.08 * pen.facing(0, sign)), height=5, material=Material.ROOF)
    if rng.random() < 0.6:
        pen.box((-0.6 * a, 0.4 * a), (b, b + 2.4), scaled(roof, 0.78), height=3)
    for u in np.arange(-0.7 * a, 0.8 * a, 9.0):
        pen.box((u, u + 1.4), (-0.3 * b, -0.3 * b + 1.4), scaled(roof, 0.7))


def _pile(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a heap of gravel or sand."""
    color = pick(((150, 138, 118), (178, 158, 124), (112, 108, 104), (92, 84, 78)), rng)
    radius, lit = length / 2, (pen.facing(1, 0), pen.facing(0, 1))
    for share, shade in ((1.0, 0.8), (0.78, 0.95), (0.5, 1.1), (0.22, 1.22)):
        away = 0.3 * radius * (1 - share)
        pen.disc(away * lit[0], away * lit[1], share * radius, scaled(color, shade), height=4 * share,
                 material=Material.SOIL)  # fmt: skip


def _wake(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw foam behind a ship that is ahead: waves on both sides and the wash between them, paler with the distance."""
    a, b, water = length / 2, width / 2, pen.below(-length / 2, 0.0)
    parts = 7
    for part in reversed(range(parts)):
        start, end = a - length * part / parts, a - length * (part + 1) / parts
        fade = (1 - part / parts) ** 1.4
        for sign in (-1, 1):
            near, far = 0.15 + 0.85 * part / parts, 0.15 + 0.85 * (part + 1) / parts
            arm = [
                (start, sign * near * b),
                (end, sign * far * b),
                (end, sign * (far - 0.2) * b),
                (start, sign * (near - 0.1) * b),
            ]
            pen.polygon(arm, _mixed(water, 0.34 * fade), material=Material.FOAM)
        inner = (0.2 + 0.15 * part / parts) * b
        wash = [(start, inner), (end, 1.05 * inner), (end, -1.05 * inner), (start, -inner)]
        pen.polygon(wash, _mixed(water, 0.75 * fade**1.5), material=Material.FOAM)


def _mixed(color: Color, white: float) -> Color:
    red, green, blue = (
        round(part + white * (light - part)) for part, light in zip(color, (222, 230, 230), strict=True)
    )
    return red, green, blue


def _jetway(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    pen.box((-length / 2, length / 2), (-width / 2, width / 2), (168, 172, 176), height=3)
    pen.box((length / 2 - 4, length / 2), (-width / 2 - 1, width / 2 + 1), (120, 126, 132), height=3)


_FIXED: dict[str, Callable[[Pen, float, float, np.random.Generator], None]] = {
    "Basketball Court": _basketball,
    "Tennis Court": _tennis,
    "Football Field": _football,
    "Baseball Field": _baseball,
    "Intersection": _intersection,
    "Roundabout": _roundabout,
    "Bridge": _bridge,
    "house": _house,
    "flat": _flat,
    "hall": _hall,
    "tank": _tank,
    "stack": _stack,
    "crane": _crane,
    "tree": _plant(_GREEN),
    "autumn tree": _plant(_AUTUMN),
    "bare tree": _bare_tree,
    "bush": _plant(_SHRUBS),
    "home": _home,
    "pile": _pile,
    "wake": _wake,
    "jetway": _jetway,
}
