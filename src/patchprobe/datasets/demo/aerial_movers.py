"""Airplanes, ships and vehicles from above; each touches all four sides of its rectangle and stays in it."""

from dataclasses import dataclass

import numpy as np

from patchprobe.datasets.demo.aerial_canvas import Color, Pen

_WHITE, _GLASS, _DARK, _RUBBER = (240, 241, 240), (44, 54, 66), (58, 60, 62), (34, 35, 37)


def varied(color: Color, rng: np.random.Generator, spread: float = 7.0) -> Color:
    """Return a colour that is a little lighter or darker."""
    step = float(rng.normal(0, spread))
    red, green, blue = (round(min(max(part + step, 0), 255)) for part in color)
    return red, green, blue


def scaled(color: Color, factor: float) -> Color:
    """Return a colour times a factor."""
    red, green, blue = (round(min(part * factor, 255)) for part in color)
    return red, green, blue


def pick(colors: tuple[Color, ...], rng: np.random.Generator) -> Color:
    """Return one of the colours, a little varied."""
    return varied(colors[int(rng.integers(len(colors)))], rng)


@dataclass(frozen=True)
class Airliner:
    """Shape and livery of an airliner: shares of its length and of half its span, and colours.

    ``engines`` are places along the wing; ``aft`` ones hang at the tail instead.
    """

    body: float
    root: float
    sweep: float
    chord: float
    engines: tuple[float, ...]
    engine: float
    hull: Color
    tail: Color
    nose: Color
    aft: bool = False
    hump: bool = False
    band: Color | None = None


AIRLINERS = {
    "Boeing737": Airliner(0.054, 0.15, 0.22, 0.2, (0.34,), 0.11, (236, 238, 240), (30, 62, 140), (36, 74, 158)),
    "Boeing747": Airliner(
        0.056, 0.2, 0.33, 0.25, (0.36, 0.64), 0.085, (244, 244, 242), (186, 38, 40), (186, 38, 40), hump=True
    ),
    "Boeing777": Airliner(
        0.05, 0.15, 0.28, 0.19, (0.33,), 0.115, (206, 212, 218), (34, 44, 70), (206, 212, 218), band=(34, 44, 70)
    ),
    "A220": Airliner(0.05, 0.12, 0.18, 0.17, (0.34,), 0.12, (240, 240, 236), (34, 150, 138), (40, 168, 152)),
    "A330": Airliner(
        0.057, 0.17, 0.26, 0.22, (0.34,), 0.12, (242, 238, 226), (214, 158, 40), (242, 238, 226), band=(214, 158, 40)
    ),
    "ARJ21": Airliner(0.058, 0.04, 0.2, 0.2, (), 0.17, (240, 242, 240), (60, 140, 58), (60, 140, 58), aft=True),
}


def airliner(pen: Pen, kind: str, length: float, width: float) -> None:
    """Draw an airliner: swept wings with engines, stabilisers, fuselage, fin."""
    look = AIRLINERS[kind]
    half, body, high = width / 2, look.body * length, 0.075 * length
    root, sweep, chord = look.root * length, look.sweep * length, look.chord * length
    metal, grey = scaled(look.hull, 0.87), (150, 154, 158)
    for place in look.engines:
        lead, size = root - sweep * place, look.engine * length
        v, thick = place * half, 0.16 * size + 0.6
        pen.both(_rectangle(lead - size / 2, lead + size * 0.55, v - thick, v + thick), grey, height=high * 0.7)
        pen.both(_rectangle(lead + size * 0.3, lead + size * 0.55, v - thick, v + thick), look.tail)
    tip = 0.28 * chord
    wing = [(root, 0.3 * body), (root - sweep, half), (root - sweep - tip, half)]
    wing += [(root - chord - 0.24 * sweep, 0.4 * half), (root - chord, 0.3 * body)]
    pen.both(wing, metal, height=high)
    flap = [(root - chord * 0.82, body), (root - chord, body), (root - chord - 0.24 * sweep, 0.4 * half)]
    pen.both([*flap, (root - chord * 0.8 - 0.2 * sweep, 0.4 * half)], scaled(metal, 0.88))
    rear, span = -0.37 * length, 0.36 * half
    if look.aft:
        pen.both(_rectangle(-0.32 * length, -0.18 * length, body * 0.9, body * 1.75), grey, height=high)
        rear = -0.42 * length
    aft = max(rear - 0.14 * length, -length / 2)
    pen.both([(rear, 0), (aft + 0.05 * length, span), (aft, span), (aft + 0.02 * length, 0)], metal, height=high)
    outline = [(0.5, 0.0), (0.485, 0.45), (0.455, 0.8), (0.41, 1.0), (-0.26, 1.0), (-0.4, 0.6), (-0.5, 0.16)]
    right = [(u * length, v * body) for u, v in outline]
    pen.polygon([*right, *[(u, -v) for u, v in reversed(right)]], look.hull, height=high)
    pen.both([(-0.28 * length, body), (0.38 * length, body), (0.38 * length, 0.45 * body), (-0.28 * length, 0.6 * body)],
             scaled(look.hull, 0.93))  # fmt: skip
    if look.band:
        pen.box((0.19 * length, 0.3 * length), (-body, body), look.band)
    front = 0.2 if look.hump else 0.4
    if look.nose != look.hull:
        pen.box((front * length, 0.455 * length), (-0.75 * body, 0.75 * body), look.nose)
    pen.box((0.45 * length, 0.475 * length), (-0.5 * body, 0.5 * body), _GLASS)
    pen.box((-0.5 * length, -0.3 * length), (-0.02 * length, 0.02 * length), look.tail, height=high * 0.8)


def propeller_plane(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a small plane: straight wings in front, two propellers."""
    half, body = width / 2, 0.07 * length
    color = pick(((232, 190, 50), (206, 70, 50), (236, 236, 232), (80, 120, 180)), rng)
    wing = scaled(color, 0.92)
    pen.both([(0.2 * length, 0), (0.16 * length, half), (-0.02 * length, half), (-0.05 * length, 0)], wing, height=2)
    pen.both(_rectangle(0.03 * length, 0.165 * length, 0.82 * half, half), _WHITE)
    pen.both([(-0.36 * length, 0), (-0.38 * length, 0.4 * half), (-0.5 * length, 0.4 * half), (-0.5 * length, 0)], wing,
             height=1.5)  # fmt: skip
    pen.both(_rectangle(0.08 * length, 0.32 * length, 0.3 * half, 0.42 * half), _DARK, height=2)
    pen.both(_rectangle(0.32 * length, 0.345 * length, 0.2 * half, 0.52 * half), (176, 178, 178))
    right = [(0.5 * length, 0.3 * body), (0.4 * length, body), (0.0, body), (-0.5 * length, 0.25 * body)]
    pen.polygon([*right, *[(u, -v) for u, v in reversed(right)]], color, height=2)
    pen.box((0.2 * length, 0.32 * length), (-0.7 * body, 0.7 * body), _GLASS)


def ship(pen: Pen, kind: str, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a ship of a class, bow ahead."""
    _SHIPS[kind](pen, length, width, rng)


def _rectangle(rear: float, front: float, inner: float, outer: float) -> list[tuple[float, float]]:
    return [(rear, inner), (front, inner), (front, outer), (rear, outer)]


def _hull(pen: Pen, length: float, width: float, side: Color, deck: Color, *, bow: float, high: float) -> None:
    """Draw the sides and the deck; ``bow`` is the share of the length in which the hull narrows."""
    outline = [(0.5, 0.0), (0.5 - 0.3 * bow, 0.24), (0.5 - 0.65 * bow, 0.42), (0.5 - bow, 0.5), (-0.44, 0.5)]
    outline.append((-0.5, 0.36))
    right = np.array(outline, np.float32) * np.array((length, width), np.float32)
    whole = np.concatenate((right, right[::-1] * np.array((1, -1), np.float32)))
    pen.polygon(whole, side, height=high)
    rail = np.array(((length - 2.6) / length, (width - 2.6) / width), np.float32)
    pen.polygon(whole * rail, deck)


def _passenger(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    _hull(pen, length, width, pick(((236, 238, 240), (28, 44, 92)), rng), (196, 170, 134), bow=0.26, high=4)
    pen.box((-0.43 * length, 0.27 * length), (-0.38 * width, 0.38 * width), (238, 240, 241), height=2)
    for u in np.arange(-0.36, 0.2, 0.1):
        pen.both(_rectangle(u * length, (u + 0.055) * length, 0.3 * width, 0.4 * width), (226, 104, 40))
    pen.box((-0.32 * length, 0.22 * length), (-0.25 * width, 0.25 * width), (214, 218, 222), height=1.5)
    pool = rng.uniform(-0.05, 0.06)
    pen.box((pool * length, (pool + 0.1) * length), (-0.14 * width, 0.14 * width), (52, 160, 204))
    pen.box((0.16 * length, 0.23 * length), (-0.38 * width, 0.38 * width), _GLASS)
    funnel = pick(((200, 40, 40), (30, 70, 150), (230, 170, 40)), rng)
    pen.box((-0.27 * length, -0.17 * length), (-0.12 * width, 0.12 * width), funnel, height=4)


def _motorboat(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    deck = pick(((236, 236, 232), (226, 228, 228), (196, 176, 140)), rng)
    _hull(pen, length, width, (240, 241, 240), deck, bow=0.55, high=1)
    pen.box((-0.4 * length, -0.02 * length), (-0.28 * width, 0.28 * width), pick(((150, 112, 76), (96, 92, 88)), rng))
    pen.box((-0.02 * length, 0.12 * length), (-0.34 * width, 0.34 * width), (34, 56, 90))


def _fishing(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    side = pick(((32, 96, 156), (30, 128, 110), (48, 76, 132)), rng)
    _hull(pen, length, width, side, pick(((168, 132, 90), (150, 120, 88), (122, 136, 124)), rng), bow=0.34, high=1.5)
    for u in (0.04, 0.18):
        pen.box(((u - 0.05) * length, (u + 0.04) * length), (-0.22 * width, 0.22 * width), (92, 74, 56))
    pen.disc(-0.4 * length, 0.0, 0.14 * width, (232, 120, 40))
    pen.box((-0.31 * length, -0.08 * length), (-0.32 * width, 0.32 * width), (236, 238, 236), height=2.5)
    pen.box((-0.13 * length, -0.08 * length), (-0.32 * width, 0.32 * width), _GLASS)
    pen.box((-0.06 * length, 0.36 * length), (-0.03 * width, 0.05 * width), (214, 206, 180), height=1)


def _tugboat(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    _hull(pen, length, width, _RUBBER, pick(((172, 62, 44), (58, 112, 84), (160, 84, 50)), rng), bow=0.3, high=2)
    pen.box((-0.38 * length, -0.3 * length), (-0.16 * width, 0.16 * width), (66, 62, 60), height=1)
    pen.box((-0.14 * length, 0.26 * length), (-0.3 * width, 0.3 * width), (238, 238, 234), height=3)
    pen.box((0.02 * length, 0.2 * length), (-0.2 * width, 0.2 * width), (206, 210, 212), height=2)
    pen.box((0.16 * length, 0.21 * length), (-0.2 * width, 0.2 * width), _GLASS)
    pen.both(_rectangle(-0.12 * length, -0.02 * length, 0.1 * width, 0.24 * width), (234, 150, 30), height=2)


_CARGO = ((176, 60, 46), (46, 92, 150), (52, 122, 84), (206, 202, 194), (202, 140, 52), (112, 76, 60), (70, 128, 160))


def _bridge_house(pen: Pen, length: float, width: float, funnel: Color) -> None:
    """Draw the white house at the stern of a merchant ship."""
    pen.box((-0.42 * length, -0.31 * length), (-0.4 * width, 0.4 * width), (240, 240, 236), height=6)
    pen.box((-0.33 * length, -0.31 * length), (-0.46 * width, 0.46 * width), (214, 218, 220))
    pen.box((-0.45 * length, -0.38 * length), (-0.13 * width, 0.13 * width), funnel, height=4)


def _dry_cargo(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    side = pick(((36, 46, 66), (92, 36, 34), (40, 42, 44), (38, 84, 74)), rng)
    _hull(pen, length, width, side, pick(((116, 108, 100), (130, 92, 76)), rng), bow=0.15, high=4)
    boxes, holds = rng.random() < 0.45, int(rng.integers(5, 7))
    step, cover = 0.66 / holds, pick(((186, 180, 158), (146, 152, 150), (104, 134, 112)), rng)
    for hold in range(holds):
        u = (-0.28 + hold * step) * length, (-0.28 + hold * step + 0.82 * step) * length
        if not boxes:
            pen.box(u, (-0.34 * width, 0.34 * width), cover, height=1)
            pen.box((u[0], u[1]), (-0.02 * width, 0.02 * width), scaled(cover, 0.72))
            continue
        for v in np.linspace(-0.4, 0.2, 4):
            pen.box(u, (v * width, (v + 0.19) * width), pick(_CARGO, rng), height=1.5)
    _bridge_house(pen, length, width, pick(_CARGO[:3], rng))


def _liquid_cargo(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    deck = pick(((156, 70, 56), (142, 62, 52), (64, 128, 92)), rng)
    _hull(pen, length, width, pick(((34, 34, 36), (120, 40, 38)), rng), deck, bow=0.15, high=4)
    for u in np.linspace(-0.2, 0.34, 6):
        pen.box((u * length - 0.5, u * length + 0.5), (-0.36 * width, 0.36 * width), scaled(deck, 0.7))
        pen.both(_rectangle(u * length + 1.5, u * length + 3.2, 0.18 * width, 0.28 * width), (214, 204, 178))
    for v in (-0.09, 0.0, 0.09):
        pen.box((-0.29 * length, 0.4 * length), (v * width - 0.45, v * width + 0.45), (222, 214, 190), height=0.6)
    pen.box((0.04 * length, 0.085 * length), (-0.38 * width, 0.38 * width), (226, 222, 206), height=1)
    _bridge_house(pen, length, width, pick(((40, 40, 44), (214, 150, 40)), rng))


def _warship(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    grey = varied((128, 136, 142), rng)
    _hull(pen, length, width, scaled(grey, 0.86), scaled(grey, 0.95), bow=0.42, high=3)
    pen.box((-0.47 * length, -0.27 * length), (-0.38 * width, 0.38 * width), scaled(grey, 0.6))
    pen.disc(-0.37 * length, 0.0, 0.28 * width, (216, 218, 214))
    pen.disc(-0.37 * length, 0.0, 0.19 * width, scaled(grey, 0.6))
    pen.box((-0.24 * length, 0.16 * length), (-0.32 * width, 0.32 * width), scaled(grey, 1.22), height=3)
    pen.box((0.02 * length, 0.13 * length), (-0.24 * width, 0.24 * width), scaled(grey, 1.4), height=4)
    pen.box((-0.18 * length, -0.1 * length), (-0.16 * width, 0.16 * width), (70, 74, 78), height=3)
    pen.disc(-0.02 * length, 0.0, 0.14 * width, (226, 228, 226), height=3)
    pen.box((0.26 * length, 0.36 * length), (-0.05 * width, 0.05 * width), (78, 84, 88))
    pen.disc(0.24 * length, 0.0, 0.2 * width, scaled(grey, 1.25), height=1.5)


_SHIPS = {
    "Passenger Ship": _passenger,
    "Motorboat": _motorboat,
    "Fishing Boat": _fishing,
    "Tugboat": _tugboat,
    "Dry Cargo Ship": _dry_cargo,
    "Liquid Cargo Ship": _liquid_cargo,
    "Warship": _warship,
}
_CARS = (
    (236, 237, 236), (226, 228, 230), (178, 182, 186), (60, 62, 66), (44, 46, 50), (168, 36, 36), (44, 78, 142),
    (116, 122, 128), (206, 196, 172),
)  # fmt: skip


def vehicle(pen: Pen, kind: str, length: float, width: float, rng: np.random.Generator) -> None:
    """Draw a vehicle of a class, front ahead."""
    if kind == "Small Car":
        _car(pen, length, width, pick(_CARS, rng))
    elif kind == "Van":
        _van(pen, length, width, pick(((240, 241, 240), (232, 234, 236), (222, 224, 224), (120, 146, 170)), rng))
    elif kind == "Bus":
        _bus(pen, length, width, pick(((232, 178, 40), (38, 132, 160), (196, 52, 48), (86, 160, 84)), rng))
    elif kind == "Cargo Truck":
        _cargo_truck(pen, length, width, rng)
    else:
        _dump_truck(pen, length, width, rng)


def _body(pen: Pen, length: float, width: float, color: Color, cut: float, high: float) -> None:
    """Draw the outline of a vehicle with cut corners."""
    u, v = length / 2, width / 2
    right = [(u, v - cut), (u - cut, v), (cut - u, v), (-u, v - cut)]
    pen.polygon([*right, *[(a, -b) for a, b in reversed(right)]], color, height=high)


def _car(pen: Pen, length: float, width: float, color: Color) -> None:
    _body(pen, length, width, color, 1.3, 1.8)
    pen.box((-0.36 * length, 0.24 * length), (-0.38 * width, 0.38 * width), _GLASS)
    pen.box((-0.22 * length, 0.06 * length), (-0.34 * width, 0.34 * width), scaled(color, 1.06))


def _van(pen: Pen, length: float, width: float, color: Color) -> None:
    _body(pen, length, width, color, 0.9, 2.6)
    pen.box((0.24 * length, 0.37 * length), (-0.4 * width, 0.4 * width), _GLASS)
    pen.box((-0.42 * length, -0.38 * length), (-0.36 * width, 0.36 * width), scaled(color, 0.7))
    pen.box((-0.12 * length, -0.08 * length), (-0.4 * width, 0.4 * width), scaled(color, 0.82))


def _bus(pen: Pen, length: float, width: float, color: Color) -> None:
    _body(pen, length, width, color, 0.7, 3.2)
    pen.box((0.44 * length, 0.48 * length), (-0.4 * width, 0.4 * width), _GLASS)
    pen.box((-0.46 * length, 0.4 * length), (-0.36 * width, 0.36 * width), scaled(color, 1.12))
    for u in (-0.3, -0.02, 0.24):
        pen.box(((u - 0.06) * length, (u + 0.06) * length), (-0.2 * width, 0.2 * width), (238, 239, 238))


def _cargo_truck(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    cab, load = pick(_CARS, rng), pick((_WHITE, _WHITE, *_CARGO), rng)
    pen.box((-0.46 * length, 0.4 * length), (-0.22 * width, 0.22 * width), _DARK)
    pen.box((0.25 * length, 0.5 * length), (-0.45 * width, 0.45 * width), cab, height=2.4)
    pen.box((0.4 * length, 0.47 * length), (-0.38 * width, 0.38 * width), _GLASS)
    pen.box((-0.5 * length, 0.2 * length), (-0.5 * width, 0.5 * width), load, height=3.4)
    for u in np.linspace(-0.4, 0.1, 4):
        pen.box((u * length - 0.35, u * length + 0.35), (-0.5 * width, 0.5 * width), scaled(load, 0.84))


def _dump_truck(pen: Pen, length: float, width: float, rng: np.random.Generator) -> None:
    paint = pick(((232, 156, 30), (220, 120, 34), (52, 120, 86)), rng)
    load = pick(((134, 106, 76), (112, 108, 102), (168, 140, 100), (70, 64, 58)), rng)
    pen.box((0.24 * length, 0.5 * length), (-0.42 * width, 0.42 * width), paint, height=2.4)
    pen.box((0.41 * length, 0.47 * length), (-0.34 * width, 0.34 * width), _GLASS)
    pen.box((-0.5 * length, 0.2 * length), (-0.5 * width, 0.5 * width), paint, height=2.8)
    pen.box((-0.42 * length, 0.13 * length), (-0.34 * width, 0.34 * width), scaled(load, 0.62))
    pen.box((-0.36 * length, 0.06 * length), (-0.22 * width, 0.26 * width), load)
