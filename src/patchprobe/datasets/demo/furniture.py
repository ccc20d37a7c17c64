"""Poles, signs, lights and what else stands about."""

import numpy as np

from patchprobe.datasets.demo.labels import DYNAMIC, POLE, STATIC, TRAFFIC_LIGHT, TRAFFIC_SIGN, VEGETATION
from patchprobe.datasets.demo.plants import leaves
from patchprobe.datasets.demo.scene import Canvas, Color, Face, Paint
from patchprobe.datasets.demo.solids import TYRE, across, box, darker, disc, limb, pick
from patchprobe.datasets.demo.style import City
from patchprobe.datasets.demo.textures import Texture

_METAL: tuple[Color, ...] = (
    (110, 112, 112),
    (150, 152, 152),
    (70, 74, 72),
    (60, 78, 66),
    (176, 170, 160),
    (120, 100, 84),
)
_SIGNS: tuple[tuple[Color, Color], ...] = (
    ((190, 30, 35), (235, 232, 228)),
    ((40, 75, 150), (225, 228, 232)),
    ((225, 190, 50), (30, 30, 30)),
    ((235, 232, 228), (40, 42, 46)),
    ((36, 110, 70), (230, 230, 226)),
)


def post(canvas: Canvas, rng: np.random.Generator, x: float, z: float, height: float, thick: float) -> Paint:
    """Draw an upright pole and return its paint."""
    paint = Paint(pick(rng, _METAL), Texture.SMOOTH, 0.05)
    canvas.cast(x, z, thick, thick, height)
    number = canvas.add(POLE, canvas.camera.front(z), paint)
    w = thick / 2
    canvas.polygon([(x - w, 0, z), (x + w, 0, z), (x + w * 0.8, height, z), (x - w * 0.8, height, z)], number)
    return paint


def lamp(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a street lamp, with an arm over the road or without."""
    height = rng.uniform(4, 9)
    paint = post(canvas, rng, x, z, height, rng.uniform(0.14, 0.24))
    reach = -np.sign(x) * (rng.uniform(0.8, 2.2) if rng.random() < 0.7 else 0.0)
    plane = canvas.camera.front(z)
    rise = rng.uniform(0, 0.5)
    if reach:
        arm = [(x, height - 0.1, z), (x + reach, height - 0.1 + rise, z), (x + reach, height + rise, z), (x, height, z)]
        canvas.polygon(arm, canvas.add(POLE, plane, paint))
    top, w = height + rise, 0.35
    head = canvas.add(STATIC, plane, Paint((200, 198, 180), Texture.SMOOTH, 0.05, 1.0))
    canvas.polygon(
        [
            (x + reach - w, top - 0.15, z),
            (x + reach + w, top - 0.15, z),
            (x + reach + w * 0.6, top + 0.1, z),
            (x + reach - w * 0.6, top + 0.1, z),
        ],
        head,
    )
    if canvas.light.night > 0:
        u, v = canvas.camera.pixel(x + reach, top, z)
        canvas.glows.append((u, v, 1.2 * canvas.camera.focal / z, (150, 120, 70)))


def sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw one or two traffic signs on a pole; from behind they are grey and have no class of their own."""
    height = rng.uniform(2.2, 3.2)
    post(canvas, rng, x, z, height, 0.09)
    size = rng.uniform(0.3, 0.48)
    behind = rng.random() < 0.2
    for level in range(2 if rng.random() < 0.3 else 1):
        y = height - size - level * size * 2
        _plate(canvas, rng, x, y, z - 0.05, size, behind=behind)


def board(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a large direction sign on two poles."""
    height, width = rng.uniform(2.8, 4.5), rng.uniform(1.2, 3)
    for dx in (-0.35, 0.35):
        post(canvas, rng, x + dx * width, z, height, 0.12)
    color, ink = _SIGNS[rng.integers(1, len(_SIGNS))]
    plane = canvas.camera.front(z)
    low, w = height - rng.uniform(0.8, 1.6), width / 2

    def bar(left: float, right: float, bottom: float, top: float, paint: Paint) -> None:
        number = canvas.add(TRAFFIC_SIGN, plane, paint)
        canvas.polygon([(x + left, bottom, z), (x + right, bottom, z), (x + right, top, z), (x + left, top, z)], number)

    bar(-w, w, low, height, Paint(ink))
    bar(-w + 0.05, w - 0.05, low + 0.05, height - 0.05, Paint(color))
    for y in np.arange(low + 0.15, height - 0.25, 0.35):
        bar(-w + 0.15, rng.uniform(0, w - 0.15), float(y), float(y) + 0.16, Paint(ink))


def traffic_light(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a traffic light, beside the road or on an arm over it."""
    over = rng.random() < 0.35
    height = rng.uniform(4.6, 5.6) if over else rng.uniform(2.6, 3.4)
    paint = post(canvas, rng, x, z, height, 0.13)
    places = [(x, rng.uniform(2.2, 2.8) if over else height - 0.5)]
    if over:
        reach = -np.sign(x) * rng.uniform(2, 4.5)
        arm = [(x, height - 0.1, z), (x + reach, height - 0.1, z), (x + reach, height, z), (x, height, z)]
        canvas.polygon(arm, canvas.add(POLE, canvas.camera.front(z), paint))
        places.append((x + reach, height - 0.1))
    phase = int(rng.integers(3))
    case = Paint(pick(rng, ((34, 36, 36), (30, 42, 36), (60, 62, 62))))
    away = rng.random() < 0.25
    for px, py in places:
        w = 0.17 if not away else 0.15
        details = []
        if not away:
            for i, (on, off) in enumerate(
                (((235, 50, 40), (70, 28, 26)), ((245, 180, 60), (72, 56, 26)), ((70, 225, 150), (24, 60, 44)))
            ):
                color: Color = on if i == phase else off
                lamp_paint = Paint(color, Texture.SMOOTH, 0.02, 1.0 if i == phase else 0.0)
                details.append((disc(0, 0.78 - 0.28 * i, 0, 0.11, 8), lamp_paint))
        corners = [(-w, 0, 0), (w, 0, 0), (w, 0.96, 0), (-w, 0.96, 0)]
        face = Face(corners, case, None, details)
        canvas.solid([face], TRAFFIC_LIGHT, px, z - 0.06, np.pi / 2, py - 0.5)


def clutter(canvas: Canvas, rng: np.random.Generator, city: City, x: float, z: float) -> None:
    """Draw one of the things that stand about and have no evaluated class, or a bollard."""
    kind = rng.integers(7)
    yaw = rng.uniform(-0.4, 0.4) + (np.pi if rng.random() < 0.5 else 0)
    color = pick(rng, ((70, 74, 72), (60, 90, 66), (150, 60, 45), (170, 150, 90), (60, 80, 120), (190, 188, 182)))
    paint = Paint(color, Texture.SMOOTH, 0.08)
    if kind == 0:
        canvas.cast(x, z, 0.6, 0.6, 1.1)
        lid = Paint(darker(color, 0.6))
        canvas.solid([*box(-0.3, 0.3, 0, 1.0, 0.6, paint), *box(-0.34, 0.34, 1.0, 1.1, 0.66, lid)], STATIC, x, z, yaw)
    elif kind == 1:
        post(canvas, rng, x, z, rng.uniform(0.7, 1.1), 0.14)
    elif kind == 2:
        wood = Paint((124, 92, 62), Texture.PLANKS, 0.2)
        canvas.cast(x, z, 0.5, 1.6, 0.5)
        bench = [
            *box(-0.22, 0.22, 0.4, 0.47, 1.7, wood),
            *box(-0.26, -0.2, 0.5, 0.9, 1.7, wood),
            *box(-0.2, 0.2, 0, 0.4, 0.1, paint),
        ]
        canvas.solid(bench, STATIC, x, z, yaw + np.sign(x) * np.pi / 2)
    elif kind == 3:
        tone = Paint((205, 85, 40))
        rows = [
            Face(
                [(-0.2, 0, 0), (0.2, 0, 0), (0.04, 0.7, 0), (-0.04, 0.7, 0)],
                tone,
                None,
                [([(-0.11, 0.3, 0), (0.11, 0.3, 0), (0.08, 0.45, 0), (-0.08, 0.45, 0)], Paint((230, 230, 225)))],
            )
        ]
        canvas.solid(rows, STATIC, x, z, np.pi / 2)
    elif kind == 4:
        poster = [
            (
                across(0.5, 0.5, -0.5, 0.9, 2.5),
                Paint(
                    pick(rng, ((200, 190, 170), (60, 90, 140), (180, 70, 60), (90, 130, 80))), Texture.STONE, 0.3, 0.6
                ),
            )
        ]
        canvas.cast(x, z, 1.0, 1.2, 2.8)
        canvas.solid(
            box(
                -0.5,
                0.5,
                0,
                2.8,
                1.2,
                paint,
                {"front": poster, "back": [(across(-0.5, 0.5, -0.5, 0.9, 2.5), poster[0][1])]},
            ),
            STATIC,
            x,
            z,
            yaw,
        )
    elif kind == 5:
        canvas.cast(x, z, 1.0, 1.2, 0.8)
        stone = Paint((150, 146, 138), Texture.PLASTER, 0.15)
        canvas.solid(box(-0.4, 0.4, 0, 0.55, 1.2, stone), STATIC, x, z, yaw)
        canvas.crown(canvas.tones(VEGETATION, z, leaves(rng, city)), (x, 0.8, z), (0.65, 0.4), 0.3)
    else:
        canvas.cast(x, z, 0.8, 0.5, 1.0)
        pram = [
            Face(
                [(-0.35, 0.45, 0), (0.35, 0.45, 0), (0.4, 0.75, 0), (0.1, 1.05, 0), (-0.3, 0.95, 0)],
                Paint(color, Texture.CLOTH, 0.15),
            ),
            Face(limb(-0.35, 0.7, -0.6, 1.0, 0.04, 0.04), TYRE),
            *(Face(disc(dx, 0.16, 0, 0.16, 8), TYRE) for dx in (-0.25, 0.28)),
        ]
        canvas.solid(pram, DYNAMIC, x, z, yaw + np.pi / 2)


def _plate(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, z: float, size: float, *, behind: bool
) -> None:
    shape = int(rng.integers(5))
    color, ink = _SIGNS[rng.integers(len(_SIGNS))]
    if shape == 0:
        corners = [(-size, -0.6 * size, 0.0), (size, -0.6 * size, 0.0), (0.0, size, 0.0)]
    elif shape in (1, 2):
        corners = disc(0, 0, 0, size, 14)
    elif shape == 3:
        corners = disc(0, 0, 0, size, 8)
    else:
        corners = [(-size, -size, 0.0), (size, -size, 0.0), (size, size, 0.0), (-size, size, 0.0)]
    if behind:
        faces = [Face(corners, Paint((128, 130, 130), Texture.SMOOTH, 0.06))]
        canvas.solid(faces, STATIC, x, z, np.pi / 2, y)
        return
    inner = [(a * 0.72, b * 0.72, c) for a, b, c in corners]
    details = [(inner, Paint(ink))]
    mark = rng.random()
    if mark < 0.4:
        details.append(
            (
                [
                    (-0.1 * size, -0.4 * size, 0.0),
                    (0.1 * size, -0.4 * size, 0.0),
                    (0.1 * size, 0.4 * size, 0.0),
                    (-0.1 * size, 0.4 * size, 0.0),
                ],
                Paint(color),
            )
        )
    elif mark < 0.7:
        details.append(
            (
                [
                    (-0.45 * size, -0.12 * size, 0.0),
                    (0.45 * size, -0.12 * size, 0.0),
                    (0.45 * size, 0.12 * size, 0.0),
                    (-0.45 * size, 0.12 * size, 0.0),
                ],
                Paint(color),
            )
        )
    canvas.solid([Face(corners, Paint(color), None, details)], TRAFFIC_SIGN, x, z, np.pi / 2, y)
