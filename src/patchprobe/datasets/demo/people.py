"""People on foot and on two wheels."""

import numpy as np

from patchprobe.datasets.demo.scene import Color, Face, Paint, Tag
from patchprobe.datasets.demo.solids import LAMP_RED, LAMP_WHITE, TYRE, darker, disc, limb, pick
from patchprobe.datasets.demo.textures import Texture

Faces = list[Face]
_CLOTHES: tuple[Color, ...] = (
    (45, 48, 58),
    (90, 92, 96),
    (150, 150, 148),
    (215, 212, 205),
    (130, 50, 45),
    (60, 80, 120),
    (70, 95, 65),
    (165, 130, 85),
    (185, 150, 60),
    (110, 75, 60),
    (30, 32, 36),
    (160, 90, 110),
)
_SKIN: tuple[Color, ...] = ((215, 170, 145), (190, 140, 110), (140, 95, 70), (95, 65, 50))
_HAIR: tuple[Color, ...] = ((40, 32, 28), (95, 70, 45), (160, 130, 85), (120, 118, 115), (25, 24, 26))


def person(rng: np.random.Generator, stride: float) -> tuple[Faces, float]:
    """Return a standing or walking person in the plane z = 0, and the height; ``stride`` is the phase of the walk."""
    height = rng.uniform(1.1, 1.4) if rng.random() < 0.12 else rng.uniform(1.55, 1.92)
    bulk = rng.uniform(0.9, 1.25)
    coat, trousers = (Paint(pick(rng, _CLOTHES), Texture.CLOTH, 0.16) for _ in range(2))
    skin, hair = Paint(pick(rng, _SKIN)), Paint(pick(rng, _HAIR))
    frontal = rng.random() < 0.5
    swing = np.sin(stride) * (0.09 if frontal else 0.2)
    shoe = Paint(pick(rng, ((35, 32, 32), (90, 70, 55), (200, 200, 200))))
    hip, shoulder, chin = 0.5, 0.82, 0.87
    width = 0.24 if frontal else 0.16
    parts: list[tuple[list[tuple[float, float, float]], Paint]] = []
    spread = 0.055 if frontal else 0.0
    for side, phase in ((-1, -1), (1, 1)):
        foot = side * spread + phase * swing
        knee = side * spread + phase * swing * 0.45 + 0.02
        parts += [
            (limb(side * spread, hip, knee, 0.27, 0.11, 0.085), trousers),
            (limb(knee, 0.28, foot, 0.03, 0.085, 0.06), trousers),
            (limb(foot - 0.02, 0.02, foot + 0.06, 0.015, 0.04, 0.03), shoe),
        ]
    long_coat = rng.random() < 0.35
    hem = 0.3 if long_coat else 0.46
    w = width / 2 * bulk
    torso = [(-w * 0.85, hem, 0.0), (w * 0.85, hem, 0.0), (w, shoulder - 0.02, 0.0), (w * 0.5, shoulder + 0.03, 0.0)]
    torso += [(-w * 0.5, shoulder + 0.03, 0.0), (-w, shoulder - 0.02, 0.0)]
    sleeve = coat._replace(color=darker(coat.color, 0.8))
    if not frontal:
        parts.append((limb(0, shoulder - 0.03, -swing * 0.8, 0.47, 0.07, 0.05), sleeve))
    parts.append((torso, coat))
    arms = ((-w, -0.05), (w, 0.05)) if frontal else ((0.0, swing * 0.8),)
    for x, reach in arms:
        parts += [
            (limb(x, shoulder - 0.03, x + reach, 0.48, 0.075, 0.05), sleeve),
            (disc(x + reach, 0.46, 0, 0.025, 6), skin),
        ]
    parts += [(limb(0, shoulder, 0, chin + 0.02, 0.06, 0.06), skin), (disc(0.0, 0.925, 0.0, 0.068, 10, 0.8), skin)]
    parts.append((disc(-0.012 if not frontal else 0.0, 0.955, 0.0, 0.062, 8, 0.9), hair))
    if rng.random() < 0.35:
        bag_x = -w - 0.03 if rng.random() < 0.5 else w + 0.03
        bag_y = 0.62 if rng.random() < 0.5 else 0.42
        parts.append((disc(bag_x, bag_y, 0, 0.075, 6), Paint(pick(rng, _CLOTHES), Texture.CLOTH, 0.1)))
    scaled = [Face([(x * height, y * height, z) for x, y, z in corners], paint) for corners, paint in parts]
    return scaled, height


def bicycle(rng: np.random.Generator) -> Faces:
    """Return a bicycle in the plane z = 0, facing along +x."""
    radius = rng.uniform(0.31, 0.36)
    frame = Paint(pick(rng, (*_CLOTHES, (200, 40, 40), (40, 110, 160), (60, 140, 80))))
    spokes = Paint(pick(rng, ((105, 105, 105), (140, 140, 138), (80, 80, 82))), Texture.GRASS, 0.3)
    faces = []
    for x in (-0.52, 0.52):
        faces += [Face(disc(x, radius, 0, radius, 14), TYRE), Face(disc(x, radius, 0, radius * 0.8, 12), spokes)]
        faces.append(Face(disc(x, radius, 0, 0.05, 6), TYRE))
    for a, b, c, d in (
        (-0.52, radius, -0.12, 0.32),
        (-0.12, 0.32, 0.38, 0.78),
        (-0.52, radius, -0.2, 0.75),
        (-0.12, 0.3, -0.24, 0.92),
        (-0.2, 0.78, 0.38, 0.84),
        (0.38, 0.98, 0.52, radius),
    ):
        faces.append(Face(limb(a, b, c, d, 0.05, 0.05), frame))
    faces += [
        Face(limb(-0.36, 0.93, -0.12, 0.94, 0.06, 0.05), TYRE),
        Face(limb(0.3, 1.02, 0.44, 0.98, 0.04, 0.04), TYRE),
    ]
    if rng.random() < 0.3:
        basket = [(0.42, 0.75, 0.0), (0.72, 0.75, 0.0), (0.76, 1.0, 0.0), (0.4, 1.0, 0.0)]
        faces.append(Face(basket, Paint(pick(rng, _CLOTHES), Texture.BRICK, 0.2)))
    return _thick(faces, 0.05)


def motorcycle(rng: np.random.Generator) -> Faces:
    """Return a motorcycle or scooter in the plane z = 0, facing along +x."""
    body = Paint(pick(rng, (*_CLOTHES, (190, 40, 35), (40, 90, 160))), Texture.SMOOTH, 0.08)
    metal, seat = Paint((110, 112, 116), Texture.SMOOTH, 0.25), Paint((35, 33, 33))
    faces = []
    for x in (-0.65, 0.65):
        faces += [Face(disc(x, 0.31, 0, 0.31, 12), TYRE), Face(disc(x, 0.31, 0, 0.16, 8), metal)]
    if rng.random() < 0.5:
        faces += [
            Face(limb(0.42, 0.95, 0.68, 0.32, 0.1, 0.07), metal),
            Face([(-0.3, 0.28, 0.0), (0.3, 0.28, 0.0), (0.35, 0.6, 0.0), (-0.3, 0.6, 0.0)], metal),
            Face([(-0.1, 0.55, 0.0), (0.5, 0.6, 0.0), (0.4, 0.95, 0.0), (0.0, 0.9, 0.0)], body),
            Face([(-0.75, 0.7, 0.0), (0.05, 0.68, 0.0), (0.0, 0.82, 0.0), (-0.75, 0.9, 0.0)], seat),
        ]
    else:
        faces += [
            Face(
                [
                    (-0.9, 0.4, 0.0),
                    (-0.2, 0.25, 0.0),
                    (0.3, 0.25, 0.0),
                    (0.1, 0.4, 0.0),
                    (-0.1, 0.75, 0.0),
                    (-0.85, 0.75, 0.0),
                ],
                body,
            ),
            Face([(0.25, 0.25, 0.0), (0.45, 0.25, 0.0), (0.55, 1.0, 0.0), (0.4, 1.0, 0.0)], body),
            Face([(-0.85, 0.75, 0.0), (-0.1, 0.75, 0.0), (-0.1, 0.84, 0.0), (-0.8, 0.86, 0.0)], seat),
        ]
    faces += [Face(limb(0.28, 1.08, 0.46, 1.0, 0.05, 0.05), TYRE), Face(disc(0.56, 0.88, 0, 0.09, 8), LAMP_WHITE)]
    faces.append(Face(disc(-0.9, 0.72, 0, 0.06, 6), LAMP_RED))
    return _thick(faces, 0.22)


def rider(rng: np.random.Generator, tag: Tag, *, upright: bool, phase: float) -> Faces:
    """Return somebody riding, with the given tag, to be drawn on a two-wheeler; ``phase`` turns the pedals."""
    coat, trousers = (Paint(pick(rng, _CLOTHES), Texture.CLOTH, 0.16) for _ in range(2))
    skin, cap = Paint(pick(rng, _SKIN)), Paint(pick(rng, (*_HAIR, (220, 220, 215), (170, 40, 40), (50, 80, 130))))
    shoulder = (0.02, 1.45) if upright else (0.14, 1.4)
    faces = []
    for side, turn in ((0.12, phase), (-0.12, phase + np.pi)):
        foot = (-0.1 + 0.16 * np.cos(turn), 0.32 + 0.16 * np.sin(turn))
        knee = (0.16 + 0.06 * np.cos(turn), 0.68 + 0.08 * np.sin(turn))
        leg = [Face(limb(-0.24, 0.96, *knee, 0.18, 0.14), trousers), Face(limb(*knee, *foot, 0.13, 0.09), trousers)]
        leg.append(Face(limb(foot[0] - 0.06, foot[1] - 0.03, foot[0] + 0.14, foot[1] - 0.03, 0.07, 0.06), TYRE))
        faces += _thick(leg, 0.13, side)
        sleeve = coat._replace(color=darker(coat.color, 0.8))
        faces += _thick([Face(limb(*shoulder, 0.36, 1.02, 0.12, 0.08), sleeve)], 0.1, 1.6 * side)
    faces += _thick([Face(limb(-0.25, 0.88, *shoulder, 0.3, 0.32), coat)], 0.36)
    head = disc(shoulder[0] + 0.06, shoulder[1] + 0.24, 0, 0.12, 10, 0.85)
    faces += _thick([Face(head, skin), Face(disc(shoulder[0] + 0.04, shoulder[1] + 0.29, 0, 0.115, 8), cap)], 0.19)
    return [face._replace(tag=tag) for face in faces]


def _thick(faces: Faces, width: float, side: float = 0.0) -> Faces:
    """Return flat faces moved sideways, with copies turned across, so that seen from the front they are not lines."""
    result = []
    for face in faces:
        low, high = min(y for _, y, _ in face.corners), max(y for _, y, _ in face.corners)
        x = sum(x for x, _, _ in face.corners) / len(face.corners)
        a, b = side + width / 2, side - width / 2
        result.append(face._replace(corners=[(x, low, a), (x, low, b), (x, high, b), (x, high, a)]))
    return result + [face._replace(corners=[(x, y, z + side) for x, y, z in face.corners]) for face in faces]
