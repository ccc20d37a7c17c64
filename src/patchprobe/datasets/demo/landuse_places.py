"""What land-use images show: one place for each of UCMerced's classes, seen from further above than aerial scenes."""

from collections.abc import Callable

import numpy as np

from patchprobe.datasets.demo.aerial import SOLID, Plan, Site, Span
from patchprobe.datasets.demo.aerial_canvas import Color, Material
from patchprobe.datasets.demo.aerial_looks import daylight, tones
from patchprobe.datasets.demo.aerial_parts import (
    AIRPLANES,
    DOWN,
    TRAFFIC,
    UP,
    bare,
    blob,
    build,
    choose,
    court,
    everywhere,
    fleet,
    lay_road,
    mark,
    parking,
    plant,
    traffic,
    trees,
)
from patchprobe.datasets.demo.landuse_built import (
    buildings,
    dense_houses,
    freeway,
    homes,
    intersection,
    loose_houses,
    overpass,
    runway,
    storage_tanks,
)

# The grass, the trees and the crops of a season.
_SEASONS: dict[str, tuple[Color, str, tuple[Color, ...]]] = {
    "spring": ((96, 128, 62), "tree", ((104, 134, 66), (126, 108, 86), (80, 116, 60))),
    "summer": ((112, 118, 70), "tree", ((166, 148, 98), (84, 116, 58), (178, 164, 112))),
    "autumn": ((128, 120, 80), "autumn tree", ((138, 108, 82), (160, 140, 96), (96, 108, 66))),
    "winter": ((116, 112, 90), "bare tree", ((118, 98, 84), (104, 94, 88), (108, 118, 78))),
}


def plan_place(rng: np.random.Generator, name: str, size: int) -> Plan:
    """Plan an image of a class of UCMerced, ``size`` px a side as it is drawn; ``name`` is one of PLACES."""
    season = list(_SEASONS)[int(rng.integers(len(_SEASONS)))]
    grass, foliage, crops = _SEASONS[season]
    looks = tones(rng)
    looks["crops"] = crops[int(rng.integers(len(crops)))]
    if rng.random() < 0.7:
        looks["grass"] = grass
    site = Site(size, rng, float(rng.uniform(0, 2 * np.pi)), looks, foliage)
    PLACES[name](site)
    return Plan(size, tuple(site.areas), tuple(site.things), daylight(rng, site.angle))


def _agricultural(site: Site) -> None:
    rng, reach = site.rng, site.reach
    period, contrast = rng.uniform(4.5, 11), rng.uniform(0.05, 0.17)
    cut = float(rng.uniform(-1.6, 1.6)) * reach
    for v0, v1 in ((-reach, cut), (cut, reach)):
        if v0 < v1:
            corners = [(-reach, v0), (reach, v0), (reach, v1), (-reach, v1)]
            site.ground(corners, site.tone("crops", 9), Material.CROPS, rows=(0.0, period, contrast))
    if rng.random() < 0.6:
        site.ground([(-reach, cut), (reach, cut)], site.tone("soil"), Material.SOIL, width=rng.uniform(3, 8))
    for _ in range(rng.integers(0, 4)):
        blob(site, *_within(site, reach), rng.uniform(8, 26), site.tone("crops", 12), Material.CROPS)


def _airplane(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "concrete" if rng.random() < 0.7 else "asphalt", Material.CONCRETE)
    planes = fleet(site, AIRPLANES, 2)
    yellow: Color = (206, 176, 58)
    gate, row = rng.uniform(50, 66), rng.uniform(-24, 24)
    if rng.random() < 0.5:
        build(site, "flat", 0, row - 52, (2 * reach, 34), margin=0)
    elif rng.random() < 0.5:
        site.strip((-reach, reach), (row + 46, reach), site.tone("grass"), Material.GRASS)
    site.ground([(-reach, row + 34), (reach, row + 34)], yellow, Material.PAINT, width=1.2)
    for u in np.arange(-reach + rng.uniform(0, gate), reach, gate):
        site.ground([(u, row - 26), (u, row + 34)], yellow, Material.PAINT, width=0.9)
        if rng.random() < 0.8:
            site.put(choose(site, planes), u, row, UP + rng.normal(0, 0.03), margin=1)
    for _ in range(8):
        kind = choose(site, {"Van": 0.5, "Cargo Truck": 0.3, "Small Car": 0.2})
        site.put(kind, *_within(site, reach), UP + rng.normal(0, 0.4), margin=3)
    if not any(thing.kind in AIRPLANES for thing in site.things):
        site.put(choose(site, planes), 0, 0, UP, blocked=0)


def _baseballdiamond(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "grass" if rng.random() < 0.8 else "soil", Material.GRASS)
    bare(site, 5)
    court(site, "Baseball Field", *_within(site, 14), 0.0)
    if rng.random() < 0.4:
        lay_road(site, [(-reach, -60), (reach, -60)], width=13)
    _park(site, 26)


def _beach(site: Site) -> None:
    rng, reach = site.rng, site.reach
    site.strip((-reach, reach), (-reach, reach), (214, 196, 160), Material.SOIL)
    coast, long = rng.uniform(-26, 26), rng.uniform(70, 160)

    def shore(away: float, wave: float) -> list[tuple[float, float]]:
        phase = rng.uniform(0, 6.3)
        return [
            (float(u), coast + away + 4 * np.sin(u / long * 6.3) + wave * np.sin(u / 21 + phase))
            for u in np.arange(-reach, reach + 8, 8)
        ]

    def sea(away: float, wave: float, color: Color, material: Material) -> None:
        line = shore(away, wave)
        site.ground([*line, (reach, reach), (-reach, reach)], color, material)

    sea(-rng.uniform(6, 14), 2.0, (168, 146, 116), Material.SOIL)
    sea(0, 3.0, (206, 216, 214), Material.FOAM)
    red, green, blue = site.tone("water")
    for number in range(int(rng.integers(1, 4))):
        sea(6 + 15 * number, 3.5, (red + 14, green + 22, blue + 18), Material.WATER)
        if rng.random() < 0.6:
            width = float(rng.uniform(1.5, 6))
            site.ground(shore(17 + 15 * number, 2.5), (206, 216, 214), Material.FOAM, width=width)
    sea(24 + 15 * number, 2.0, (red, green, blue), Material.WATER)
    trees(site, int(rng.integers(0, 14)), v=(-reach, coast - 34), clump=6)


def _chaparral(site: Site) -> None:
    rng, reach = site.rng, site.reach
    ground: tuple[Color, ...] = ((178, 150, 112), (164, 132, 98), (152, 142, 104), (186, 162, 128))
    site.strip((-reach, reach), (-reach, reach), ground[int(rng.integers(len(ground)))], Material.SOIL)
    if rng.random() < 0.25:
        site.ground([(-reach, rng.uniform(-40, 40)), (reach, 0)], (196, 176, 144), Material.SOIL, width=5)
    low, high = (3, 5.5) if rng.random() < 0.4 else (4, 9)
    for _ in range(int(rng.uniform(190, 420))):
        size = float(rng.uniform(low, high))
        site.put("bush", *_within(site, reach), size=(size, size), margin=0.3)


def _forest(site: Site) -> None:
    rng, reach = site.rng, site.reach
    site.strip((-reach, reach), (-reach, reach), (66, 78, 52), Material.LEAVES)
    glade = _within(site, reach) if rng.random() < 0.4 else None
    if glade:
        blob(site, *glade, rng.uniform(10, 24), site.tone("grass"), Material.GRASS)
    mean = rng.uniform(9, 17)
    for _ in range(int(2.0 * (2 * reach / mean) ** 2)):
        place, size = _within(site, reach), mean * rng.uniform(0.6, 1.3)
        if not glade or np.hypot(place[0] - glade[0], place[1] - glade[1]) > 16:
            site.put(site.foliage, *place, size=(size, size), margin=-0.28 * size)


def _golfcourse(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "grass", Material.GRASS)
    bare(site, 6)
    red, green, blue = site.tone("grass")
    start, end = (-reach, rng.uniform(-30, 30)), (reach, rng.uniform(-30, 30))
    site.ground([start, (0, rng.uniform(-14, 14)), end], (red, green + 14, blue), Material.GRASS, width=52)
    hole = _within(site, 22)
    blob(site, *hole, rng.uniform(17, 25), (red - 6, green + 28, blue + 4), Material.GRASS)
    for angle in rng.uniform(0, 6.3) + np.arange(int(rng.integers(2, 6))) * rng.uniform(0.7, 1.2):
        away = rng.uniform(27, 38)
        spot = hole[0] + away * np.cos(angle), hole[1] + away * np.sin(angle)
        blob(site, *spot, rng.uniform(6, 10.5), (222, 208, 174), Material.SOIL)
    if rng.random() < 0.5:
        path = [(-reach, hole[1] + 44), (0, hole[1] + rng.uniform(38, 50)), (reach, hole[1] + 40)]
        site.ground(path, (190, 184, 170), Material.CONCRETE, width=4)
    _park(site, 30)


def _harbor(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "water", Material.WATER)
    away, pitch = rng.uniform(0, 40), rng.uniform(37, 44)
    for u in np.arange(-reach + away, reach + 20, pitch):
        site.strip((u - 1.6, u + 1.6), (-reach, reach), (186, 176, 158), Material.CONCRETE)
        for side in (-1, 1):
            for v in np.arange(-reach, reach, 8.6):
                if rng.random() < 0.84:
                    site.put("Motorboat", u + side * 10.5, v, 0 if side > 0 else np.pi, margin=0.1)
    if rng.random() < 0.4:
        quay = rng.uniform(30, 50)
        site.strip((-reach, reach), (quay, reach), site.tone("concrete"), Material.CONCRETE)
        parking(site, (-reach, reach), (quay + 6, reach), 0.5, {"Small Car": 0.8, "Van": 0.2})


def _parkinglot(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "asphalt" if rng.random() < 0.6 else "concrete", Material.ASPHALT)
    start = -reach - rng.uniform(0, 45)
    parking(site, (-reach, reach), (start, reach), rng.uniform(0.45, 0.95), {"Small Car": 0.8, "Van": 0.2}, lot=False)
    if rng.random() < 0.35:
        trees(site, 8)


def _river(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "grass", Material.GRASS)
    bare(site, 6)
    long, bend, phase, wide = rng.uniform(120, 300), rng.uniform(6, 22), rng.uniform(0, 6.3), rng.uniform(20, 46)
    turns = np.arange(-reach, reach + 10, 7)
    course = np.stack((turns, rng.uniform(-14, 14) + bend * np.sin(turns / long * 6.3 + phase)), 1)
    site.ground(course, site.tone("soil"), Material.SOIL, width=wide + rng.uniform(2, 12))
    site.ground(course, site.tone("river"), Material.WATER, width=wide, takes=SOLID)
    density = rng.uniform(0.3, 1.0)
    for u, v in course.tolist():
        for side in (-1, 1, -1, 1):
            if rng.random() < density:
                plant(site, u + rng.normal(0, 4), v + side * (wide / 2 + 5 + abs(rng.normal(0, 13))))
    trees(site, int(70 * density), clump=14)


def _tenniscourt(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "grass" if rng.random() < 0.7 else "asphalt", Material.GRASS)
    count, u, v = int(rng.integers(1, 5)), rng.uniform(-12, 12), rng.uniform(-12, 12)
    for number in range(count):
        court(site, "Tennis Court", u, v + (number - (count - 1) / 2) * 25.5, 0.0, 0.0)
    if rng.random() < 0.6:
        build(site, "house" if rng.random() < 0.5 else "flat", u + 52, v, (30, 22), DOWN)
    if rng.random() < 0.4:
        road = [(u - 46, -reach), (u - 46, reach)]
        lay_road(site, road, width=16)
        mark(site, road)
        traffic(site, road, (30, 90), TRAFFIC, lanes=(4.2,))
    _park(site, 34)


def _within(site: Site, reach: float) -> Span:
    """Draw a place at most ``reach`` px from the middle either way."""
    u, v = site.rng.uniform(-reach, reach, 2).tolist()
    return u, v


def _park(site: Site, most: int) -> None:
    """Plant some trees, single ones or in groups."""
    trees(site, int(site.rng.integers(4, most)), clump=float(site.rng.choice((0.0, 10.0))))


# By the official names, in the order in which a number of classes takes them: some that are alike are among the first.
PLACES: dict[str, Callable[[Site], None]] = {
    "agricultural": _agricultural,
    "denseresidential": dense_houses,
    "forest": _forest,
    "freeway": freeway,
    "harbor": _harbor,
    "mediumresidential": lambda site: loose_houses(site, (40, 50), 0.95),
    "river": _river,
    "overpass": overpass,
    "parkinglot": _parkinglot,
    "intersection": intersection,
    "storagetanks": storage_tanks,
    "tenniscourt": _tenniscourt,
    "runway": runway,
    "beach": _beach,
    "golfcourse": _golfcourse,
    "airplane": _airplane,
    "buildings": buildings,
    "chaparral": _chaparral,
    "mobilehomepark": homes,
    "baseballdiamond": _baseballdiamond,
    "sparseresidential": lambda site: loose_houses(site, (70, 90), 0.85),
}
