"""Land use that is built: houses close and far, halls and tanks, roads and runways."""

import numpy as np

from patchprobe.datasets.demo.aerial import DECK, FLAT, HIGH, ROAD, Site, Span
from patchprobe.datasets.demo.aerial_canvas import Color, Material
from patchprobe.datasets.demo.aerial_parts import (
    DOWN,
    TRAFFIC,
    UP,
    bare,
    build,
    choose,
    everywhere,
    lay_road,
    mark,
    parking,
    sorted_pair,
    traffic,
    trees,
)

_CARS = {"Small Car": 0.75, "Van": 0.25}
_WHITE: Color = (228, 228, 222)


def buildings(site: Site) -> None:
    """Plan large buildings with yards and car parks between."""
    rng, reach = site.rng, site.reach
    everywhere(site, "asphalt" if rng.random() < 0.6 else "concrete", Material.CONCRETE)
    kinds = {"flat": 0.7, "hall": 0.3}
    u = -reach - rng.uniform(0, 40)
    while u < reach:
        wide, v = float(rng.uniform(40, 80)), -reach - float(rng.uniform(0, 40))
        while v < reach:
            deep = float(rng.uniform(34, 74))
            middle = u + wide / 2, v + deep / 2
            if rng.random() < 0.8:
                build(site, choose(site, kinds), *middle, (wide - 4, deep), margin=0)
                if rng.random() < 0.5:
                    # A wing or a higher storey on it.
                    size = float(rng.uniform(14, 0.6 * wide)), float(rng.uniform(12, 0.6 * deep))
                    site.put("flat", *(middle + rng.uniform(-8, 8, 2)), size=size, blocked=0, layer=HIGH)
            else:
                parking(site, (u, u + wide), (v, v + deep), 0.6, _CARS, lot=False)
            v += deep + float(rng.uniform(7, 18))
        u += wide + float(rng.uniform(7, 18))
    trees(site, int(rng.integers(0, 16)))


def dense_houses(site: Site) -> None:
    """Plan rows of houses, wall to wall, along narrow streets."""
    rng = site.rng
    _rows(site, float(rng.uniform(66, 76)), (19, 26), gap=(1.5, 4), deep=(16, 20), share=0.97)
    trees(site, int(rng.integers(6, 24)))


def loose_houses(site: Site, pitch: Span, share: float) -> None:
    """Plan houses in gardens, ``pitch`` px apart, on a ``share`` of the plots, with a street where there is room."""
    rng, reach = site.rng, site.reach
    everywhere(site, "grass" if rng.random() < 0.75 else "soil", Material.GRASS)
    bare(site, 8)
    wide, street = float(rng.uniform(*pitch)), float(rng.choice((-1, 1)) * rng.uniform(24, 46))
    lay_road(site, [(-reach, street), (reach, street)], width=14, kerb="pavement" if wide < 60 else None)
    for side in (-1, 1):
        for row in range(3):
            v = street + side * (16 + 0.42 * wide + row * 1.05 * wide)
            middle = float(rng.uniform(-0.25, 0.25)) * wide
            for u in middle + wide * np.arange(-3, 4):
                if rng.random() < share:
                    _plot(site, float(u), float(v), wide, -side)
    traffic(site, [(-reach, street), (reach, street)], (50, 150), _CARS, lanes=(3.5,))
    trees(site, int(rng.uniform(30, 64)), clump=9)


def _plot(site: Site, u: float, v: float, wide: float, facing: int) -> None:
    """Put a house into the middle of a plot, with a wing, a drive to the street or a pool."""
    rng = site.rng
    size, turn = (float(rng.uniform(24, 32)), float(rng.uniform(17, 22))), float(rng.choice((0, UP)))
    place = u + rng.normal(0, 0.06 * wide), v + rng.normal(0, 0.06 * wide)
    if not build(site, "house", *place, size, turn, margin=0):
        return
    if rng.random() < 0.6:
        wing = place[0] + rng.choice((-1, 1)) * 9, place[1] + rng.choice((-1, 1)) * 9
        site.put("house", *wing, turn + UP, size=(20, 15), blocked=0, layer=HIGH)
    drive = sorted_pair(place[1] + facing * 10, place[1] + facing * 0.55 * wide)
    site.strip((place[0] + 8, place[0] + 15), drive, site.tone("pavement"), Material.CONCRETE)
    if rng.random() < 0.5:
        site.put(choose(site, _CARS), place[0] + 11.5, place[1] + facing * 20, DOWN)
    if rng.random() < 0.25:
        pool = place[0] - 6, place[1] - facing * 18
        site.strip((pool[0], pool[0] + 11), (pool[1] - 3, pool[1] + 3), (92, 176, 198), Material.PAINT)


def homes(site: Site) -> None:
    """Plan a park of mobile homes: long pale roofs aslant to the lanes."""
    rng, reach = site.rng, site.reach
    everywhere(site, "pavement" if rng.random() < 0.6 else "soil", Material.CONCRETE)
    pitch, slant = float(rng.uniform(46, 52)), float(rng.choice((-0.35, 0.0, 0.35)))
    for lane in np.arange(-reach - rng.uniform(0, pitch), reach + pitch, pitch):
        lay_road(site, [(-reach, lane), (reach, lane)], width=11)
        for u in np.arange(-reach - rng.uniform(0, 16), reach, rng.uniform(15, 18)):
            if rng.random() < 0.93:
                size = float(rng.uniform(27, 33)), float(rng.uniform(9, 11.5))
                site.put("home", u, lane + pitch / 2, DOWN + slant, size=size, margin=0)
            if rng.random() < 0.4:
                site.put(choose(site, _CARS), u + 8, lane + pitch / 2 + rng.choice((-9, 9)), DOWN + slant, margin=0)
    trees(site, int(rng.integers(4, 18)))


def _rows(site: Site, pitch: float, length: Span, *, gap: Span, deep: Span, share: float) -> None:
    """Plan streets ``pitch`` px apart with a row of houses on both sides, on a cross street in one place."""
    rng, reach = site.rng, site.reach
    everywhere(site, "grass" if rng.random() < 0.5 else "pavement", Material.GRASS)
    start = -reach - float(rng.uniform(0, pitch))
    streets = [[(-reach, v), (reach, v)] for v in np.arange(start, reach + pitch, pitch)]
    if rng.random() < 0.5:
        cross = float(rng.uniform(-40, 40))
        streets.append([(cross, -reach), (cross, reach)])
    for street in streets:
        site.ground(street, site.tone("pavement"), Material.CONCRETE, width=19)
    for street in streets:
        lay_road(site, street, width=14)
    for v in np.arange(start, reach + pitch, pitch):
        for side in (-1, 1):
            u = -reach
            while u < reach:
                size = float(rng.uniform(*length)), float(rng.uniform(*deep))
                middle = u + size[0] / 2, v + side * (12 + size[1] / 2)
                if rng.random() < share and not build(site, "house", *middle, size, 0.0, margin=0):
                    # Past a cross street, or out of the picture.
                    u += 4
                    continue
                if rng.random() < 0.35:
                    site.put(choose(site, _CARS), u + size[0] / 2, v + side * 5, 0.0 if side > 0 else np.pi, margin=0.5)
                u += size[0] + float(rng.uniform(*gap))


def intersection(site: Site) -> None:
    """Plan a crossing of two streets, with houses, car parks and trees at its corners."""
    rng, reach = site.rng, site.reach
    everywhere(site, "grass" if rng.random() < 0.6 else "soil", Material.GRASS)
    u, v = rng.uniform(-16, 16, 2)
    streets = [[(-reach, v), (reach, v)], [(u, -reach), (u, reach)]]
    for street in streets:
        site.ground(street, site.tone("pavement"), Material.CONCRETE, width=31)
    for street in streets:
        lay_road(site, street)
        mark(site, street)
    site.put("Intersection", u, v, size=(46, 46), margin=0, blocked=0, takes=0, layer=FLAT)
    for side, end in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        use, middle = rng.random(), (u + side * 52, v + end * 50)
        if use < 0.5:
            size = float(rng.uniform(24, 44)), float(rng.uniform(18, 40))
            build(site, "house" if size[1] < 24 else "flat", *middle, size, 0.0)
        elif use < 0.75:
            parking(
                site,
                sorted_pair(u + side * 20, u + side * reach),
                sorted_pair(v + end * 22, v + end * reach),
                0.5,
                _CARS,
            )
    for street in streets:
        traffic(site, street, (16, 60), TRAFFIC)
    trees(site, int(rng.integers(4, 26)))


def _carriageways(site: Site, v: float) -> list[tuple[list[Span], float]]:
    """Lay two carriageways apart by a median; return the line and the width of each."""
    rng, reach = site.rng, site.reach
    width, apart = float(rng.choice((29.0, 41.0))), float(rng.uniform(4, 16))
    verge, surface = width * 2 + apart + 26, "asphalt" if rng.random() < 0.6 else "concrete"
    site.ground([(-reach, v), (reach, v)], site.tone("grass"), Material.GRASS, width=verge)
    ways: list[tuple[list[Span], float]] = []
    for side in (-1, 1):
        middle = v + side * (width + apart) / 2
        way = [(-side * reach, middle), (side * reach, middle)]
        site.ground(way, site.tone(surface, 3), Material.ASPHALT, width=width, takes=ROAD)
        lanes = np.arange(-width / 2 + 12.5, width / 2 - 3, 12.0)
        for lane in lanes[:-1] if len(lanes) > 2 else lanes[:1]:
            mark(site, way, offset=float(lane))
        for rim in (1.6 - width / 2, width / 2 - 1.6):
            mark(site, way, offset=rim, dash=None)
        ways.append((way, width))
    if rng.random() < 0.4:
        site.ground([(-reach, v), (reach, v)], (186, 184, 178), Material.CONCRETE, width=2.4)
    return ways


def _flow(site: Site, ways: list[tuple[list[Span], float]]) -> None:
    kinds = {**TRAFFIC, "Cargo Truck": 0.25}
    for way, width in ways:
        lanes = (-6.2, 6.2) if width < 35 else (-12.0, 0.0, 12.0)
        traffic(site, way, (20, 80), kinds, lanes=lanes, sides=(1,))


def freeway(site: Site) -> None:
    """Plan a freeway with two carriageways."""
    rng = site.rng
    everywhere(site, "grass" if rng.random() < 0.7 else "soil", Material.GRASS)
    bare(site, 5)
    ways = _carriageways(site, float(rng.uniform(-22, 22)))
    _flow(site, ways)
    trees(site, int(rng.integers(6, 40)), clump=float(rng.choice((0.0, 9.0))))


def overpass(site: Site) -> None:
    """Plan a road on a bridge over a freeway."""
    rng, reach = site.rng, site.reach
    everywhere(site, "grass" if rng.random() < 0.7 else "soil", Material.GRASS)
    bare(site, 5)
    v, u = float(rng.uniform(-12, 12)), float(rng.uniform(-22, 22))
    ways = _carriageways(site, v)
    _flow(site, ways)
    wide = float(rng.uniform(21, 27))
    across = 2 * abs(ways[0][0][0][1] - v) + ways[0][1] + 10
    for sign in (-1, 1):
        ramp = [(u, v + sign * (across / 2 - 1)), (u, sign * reach)]
        site.ground(ramp, site.tone("grass", 9), Material.GRASS, width=wide + 12)
        lay_road(site, ramp, width=wide - 4)
        mark(site, ramp)
    site.put("Bridge", u, v, DOWN, size=(across, wide), margin=0, blocked=0, takes=0, layer=DECK)
    for side in (-1, 1):
        for along in np.arange(-reach + rng.uniform(0, 50), reach, rng.uniform(35, 80)):
            site.put(choose(site, TRAFFIC), u - side * 4.6, along, side * DOWN, blocked=0, layer=HIGH)
    trees(site, int(rng.integers(6, 24)), clump=8)


def runway(site: Site) -> None:
    """Plan a runway: edge lines, a dashed middle line, bars of the touchdown zone or the threshold."""
    rng, reach = site.rng, site.reach
    everywhere(site, "grass" if rng.random() < 0.7 else "soil", Material.GRASS)
    bare(site, 6)
    v, half = float(rng.uniform(-18, 18)), float(rng.uniform(26, 40))
    shoulder = half + float(rng.uniform(2, 14))
    tone = "asphalt" if rng.random() < 0.6 else "concrete"
    site.strip((-reach, reach), (v - shoulder, v + shoulder), site.tone("concrete"), Material.ASPHALT)
    site.strip((-reach, reach), (v - half, v + half), site.tone(tone), Material.ASPHALT)
    for side in (-1, 1):
        rim = v + side * (half - 2)
        site.strip((-reach, reach), (rim - 0.9, rim + 0.9), _WHITE, Material.PAINT)
    start = -reach + float(rng.uniform(0, 34))
    for u in np.arange(start, reach, 34):
        site.strip((u, u + 19), (v - 1.1, v + 1.1), _WHITE, Material.PAINT)
    marks, at = rng.random(), float(rng.uniform(-40, 20))
    if marks < 0.35:
        for side in (-1, 1):
            bar = v + side * 0.42 * half
            site.strip((at, at + 36), (bar - 3.6, bar + 3.6), _WHITE, Material.PAINT)
    elif marks < 0.7:
        site.strip((at - 4, at + 30), (v - 3, v + 3), site.tone(tone), Material.ASPHALT)
        for bar in np.arange(v - half + 6, v + half - 5, 6.0):
            site.strip((at, at + 26), (bar, bar + 3), _WHITE, Material.PAINT)
    for _ in range(int(rng.integers(3, 9))):
        smear = v + float(rng.normal(0, 0.3 * half)), float(rng.uniform(-reach, reach))
        red, green, blue = site.tone(tone)
        dark = (red - 14, green - 14, blue - 14)
        site.strip((smear[1], smear[1] + 40), (smear[0] - 1.2, smear[0] + 1.2), dark, Material.ASPHALT)


def storage_tanks(site: Site) -> None:
    """Plan round tanks, one large or many small, with pipes between."""
    rng, reach = site.rng, site.reach
    everywhere(site, "soil" if rng.random() < 0.5 else "concrete", Material.SOIL)
    bare(site, 3)
    radius = float(rng.choice((12.0, 18.0, 28.0))) * float(rng.uniform(0.9, 1.15))
    pitch = 2 * radius + float(rng.uniform(7, 18))
    start_u, start_v = -reach + rng.uniform(0, pitch, 2)
    for v in np.arange(start_v, reach, pitch):
        site.strip((-reach, reach), (v - 0.8, v + 0.8), (150, 152, 150), Material.PAINT)
        for u in np.arange(start_u, reach, pitch):
            if rng.random() < 0.8:
                size = 2 * radius * float(rng.uniform(0.85, 1.0))
                build(site, "tank", u, v, (size, size))
    if rng.random() < 0.5:
        road = [(-reach, start_v + pitch / 2), (reach, start_v + pitch / 2)]
        lay_road(site, road, width=6)
    trees(site, int(rng.integers(0, 14)))
