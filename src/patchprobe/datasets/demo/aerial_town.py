"""Aerial scenes of towns and of parks for sports: blocks of houses, courts, car parks and green."""

from collections.abc import Callable

import numpy as np

from patchprobe.datasets.demo.aerial import FLAT, ROAD, SOLID, Site, Span
from patchprobe.datasets.demo.aerial_canvas import Material
from patchprobe.datasets.demo.aerial_parts import (
    DOWN,
    ROAD_WIDTH,
    TRAFFIC,
    UP,
    avenue,
    bare,
    build,
    choose,
    court,
    everywhere,
    grid,
    lay_road,
    mark,
    parking,
    sorted_pair,
    traffic,
    trees,
)


def town(site: Site) -> None:
    """Plan a town: streets with crossings, and blocks between them."""
    everywhere(site, "grass", Material.GRASS)
    bare(site, 10)
    rng, reach = site.rng, site.reach
    lines: list[list[float]] = []
    for pitch in (rng.uniform(125, 150), rng.uniform(140, 175)):
        first = -reach - rng.uniform(0, 90)
        lines.append([float(line) for line in np.arange(first, reach + pitch, pitch)])
    streets = grid(site, lines[0], lines[1], ("pavement", Material.CONCRETE, 4.5))
    edge = ROAD_WIDTH / 2 + 6
    blocks = [
        ((u0 + edge, u1 - edge), (v0 + edge, v1 - edge))
        for u0, u1 in zip(lines[1][:-1], lines[1][1:], strict=True)
        for v0, v1 in zip(lines[0][:-1], lines[0][1:], strict=True)
    ]
    uses = ["courts", "flats", "parking", "houses", "courts", "houses", "park", "houses", "flats"]
    # The blocks in the middle of the picture get the first uses, so that each town has courts.
    blocks.sort(key=lambda block: abs(sum(block[0])) + abs(sum(block[1])))
    for number, block in enumerate(blocks):
        use = uses[number] if number < 5 else uses[int(rng.integers(2, len(uses)))]
        _BLOCKS[use](site, *block)
    for street in streets:
        traffic(site, street, (34, 150), TRAFFIC)


def _houses(site: Site, u: Span, v: Span) -> None:
    rng = site.rng
    middle = (v[0] + v[1]) / 2
    for street, side in ((v[0], 1), (v[1], -1)):
        start = u[0]
        while start + 36 < u[1]:
            wide = float(min(rng.uniform(42, 54), u[1] - start))
            site.strip((start, start + wide), sorted_pair(street, middle), site.tone("grass", 9), Material.GRASS)
            drive = start + wide - 8
            site.strip(
                (drive - 4.5, drive + 4.5),
                sorted_pair(street, street + side * 26),
                site.tone("pavement"),
                Material.CONCRETE,
            )
            size = float(rng.uniform(22, 28)), float(rng.uniform(16, 20))
            build(
                site, "house", start + (wide - 14) / 2, street + side * 20, size, float(rng.choice((0, UP))), margin=0
            )
            if rng.random() < 0.6:
                site.put(choose(site, {"Small Car": 0.7, "Van": 0.3}), drive, street + side * 11, UP * side)
            if rng.random() < 0.2 and middle - v[0] > 44:
                pool = start + 6, street + side * 36
                site.strip(
                    (pool[0], pool[0] + 11), sorted_pair(pool[1], pool[1] + side * 6), (92, 176, 198), Material.PAINT
                )
            site.strip((start - 0.6, start + 0.6), sorted_pair(street, middle), (92, 104, 66), Material.LEAVES)
            start += wide
    trees(site, int((u[1] - u[0]) / 4), u=u, v=v)


def _flats(site: Site, u: Span, v: Span) -> None:
    rng = site.rng
    site.strip(u, v, site.tone("grass"), Material.GRASS)
    middle, long = (v[0] + v[1]) / 2, (u[1] - u[0]) * rng.uniform(0.6, 0.88)
    parking(site, (u[0] + 4, u[1] - 4), (middle - 24, middle + 24), 0.45, {"Small Car": 0.75, "Van": 0.25})
    for v0 in (v[0] + 18, v[1] - 18):
        build(site, "flat", (u[0] + u[1]) / 2 + rng.normal(0, 4), v0, (long, rng.uniform(20, 27)), margin=0)
    trees(site, 34, u=u, v=v)


def _courts(site: Site, u: Span, v: Span) -> None:
    rng = site.rng
    kinds = {"Basketball Court": 0.42, "Tennis Court": 0.42, "Football Field": 0.16}
    green = rng.random() < 0.6
    site.strip(u, v, site.tone("grass" if green else "asphalt"), Material.GRASS if green else Material.ASPHALT)
    build(site, "flat", (u[0] + u[1]) / 2, v[1] - 15, (0.5 * (u[1] - u[0]), 24), margin=0)
    first = choose(site, kinds)
    columns, rows = (2, 3) if first != "Football Field" else (2, 2)
    for column in range(columns):
        for row in range(rows):
            place = u[0] + (u[1] - u[0]) * (column + 0.5) / columns, v[0] + (v[1] - v[0]) * (row + 0.5) / rows
            kind = first if rng.random() < 0.75 else choose(site, kinds)
            if rng.random() < 0.9:
                court(site, kind, *place, float(rng.choice((0, np.pi))))
    for v0 in (v[0] + 5, v[1] - 4):
        avenue(site, (u[0] + 5, v0), (u[1] - 5, v0), 10)
    trees(site, 26, u=u, v=v)


def _lot(site: Site, u: Span, v: Span) -> None:
    parking(site, u, (v[0], v[1] - 26), site.rng.uniform(0.5, 0.8), {"Small Car": 0.75, "Van": 0.25})
    build(site, "flat", (u[0] + u[1]) / 2, v[1] - 13, (0.7 * (u[1] - u[0]), 20))


def _park(site: Site, u: Span, v: Span) -> None:
    site.ground([(u[0], v[0]), (u[1], v[1])], (186, 172, 144), Material.SOIL, width=5, takes=ROAD)
    site.ground([(u[0], v[1]), (u[1], v[0])], (186, 172, 144), Material.SOIL, width=5, takes=ROAD)
    trees(site, 45, u=u, v=v)


def sports_park(site: Site) -> None:
    """Plan a park with fields and courts, paths, a club house and a car park."""
    rng, reach = site.rng, site.reach
    everywhere(site, "grass", Material.GRASS)
    bare(site, 16)
    edge = -0.24 * site.size + rng.uniform(-20, 20)
    paths: list[list[Span]] = [[(u, edge - 20), (u, reach)] for u in rng.uniform(-reach, reach, 3)]
    paths.append([(-reach, edge + rng.uniform(150, 260)), (reach, edge + rng.uniform(150, 260))])
    for path in paths:
        site.ground(path, (196, 184, 158), Material.SOIL, width=5, takes=ROAD)
    street = [(-reach, edge - 90), (reach, edge - 90)]
    lay_road(site, street, kerb="pavement")
    mark(site, street)
    _stadium(site, rng.uniform(-90, 90), edge + rng.uniform(60, 100))
    u = -reach
    while u < reach:
        wide = float(rng.uniform(90, 150))
        if rng.random() < 0.6:
            parking(
                site, (u, u + wide), (edge - 74, edge - 20), rng.uniform(0.4, 0.85), {"Small Car": 0.74, "Van": 0.26}
            )
        else:
            build(site, "hall" if rng.random() < 0.5 else "flat", u + wide / 2, edge - 46, (0.8 * wide, 42))
        u += wide + 14
    traffic(site, street, (34, 150), TRAFFIC)
    for kind, tries in (("Football Field", 7), ("Baseball Field", 4), ("Tennis Court", 32), ("Basketball Court", 26)):
        for _ in range(tries):
            _group(site, kind, rng.uniform(-reach, reach), rng.uniform(edge, reach))
    for _ in range(30):
        _group(site, "Basketball Court", rng.uniform(-reach, reach), rng.uniform(-reach, edge - 110))
    avenue(site, (-reach, edge - 6), (reach, edge - 6), 14)
    for start, end in paths:
        if rng.random() < 0.6:
            avenue(site, (start[0] + 9, start[1] + 9), (end[0] + 9, end[1] + 9), 13)
    wood = rng.uniform(-0.5, 0.5, 2) * site.size
    trees(site, 60, u=(wood[0] - 70, wood[0] + 70), v=(wood[1] - 40, wood[1] + 40), clump=12)
    trees(site, 130, clump=16)


def _stadium(site: Site, u: float, v: float) -> None:
    """Lay a running track around a football field."""
    turns = np.linspace(-np.pi / 2, np.pi / 2, 14)
    for radius, color, material in (
        (36.0, (172, 84, 64), Material.PAINT), (35.4, (186, 94, 72), Material.PAINT), (26.0, (98, 136, 70), Material.GRASS),
    ):  # fmt: skip
        right = np.stack((u + 32 + radius * np.cos(turns), v + radius * np.sin(turns)), 1)
        left = np.stack((u - 32 - radius * np.cos(turns), v - radius * np.sin(turns)), 1)
        site.ground(np.concatenate((right, left)), color, material, takes=ROAD)
    for radius in (28.5, 31.0, 33.5):
        rim = [np.stack((u + s * (32 + radius * np.cos(turns)), v + s * radius * np.sin(turns)), 1) for s in (1, -1)]
        site.ground(np.concatenate((*rim, rim[0][:1])), (222, 204, 194), Material.PAINT, width=0.5)
    site.put("Football Field", u, v, blocked=SOLID, margin=0, layer=FLAT)


def _group(site: Site, kind: str, u: float, v: float) -> None:
    """Lay one to four courts of a kind side by side."""
    turn = float(site.rng.choice((0, UP, DOWN, np.pi)))
    count = int(site.rng.integers(1, 5)) if kind == "Tennis Court" else int(site.rng.integers(1, 3))
    pitch = {"Tennis Court": 28.0, "Basketball Court": 24.0, "Football Field": 46.0, "Baseball Field": 66.0}[kind]
    for number in range(count if kind != "Baseball Field" else 1):
        away = number * pitch
        if not court(site, kind, u - away * np.sin(turn), v + away * np.cos(turn), turn, 4.0 if number == 0 else 1.0):
            break


_BLOCKS: dict[str, Callable[[Site, Span, Span], None]] = {
    "houses": _houses,
    "flats": _flats,
    "courts": _courts,
    "parking": _lot,
    "park": _park,
}
