"""Cars, trucks, buses and tractors as solids."""

import itertools
from collections.abc import Callable

import numpy as np

from patchprobe.datasets.demo.scene import Color, Face, Paint
from patchprobe.datasets.demo.solids import (
    GLASS_TONES,
    LAMP_RED,
    LAMP_WHITE,
    TYRE,
    Corners,
    across,
    along,
    box,
    darker,
    disc,
    pick,
)
from patchprobe.datasets.demo.textures import Texture

# Side views as (share of the length from the middle, height in metres), from the rear bumper over the roof to the front.
# The numbers say between which points the rear window and the windscreen lie.
_PROFILES = {
    "saloon": (((-0.5, 0.7), (-0.48, 0.98), (-0.34, 1.02), (-0.2, 1.4), (0.06, 1.42), (0.24, 1.0), (0.47, 0.84)), 2, 4),
    "hatchback": (
        ((-0.5, 0.7), (-0.49, 0.95), (-0.43, 1.4), (-0.36, 1.46), (0.04, 1.46), (0.25, 1.0), (0.47, 0.84)),
        1,
        4,
    ),
    "estate": (
        ((-0.5, 0.7), (-0.49, 1.0), (-0.42, 1.42), (-0.36, 1.46), (0.07, 1.44), (0.23, 1.0), (0.47, 0.82)),
        1,
        4,
    ),
    "suv": (((-0.5, 0.8), (-0.49, 1.1), (-0.45, 1.65), (-0.38, 1.72), (0.06, 1.7), (0.22, 1.15), (0.47, 1.0)), 1, 4),
    "van": (((-0.5, 0.8), (-0.5, 1.1), (-0.49, 1.85), (-0.46, 1.95), (0.22, 1.93), (0.38, 1.15), (0.48, 0.95)), 1, 4),
}
Outline = list[tuple[float, float]]
Detail = tuple[Corners, Paint]
_LENGTHS = {"saloon": 4.6, "hatchback": 3.9, "estate": 4.6, "suv": 4.5, "van": 5.0}


def glass(rng: np.random.Generator) -> Paint:
    """Return a window pane, dark or reflecting."""
    return Paint(pick(rng, GLASS_TONES), Texture.SMOOTH, 0.12)


def car(rng: np.random.Generator, color: Color) -> tuple[list[Face], tuple[float, float, float]]:
    """Return the faces of a car and its length, width and height."""
    kind = str(rng.choice(list(_PROFILES), p=(0.25, 0.3, 0.2, 0.15, 0.1)))
    profile, rear_window, windscreen = _PROFILES[kind]
    length, width = _LENGTHS[kind] * rng.uniform(0.93, 1.07), rng.uniform(1.68, 1.9)
    body, pane = Paint(color, Texture.SMOOTH, 0.03), glass(rng)
    raise_by = rng.uniform(0.95, 1.05)
    upper = [(x * length, y * raise_by) for x, y in profile] + [(0.5 * length, 0.6)]
    outline = [(-0.5 * length, 0.28), *upper, (0.5 * length, 0.26)]
    belt = min(y for _, y in (upper[rear_window], upper[windscreen + 1])) - 0.02

    def half(y: float) -> float:
        """The cabin leans inwards above the belt line."""
        return width / 2 - max(0.0, y - belt) * 0.28

    faces = []
    for side in (1, -1):
        corners = [(x, y, side * half(y)) for x, y in outline]
        faces.append(
            Face(
                corners,
                body,
                (0, 0, side),
                _side_details(upper, rear_window, windscreen, side, half, length, pane, color),
            )
        )
    for i, ((x0, y0), (x1, y1)) in enumerate(zip(outline, [*outline[1:], outline[0]], strict=True)):
        w0, w1 = half(y0), half(y1)
        corners = [(x0, y0, w0), (x0, y0, -w0), (x1, y1, -w1), (x1, y1, w1)]
        normal = (y0 - y1, x1 - x0)
        size = max(float(np.hypot(*normal)), 1e-6)
        is_glass = i - 1 in (rear_window, windscreen)
        if i == len(outline) - 1:
            continue
        faces.append(
            Face(
                corners,
                pane if is_glass else body,
                (normal[0] / size, normal[1] / size, 0.0),
                _end_details(i, outline, width, color),
            )
        )
    return faces, (length, width, max(y for _, y in upper))


def _side_details(
    upper: Outline,
    rear_window: int,
    windscreen: int,
    side: int,
    half: Callable[[float], float],
    length: float,
    pane: Paint,
    color: Color,
) -> list[Detail]:
    """Return windows, sill and wheels of one side."""
    (rx0, ry0), (rx1, ry1) = upper[rear_window], upper[rear_window + 1]
    (fx0, fy0), (fx1, fy1) = upper[windscreen], upper[windscreen + 1]
    low, high = max(ry0, fy1) - 0.02, min(ry1, fy0) - 0.08

    def at(x: float, y: float) -> tuple[float, float, float]:
        return (x, y, side * half(y))

    rear = rx0 + (low - ry0) / (ry1 - ry0 + 1e-6) * (rx1 - rx0) + 0.12
    rear_top = rx0 + (high - ry0) / (ry1 - ry0 + 1e-6) * (rx1 - rx0) + 0.12
    front = fx1 - (low - fy1) / (fy0 - fy1 + 1e-6) * (fx1 - fx0) - 0.12
    front_top = fx1 - (high - fy1) / (fy0 - fy1 + 1e-6) * (fx1 - fx0) - 0.12
    pillar = (rear + front) / 2
    details = [
        ([at(rear, low), at(pillar - 0.05, low), at(pillar - 0.05, high), at(rear_top, high)], pane),
        ([at(pillar + 0.05, low), at(front, low), at(front_top, high), at(pillar + 0.05, high)], pane),
        (along(side * half(0.0), -0.47 * length, 0.47 * length, 0.26, 0.36), Paint(darker(color, 0.4))),
    ]
    for x in (-0.31 * length, 0.32 * length):
        details += [
            (disc(x, 0.34, side * half(0.0), 0.37), TYRE),
            (disc(x, 0.32, side * half(0.0), 0.2, 8), Paint((135, 137, 140), Texture.SMOOTH, 0.1)),
        ]
    return details


def _end_details(i: int, outline: Outline, width: float, color: Color) -> list[Detail]:
    """Lamps, plate and bumper of the rear (first faces of the outline) and of the front (last faces)."""
    if i == 0:
        x = outline[0][0]
        details = [
            (across(x, 0.3, -0.3, 0.5, 0.62), Paint((225, 225, 215))),
            (across(x, width / 2, -width / 2, 0.28, 0.42), Paint(darker(color, 0.55))),
        ]
        return details
    if i == 1:
        (x0, y0), (x1, y1) = outline[1], outline[2]
        return [
            (
                [
                    (x0, y0, s * width * 0.5),
                    (x0, y0, s * width * 0.36),
                    (x1, y1, s * width * 0.36),
                    (x1, y1, s * width * 0.5),
                ],
                LAMP_RED,
            )
            for s in (1, -1)
        ]
    if i == len(outline) - 3:
        (x0, y0), (x1, y1) = outline[i], outline[i + 1]
        mid = ((x0 + x1) / 2, (y0 + y1) / 2)
        lamps = [
            (
                [
                    (x0, y0, s * width * 0.48),
                    (x0, y0, s * width * 0.3),
                    (*mid, s * width * 0.3),
                    (*mid, s * width * 0.5),
                ],
                LAMP_WHITE,
            )
            for s in (1, -1)
        ]
        grille: Corners = [
            (x0, y0 - 0.03, width * 0.24),
            (x0, y0 - 0.03, -width * 0.24),
            (x1, y1, -width * 0.2),
            (x1, y1, width * 0.2),
        ]
        return [*lamps, (grille, Paint((35, 36, 38), Texture.BRICK, 0.15))]
    if i == len(outline) - 2:
        x = outline[-1][0]
        return [
            (across(x, 0.27, -0.27, 0.38, 0.5), Paint((225, 225, 215))),
            (across(x, width / 2, -width / 2, 0.26, 0.34), Paint(darker(color, 0.5))),
        ]
    return []


def truck(rng: np.random.Generator, color: Color) -> tuple[list[Face], tuple[float, float, float]]:
    """Return the faces of a lorry with cab and load, and its length, width and height."""
    length, width, height = rng.uniform(6, 10), rng.uniform(2.2, 2.55), rng.uniform(2.8, 3.8)
    cab_length, cab_height = rng.uniform(1.6, 2.2), rng.uniform(2.3, 2.9)
    load = Paint(
        pick(rng, ((215, 215, 210), (120, 125, 130), (170, 60, 45), (60, 90, 130), (90, 110, 80), (200, 170, 70))),
        Texture.CLOTH,
        0.06,
    )
    pane, cab = glass(rng), Paint(color, Texture.SMOOTH, 0.03)
    back, joint, front = -length / 2, length / 2 - cab_length, length / 2
    wheels = [x for x in (back + 0.9, back + 2.0, front - 0.9) if x < front]
    side_wheels = {
        s: [(disc(x, 0.48, z, 0.5), TYRE) for x in wheels] for s, z in (("left", width / 2), ("right", -width / 2))
    }
    stripe = {
        s: [
            (
                along(z, back + 0.3, joint - 0.3, height * 0.55, height * 0.75),
                Paint(pick(rng, ((190, 60, 40), (40, 70, 130), (235, 235, 230)))),
            )
        ]
        for s, z in (("left", width / 2), ("right", -width / 2))
    }
    rear = {"back": [(across(back, z, z * 0.7, 0.75, 0.95), LAMP_RED) for z in (width / 2, -width / 2)]}
    chassis = box(back, front, 0.35, 0.95, width * 0.96, Paint((48, 48, 50)), side_wheels | rear)
    cargo = box(back, joint - 0.1, 0.95, height, width, load, stripe if rng.random() < 0.6 else None)
    windows = {
        s: [(along(z, joint + 0.5, front - 0.25, 1.6, cab_height - 0.35), pane)]
        for s, z in (("left", width / 2), ("right", -width / 2))
    }
    windows["front"] = [
        (across(front, width * 0.45, -width * 0.45, 1.55, cab_height - 0.3), pane),
        *((across(front, z, z * 0.6, 0.75, 0.98), LAMP_WHITE) for z in (width / 2, -width / 2)),
        (across(front, width * 0.3, -width * 0.3, 0.95, 1.3), Paint((40, 40, 42), Texture.BRICK, 0.15)),
    ]
    return [*chassis, *cargo, *box(joint, front, 0.6, cab_height, width, cab, windows)], (length, width, height)


def bus(rng: np.random.Generator, color: Color) -> tuple[list[Face], tuple[float, float, float]]:
    """Return the faces of a city bus, and its length, width and height."""
    length, width, height = rng.uniform(9, 12), 2.5, rng.uniform(2.9, 3.3)
    back, front = -length / 2, length / 2
    pane, body = glass(rng), Paint(color, Texture.SMOOTH, 0.03)
    second = Paint(pick(rng, ((230, 230, 225), (60, 70, 90), (200, 180, 60), darker(color, 0.7))))
    details: dict[str, list] = {}
    for side, z in (("left", width / 2), ("right", -width / 2)):
        panes = int(length / 1.5)
        edges = np.linspace(back + 0.3, front - 0.2, panes + 1)
        details[side] = [
            (along(z, back, front, 0.35, 0.95), second),
            *(
                (along(z, float(a) + 0.07, float(b) - 0.07, 1.35, height - 0.5), pane)
                for a, b in itertools.pairwise(edges)
            ),
            *(
                (along(z, x, x + 1.1, 0.45, height - 0.45), pane)
                for x in ((front - 1.6, back + 4) if side == "right" else ())
            ),
            *((disc(x, 0.48, z, 0.5), TYRE) for x in (back + 2.4, front - 2.4)),
        ]
    display = Paint((225, 150, 40), Texture.BRICK, 0.3, 1.0)
    details["front"] = [
        (across(front, width * 0.46, -width * 0.46, 1.15, height - 0.45), pane),
        (across(front, width * 0.35, -width * 0.35, height - 0.4, height - 0.12), display),
        *((across(front, z, z * 0.65, 0.55, 0.8), LAMP_WHITE) for z in (width / 2, -width / 2)),
    ]
    details["back"] = [
        (across(back, width * 0.4, -width * 0.4, 1.6, height - 0.5), pane),
        *((across(back, z, z * 0.75, 0.7, 1.2), LAMP_RED) for z in (width / 2, -width / 2)),
        (across(back, width * 0.4, -width * 0.4, 0.5, 1.1), second),
    ]
    return box(back, front, 0.3, height, width, body, details), (length, width, height)


def tractor(rng: np.random.Generator, color: Color) -> tuple[list[Face], tuple[float, float, float]]:
    """Return the faces of a tractor: engine, cab, large wheels behind; and its length, width and height."""
    length, width, height = rng.uniform(3.5, 4.2), rng.uniform(1.8, 2.1), rng.uniform(2.5, 2.9)
    body, pane, dark = Paint(color, Texture.SMOOTH, 0.03), glass(rng), Paint((48, 48, 50))
    rim = Paint(pick(rng, ((205, 170, 60), (190, 60, 45), (200, 200, 196))))
    back, front, radius = -length / 2, length / 2, rng.uniform(0.75, 0.9)
    joint = back + 0.42 * length
    wheels = {
        side: [
            *((disc(back + radius, radius, z, size * radius), look) for size, look in ((1.0, TYRE), (0.55, rim))),
            *((disc(front - 0.6, 0.5, z, size * 0.5), look) for size, look in ((1.0, TYRE), (0.5, rim))),
        ]
        for side, z in (("left", width / 2), ("right", -width / 2))
    }
    windows = {
        side: [(along(z, back + 0.35, joint - 0.1, 1.5, height - 0.25), pane)]
        for side, z in (("left", width * 0.4), ("right", -width * 0.4))
    }
    windows |= {
        side: [(across(x, width * 0.34, -width * 0.34, 1.5, height - 0.25), pane)]
        for side, x in (("front", joint), ("back", back + 0.2))
    }
    lamps = {"front": [(across(front, z, z * 0.5, 1.05, 1.25), LAMP_WHITE) for z in (width * 0.25, -width * 0.25)]}
    return [
        *box(back + 0.3, front - 0.2, 0.35, 0.7, width, dark, wheels),
        *box(back + 0.2, joint, 0.7, height, width * 0.8, body, windows),
        *box(joint, front, 0.7, 1.5, width * 0.55, body, lamps),
    ], (length, width, height)
