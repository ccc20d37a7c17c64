"""What aerial scenes are put together from: roads with traffic, trees, car parks, yards, fields, ships under way."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from patchprobe.datasets.demo.aerial import FLAT, HIGH, ROAD, SOLID, WATER, Path, Site, Span
from patchprobe.datasets.demo.aerial_canvas import Color, Material

ANY = SOLID | ROAD | WATER
UP, DOWN = -np.pi / 2, np.pi / 2
AIRPLANES = {
    "Boeing737": 0.34,
    "A220": 0.23,
    "A330": 0.17,
    "Boeing777": 0.14,
    "other-airplane": 0.07,
    "ARJ21": 0.03,
    "Boeing747": 0.02,
}
BIG_SHIPS = {"Dry Cargo Ship": 0.46, "Passenger Ship": 0.28, "Liquid Cargo Ship": 0.18, "Warship": 0.08}
SMALL_SHIPS = {"Motorboat": 0.48, "Fishing Boat": 0.42, "Tugboat": 0.1}
TRAFFIC = {"Small Car": 0.56, "Van": 0.28, "Bus": 0.06, "Cargo Truck": 0.08, "Dump Truck": 0.02}
FREIGHT = {"Cargo Truck": 0.5, "Dump Truck": 0.2, "Van": 0.2, "Small Car": 0.1}
ROAD_WIDTH = 22.0
LANE = 5.6


def choose(site: Site, weights: Mapping[str, float]) -> str:
    """Draw a kind of thing by weight."""
    shares = np.array(list(weights.values()))
    return str(site.rng.choice(list(weights), p=shares / shares.sum()))


def fleet(site: Site, weights: Mapping[str, float], count: int) -> dict[str, float]:
    """Draw by weight the few kinds that a place knows, with their weights."""
    shares = np.array(list(weights.values()))
    known = site.rng.choice(list(weights), count, replace=False, p=shares / shares.sum())
    return {str(kind): weights[str(kind)] for kind in known}


def everywhere(site: Site, tone: str, material: Material) -> None:
    """Cover the whole ground."""
    reach = site.reach
    site.strip((-reach, reach), (-reach, reach), site.tone(tone), material)


def blob(site: Site, u: float, v: float, radius: float, color: Color, material: Material) -> None:
    """Add a patch of ground with an uneven rim."""
    angles = np.arange(0, 2 * np.pi, 0.4)
    radii = radius * (1 + 0.35 * np.sin(angles * site.rng.integers(2, 5) + site.rng.uniform(0, 6)))
    radii *= site.rng.uniform(0.85, 1.15, len(angles))
    site.ground(np.stack((u + radii * np.cos(angles), v + radii * np.sin(angles)), 1), color, material)


def bare(site: Site, count: int) -> None:
    """Wear the grass off in places."""
    for _ in range(count):
        u, v = site.rng.uniform(-site.reach, site.reach, 2)
        tone = "soil" if site.rng.random() < 0.5 else "grass"
        blob(site, u, v, site.rng.uniform(12, 45), site.tone(tone, 9), Material.GRASS)


def lay_road(site: Site, points: Path, *, width: float = ROAD_WIDTH, kerb: str | None = None) -> None:
    """Lay asphalt along a line, between pavements of the tone ``kerb`` if one is given."""
    if kerb:
        site.ground(points, site.tone(kerb), Material.CONCRETE, width=width + 7)
    site.ground(points, site.tone("asphalt", 2), Material.ASPHALT, width=width, takes=ROAD)


def grid(
    site: Site, across: Sequence[float], down: Sequence[float], verge: tuple[str, Material, float]
) -> list[list[Span]]:
    """Lay streets along v = ``across`` and u = ``down`` with their crossings; return the ends of each.

    ``verge`` is the tone, the material and the width in px of what lies between a street and the blocks.
    """
    reach, (tone, material, wide) = site.reach, verge
    streets: list[list[Span]] = [[(-reach, v), (reach, v)] for v in across]
    streets += [[(u, -reach), (u, reach)] for u in down]
    for street in streets:
        site.ground(street, site.tone(tone), material, width=ROAD_WIDTH + 2 * wide, takes=ROAD)
    for street in streets:
        lay_road(site, street)
    for street in streets:
        mark(site, street)
    for v in across:
        for u in down:
            site.put("Intersection", u, v, size=(46, 46), margin=0, blocked=0, takes=0, layer=FLAT)
    return streets


def slip_road(site: Site, start: Span, bend: Span, end: Span) -> None:
    """Lay a slip road that leaves towards a bend and ends in its direction."""
    share = np.linspace(0, 1, 14)[:, None]
    course = (1 - share) ** 2 * np.array(start) + 2 * share * (1 - share) * np.array(bend) + share**2 * np.array(end)
    site.ground(course, site.tone("grass"), Material.GRASS, width=24)
    site.ground(course, (214, 212, 204), Material.PAINT, width=15)
    site.ground(course, site.tone("asphalt", 2), Material.ASPHALT, width=13.4, takes=ROAD)


def mark(site: Site, points: Path, *, offset: float = 0.0, dash: Span | None = (6.0, 7.0)) -> None:
    """Paint a line along a road, dashed unless ``dash`` (line and gap in px) is None."""
    white: Color = (226, 226, 220)
    for start, end in itertools.pairwise(points):
        first, last = np.array(start), np.array(end)
        length = float(np.hypot(*(last - first)))
        ahead = (last - first) / length
        first = first + offset * np.array((-ahead[1], ahead[0]))
        line, step = (dash[0], sum(dash)) if dash else (length, length)
        for along in np.arange(0, length, step):
            ends = first + ahead * along, first + ahead * min(along + line, length)
            site.ground(np.array(ends), white, Material.PAINT, width=0.8)


def traffic(
    site: Site,
    points: Path,
    gaps: Span,
    kinds: Mapping[str, float],
    *,
    lanes: Sequence[float] = (LANE,),
    sides: Sequence[int] = (1, -1),
) -> None:
    """Let vehicles keep to the right; ``lanes`` are distances from the middle line, a side of -1 comes back."""
    for start, end in itertools.pairwise(points):
        first, last = np.array(start), np.array(end)
        length = float(np.hypot(*(last - first)))
        turn = float(np.arctan2(last[1] - first[1], last[0] - first[0]))
        ahead = (last - first) / length
        right = np.array((-ahead[1], ahead[0]))
        for side in sides:
            for lane in lanes:
                along = float(site.rng.uniform(0, gaps[1]))
                while along < length:
                    u, v = first + ahead * along + side * (lane + site.rng.normal(0, 0.4)) * right
                    way = turn + (0 if side > 0 else np.pi) + site.rng.normal(0, 0.02)
                    site.put(choose(site, kinds), u, v, way, margin=1.5)
                    along += float(site.rng.uniform(*gaps))


def trees(site: Site, count: int, *, u: Span | None = None, v: Span | None = None, clump: float = 0.0) -> None:
    """Plant trees where nothing else is; with ``clump`` (px) in groups of about six that far apart."""
    reach = site.reach
    u, v = u or (-reach, reach), v or (-reach, reach)
    while count > 0:
        middle = site.rng.uniform(*u), site.rng.uniform(*v)
        for _ in range(int(site.rng.integers(3, 9)) if clump else 1):
            away = site.rng.normal(0, clump, 2) if clump else (0.0, 0.0)
            plant(site, middle[0] + away[0], middle[1] + away[1])
            count -= 1


def plant(site: Site, u: float, v: float, *, on_verge: bool = False) -> None:
    """Plant a tree of the scene's foliage unless something is there; the verge of a road counts as the road."""
    size = float(np.clip(site.rng.lognormal(2.35, 0.3), 6, 20))
    site.put(site.foliage, u, v, size=(size, size), margin=-1.5, blocked=SOLID if on_verge else ANY, layer=HIGH)


def avenue(site: Site, start: Span, end: Span, step: float) -> None:
    """Plant a row of trees."""
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    for share in np.arange(0, 1, step / length):
        if site.rng.random() < 0.85:
            place = [a + (b - a) * share + site.rng.normal(0, 1.0) for a, b in zip(start, end, strict=True)]
            plant(site, place[0], place[1])


def build(site: Site, kind: str, u: float, v: float, size: Span, turn: float = 0.0, margin: float = 3.0) -> bool:
    """Add a building where nothing else is; return whether it stands."""
    return site.put(kind, u, v, turn, size=size, margin=margin, blocked=ANY, layer=HIGH)


def parking(site: Site, u: Span, v: Span, fill: float, kinds: Mapping[str, float], *, lot: bool = True) -> None:
    """Mark bays across v, in rows with lanes between, and park in some of them."""
    large = "Cargo Truck" in kinds
    bay, depth, lane = (13.0, 31.0, 22.0) if large else (9.6, 15.5, 14.0)
    if lot:
        site.strip(u, v, site.tone("asphalt"), Material.ASPHALT, takes=ROAD)
    row, number = v[0] + 1, 0
    while row + depth <= v[1]:
        for start in np.arange(u[0] + 3, u[1] - bay - 1, bay):
            site.ground([(start, row), (start, row + depth)], (206, 206, 200), Material.PAINT, width=0.6)
            if site.rng.random() < fill:
                turn = UP if site.rng.random() < 0.5 else DOWN
                middle = row + depth / 2 + site.rng.normal(0, 0.5)
                site.put(choose(site, kinds), start + bay / 2, middle, turn + site.rng.normal(0, 0.03), margin=0.4)
        # Two rows stand back to back between two lanes.
        row += depth + (lane if number % 2 == 0 else 1.0)
        number += 1


def court(site: Site, kind: str, u: float, v: float, turn: float, margin: float = 1.0) -> bool:
    """Add a court where nothing else is; return whether it lies there."""
    return site.put(kind, u, v, turn, margin=margin, blocked=ANY, layer=FLAT)


def under_way(site: Site, count: int, u: Span, v: Span, large: Mapping[str, float], small: Mapping[str, float]) -> None:
    """Let ships sail in any direction, with their wakes."""
    rng = site.rng
    for _ in range(count):
        kind = choose(site, large if rng.random() < 0.35 else small)
        place, turn = (rng.uniform(*u), rng.uniform(*v)), rng.uniform(0, 2 * np.pi)
        if site.put(kind, *place, turn, margin=7, needs=WATER, blocked=SOLID | ROAD) and rng.random() < 0.7:
            trail(site, *place, turn, 20 + site.things[-1].length * (2.2 if kind == "Motorboat" else 1.0))


def trail(site: Site, u: float, v: float, turn: float, length: float) -> None:
    """Add the wake of the ship that was added last, where it has room."""
    ship = site.things[-1]
    away = (ship.length + length) / 2
    behind = u - away * np.cos(turn), v - away * np.sin(turn)
    size = length, ship.width * 2.4
    site.put("wake", *behind, turn, size=size, margin=-1.5, needs=WATER, blocked=SOLID | ROAD, takes=0, layer=FLAT)


def yard(site: Site, u: Span, v: Span) -> None:
    """Fill a plot of a port or an industrial estate."""
    rng = site.rng
    use = rng.choice(("stacks", "hall", "tanks", "lorries", "heaps"), p=(0.28, 0.3, 0.14, 0.16, 0.12))
    middle = (u[0] + u[1]) / 2, (v[0] + v[1]) / 2
    if use == "stacks":
        for row in np.arange(v[0] + 14, v[1] - 10, 34):
            long = (u[1] - u[0]) // 16 * 16 - 4
            site.put("stack", middle[0], row, size=(long, 18.5), blocked=ANY, layer=HIGH)
            traffic(site, [(u[0], row + 17), (u[1], row + 17)], (40, 120), {"Cargo Truck": 1.0}, lanes=(0.5,))
    elif use == "hall":
        deep = 0.5 * (v[1] - v[0])
        build(site, "hall", middle[0], v[0] + deep / 2 + 3, (0.9 * (u[1] - u[0]), deep))
        for dock in np.arange(u[0] + 12, u[1] - 10, 13):
            if rng.random() < 0.55:
                site.put(choose(site, FREIGHT), dock, v[0] + deep + 20, DOWN + rng.normal(0, 0.02), margin=0.5)
        parking(site, u, (v[1] - 19, v[1]), 0.4, {"Small Car": 0.6, "Van": 0.4}, lot=False)
    elif use == "tanks":
        site.strip(u, v, site.tone("soil"), Material.SOIL)
        radius = float(rng.uniform(11, 16))
        for x in np.arange(u[0] + radius + 4, u[1] - radius, 2 * radius + 7):
            for y in np.arange(v[0] + radius + 4, v[1] - radius, 2 * radius + 7):
                if rng.random() < 0.85:
                    build(site, "tank", x, y, (2 * radius, 2 * radius))
    elif use == "lorries":
        parking(site, u, v, 0.6, {"Cargo Truck": 0.7, "Dump Truck": 0.15, "Bus": 0.15})
    else:
        blob(site, *middle, 0.5 * (u[1] - u[0]), site.tone("soil"), Material.SOIL)
        for _ in range(7):
            size = float(rng.uniform(14, 34))
            build(site, "pile", rng.uniform(*u), rng.uniform(*v), (size, size))
        for _ in range(9):
            site.put(
                "Dump Truck", rng.uniform(*u), rng.uniform(*v), rng.uniform(0, 6.3), margin=2, blocked=SOLID | ROAD
            )


def fields(site: Site) -> list[tuple[Span, Span]]:
    """Cover the country with fields whose rows run along one or the other side; return where hedges are due."""
    hedges = []
    rng, reach = site.rng, site.reach
    crops: tuple[Color, ...] = ((118, 128, 66), (94, 122, 62), (166, 148, 98), (148, 120, 86), (132, 138, 76),
                                (178, 164, 112), (82, 108, 60))  # fmt: skip
    u = -reach
    while u < reach:
        wide, v = rng.uniform(60, 140), -reach
        while v < reach:
            deep = rng.uniform(50, 150)
            red, green, blue = crops[int(rng.integers(len(crops)))]
            step = round(rng.normal(0, 6))
            angle = 0.0 if deep < wide else np.pi / 2
            corners = [(u, v), (u + wide, v), (u + wide, v + deep), (u, v + deep)]
            site.ground(corners, (red + step, green + step, blue + step), Material.CROPS,
                        rows=(angle, rng.uniform(3.5, 7), rng.uniform(0.02, 0.09)))  # fmt: skip
            if rng.random() < 0.35:
                site.ground(corners[:2], site.tone("grass"), Material.GRASS, width=4)
                hedges.append((corners[0], corners[1]))
            v += deep
        if rng.random() < 0.4:
            site.ground([(u, -reach), (u, reach)], (176, 156, 122), Material.SOIL, width=4)
        u += wide
    return hedges


def pontoons(site: Site, u: float, coast: float) -> None:
    """Add floating jetties with small boats on both sides."""
    for away in (-34, 0, 34):
        long = float(site.rng.uniform(60, 110))
        site.strip(
            (u + away - 1.5, u + away + 1.5), (coast, coast + long), (186, 176, 158), Material.CONCRETE, frees=WATER
        )
        for side in (-1, 1):
            for v in np.arange(coast + 16, coast + long, 9.5):
                kind = "Motorboat" if site.rng.random() < 0.85 else "Fishing Boat"
                if site.rng.random() < 0.7 and kind == "Motorboat":
                    site.put(kind, u + away + side * 11, v, 0 if side > 0 else np.pi, margin=0.2, needs=WATER)


def sorted_pair(a: float, b: float) -> Span:
    """Return two numbers, the lower one first."""
    return min(a, b), max(a, b)
