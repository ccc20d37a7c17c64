"""The kinds of aerial scenes: airport, harbour, town, junction of a motorway, sports park, river, industry."""

from collections.abc import Callable

import numpy as np

from patchprobe.datasets.demo.aerial import DECK, FLAT, HIGH, ROAD, SOLID, WATER, Plan, Site
from patchprobe.datasets.demo.aerial_canvas import Color, Material
from patchprobe.datasets.demo.aerial_looks import daylight, tones
from patchprobe.datasets.demo.aerial_parts import (
    AIRPLANES,
    BIG_SHIPS,
    DOWN,
    FREIGHT,
    ROAD_WIDTH,
    SMALL_SHIPS,
    TRAFFIC,
    UP,
    avenue,
    bare,
    build,
    choose,
    everywhere,
    fields,
    fleet,
    grid,
    lay_road,
    mark,
    parking,
    plant,
    pontoons,
    slip_road,
    traffic,
    trail,
    trees,
    under_way,
    yard,
)
from patchprobe.datasets.demo.aerial_town import sports_park, town
from patchprobe.seeds import generator


def plan_scene(seed: int, split: str, number: int, size: int) -> Plan:
    """Plan one scene of a split; the first four are of kinds that hold all supercategories, the first seven of all kinds."""
    rounds, place = divmod(number, len(_PLACES))
    deal = generator(seed, "aerial", split, "deal", rounds)
    order = [*deal.permutation(4).tolist(), *(4 + deal.permutation(len(_PLACES) - 4)).tolist()]
    rng = generator(seed, "aerial", split, number, "plan")
    site = Site(size, rng, float(rng.uniform(0, 2 * np.pi)), tones(rng))
    _PLACES[order[place]](site)
    return Plan(size, tuple(site.areas), tuple(site.things), daylight(rng, site.angle))


def _airport(site: Site) -> None:
    rng, reach = site.rng, site.reach
    planes = fleet(site, AIRPLANES, 4)
    everywhere(site, "grass", Material.GRASS)
    bare(site, 14)
    edge = -0.3 * site.size + rng.uniform(-25, 25)
    apron_end = edge + rng.uniform(205, 235)
    paving = site.tone("concrete")
    site.strip((-reach, reach), (edge - 60, edge - 4), paving, Material.CONCRETE)
    site.strip((-reach, reach), (edge - 4, apron_end), paving, Material.CONCRETE, takes=ROAD)
    runway = apron_end + rng.uniform(75, 95)
    site.strip((-reach, reach), (runway - 24, runway + 24), site.tone("asphalt"), Material.ASPHALT, takes=ROAD)
    for side in (-21, 21):
        mark(site, [(-reach, runway + side), (reach, runway + side)], dash=None)
    for u in np.arange(-reach, reach, 34):
        site.strip((u, u + 18), (runway - 0.9, runway + 0.9), (232, 232, 226), Material.PAINT)
    for u in np.arange(-reach + rng.uniform(0, 200), reach, rng.uniform(210, 320)):
        rim = [(u + 34, apron_end - 2), (u + 17, apron_end + 18), (u + 17, runway - 42), (u + 34, runway - 22)]
        other = [(2 * u - a, b) for a, b in reversed(rim)]
        site.ground([*rim, *other], site.tone("asphalt"), Material.ASPHALT, takes=ROAD)
        site.ground([(u, apron_end - 28), (u, runway)], (206, 176, 58), Material.PAINT, width=0.9)
    yellow: Color = (206, 176, 58)
    taxi = [edge + 96, apron_end - 28]
    for v in taxi:
        site.ground([(-reach, v), (reach, v)], yellow, Material.PAINT, width=1.0)
    site.ground([(-reach, edge + 4), (reach, edge + 4)], site.tone("asphalt"), Material.ASPHALT, width=12)
    u = -reach + rng.uniform(0, 60)
    while u < reach:
        length = rng.uniform(120, 260)
        build(site, "flat" if rng.random() < 0.6 else "hall", u + length / 2, edge - 25, (length, 38), margin=0)
        u += length + rng.uniform(6, 40)
    u = -reach + rng.uniform(0, 40)
    while u < reach:
        kind = choose(site, planes)
        half = 30 if kind in ("Boeing747", "Boeing777", "A330") else 20
        u += half
        site.ground([(u, edge + 14), (u, taxi[0])], yellow, Material.PAINT, width=0.8)
        if rng.random() < 0.78:
            nose = edge + 15 + (31 if half == 30 else 20)
            if site.put(kind, u, nose, UP + rng.normal(0, 0.02), margin=2, blocked=SOLID):
                site.put("jetway", u - 7, edge + 6, DOWN + 0.3, size=(30, 4), margin=0, blocked=0, takes=0)
            for away in (-half + 2, half - 2):
                service = {"Van": 0.45, "Cargo Truck": 0.25, "Small Car": 0.2, "Bus": 0.1}
                if rng.random() < 0.6:
                    site.put(choose(site, service), u + away, edge + 20 + rng.uniform(0, 30), UP + rng.normal(0, 0.3))
        u += half + rng.uniform(4, 14)
    traffic(
        site,
        [(-reach, edge + 4), (reach, edge + 4)],
        (30, 120),
        {"Van": 0.5, "Bus": 0.2, "Small Car": 0.3},
        lanes=(3.6,),
    )
    for v, turns in ((taxi[1], (0, np.pi)), (runway, (0,)), (taxi[0] + 34, (UP - 0.6, UP + 0.6))):
        for u in np.arange(-reach + rng.uniform(0, 150), reach, rng.uniform(90, 170)):
            if v != runway or rng.random() < 0.25:
                site.put(choose(site, planes), u, v, float(rng.choice(turns)) + rng.normal(0, 0.03), margin=6)
    back = edge - 62
    lay_road(site, [(-reach, back), (reach, back)])
    mark(site, [(-reach, back), (reach, back)])
    traffic(site, [(-reach, back), (reach, back)], (25, 80), TRAFFIC)
    for u in np.arange(-reach, reach, 130):
        parking(site, (u, u + 118), (back - 75, back - 18), 0.6, {"Small Car": 0.8, "Van": 0.2})
    trees(site, 50, v=(-reach, edge), clump=12)


def _harbour(site: Site) -> None:
    rng, reach = site.rng, site.reach
    large, small = fleet(site, BIG_SHIPS, 2), fleet(site, SMALL_SHIPS, 2)
    everywhere(site, "water", Material.WATER)
    whole = [(-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)]
    site.ground(whole, site.tone("water"), Material.WATER, takes=WATER)
    coast = -0.04 * site.size + rng.uniform(-30, 30)
    quay, land = site.tone("concrete"), site.tone("concrete", 12)
    site.strip((-reach, reach), (-reach, coast), land, Material.CONCRETE, frees=WATER)
    site.strip((-reach, reach), (coast - 7, coast), quay, Material.CONCRETE)
    piers = [rng.uniform(-0.36, -0.12) * site.size, rng.uniform(0.16, 0.4) * site.size]
    for u in piers:
        long, half = rng.uniform(110, 170), rng.uniform(11, 17)
        site.strip((u - half, u + half), (coast - 2, coast + long), quay, Material.CONCRETE, frees=WATER)
        site.strip((u - half + 3, u + half - 3), (coast - 2, coast + long - 3), land, Material.CONCRETE)
        for side in (-1, 1):
            v = coast + 10
            while v < coast + long:
                kind = choose(site, large if rng.random() < 0.55 else small)
                length, width = (70, 18) if kind in large else (28, 12)
                if rng.random() < 0.75:
                    site.put(kind, u + side * (half + width / 2 + 1.5), v + length / 2, float(rng.choice((UP, DOWN))),
                             margin=0.3, needs=WATER)  # fmt: skip
                v += length + rng.uniform(6, 16)
        traffic(site, [(u, coast), (u, coast + long - 10)], (20, 60), FREIGHT, lanes=(5,))
        for v in np.arange(coast + 30, coast + long - 20, 60):
            site.put("stack", u, v, DOWN, size=(32, 12), blocked=SOLID, layer=HIGH)
    pontoons(site, (piers[0] + piers[1]) / 2 + rng.uniform(-20, 20), coast)
    u = -reach
    while u < reach:
        kind = choose(site, large if rng.random() < 0.6 else small)
        length, width = (70, 18) if kind in large else (28, 12)
        if (
            site.put(
                kind, u + length / 2, coast + width / 2 + 1.5, float(rng.choice((0, np.pi))), margin=1, needs=WATER
            )
            and kind == "Dry Cargo Ship"
        ):
            site.put("crane", u + length / 2, coast - 10, DOWN, size=(44, 18), blocked=0, takes=0, layer=HIGH)
        u += length + rng.uniform(10, 60)
    under_way(site, 34, (-reach, reach), (coast + 30, reach), large, small)
    street = coast - 30
    lay_road(site, [(-reach, street), (reach, street)])
    mark(site, [(-reach, street), (reach, street)])
    traffic(site, [(-reach, street), (reach, street)], (24, 80), {**FREIGHT, "Small Car": 0.4, "Van": 0.3})
    u = -reach
    while u < reach:
        wide = rng.uniform(70, 130)
        yard(site, (u, u + wide), (street - 105, street - 15))
        u += wide + 10
    site.strip((-reach, reach), (-reach, street - 112), site.tone("grass"), Material.GRASS)
    trees(site, 90, v=(-reach, street - 112), clump=14)


def _river(site: Site) -> None:
    rng, reach = site.rng, site.reach
    length, bend, phase = rng.uniform(330, 520), rng.uniform(20, 42), rng.uniform(0, 6.3)
    wide = rng.uniform(42, 52)

    def middle(u: float) -> float:
        """The middle of the river at a place along it, m."""
        return float(bend * np.sin(2 * np.pi * u / length + phase))

    course = [(float(u), middle(u)) for u in np.arange(-reach, reach + 20, 14)]
    hedges = fields(site)
    site.ground(course, site.tone("grass"), Material.GRASS, width=wide + 26)
    site.ground(course, site.tone("soil"), Material.SOIL, width=wide + 5)
    site.ground(course, site.tone("river"), Material.WATER, width=wide, takes=WATER)
    roads = [rng.uniform(-0.34, -0.1) * site.size, rng.uniform(0.08, 0.34) * site.size]
    for u in roads:
        road = [(u, -reach), (u, reach)]
        slope = bend * 2 * np.pi / length * np.cos(2 * np.pi * u / length + phase)
        lay_road(site, road, width=18)
        mark(site, road)
        site.put("Bridge", u, middle(u), DOWN, size=(min(wide * np.hypot(1, slope) + 14, 74.0), 23), margin=0,
                 blocked=0, takes=0, layer=DECK)  # fmt: skip
        traffic(site, road, (35, 130), {**TRAFFIC, "Dump Truck": 0.06}, lanes=(4.6,))
    lane = [(-reach, middle(-reach) - 120), (roads[0], -110 + bend), (roads[1], -110 - bend), (reach, -130)]
    lay_road(site, lane, width=16)
    traffic(site, lane, (60, 200), TRAFFIC, lanes=(4.2,))
    for number, (u, v) in enumerate(course):
        if number % 2 == 0:
            kinds = {"Motorboat": 0.5, "Fishing Boat": 0.3, "Dry Cargo Ship": 0.2}
            slope = float(np.arctan(bend * 2 * np.pi / length * np.cos(2 * np.pi * u / length + phase)))
            if rng.random() < 0.55:
                turn = slope + float(rng.choice((0, np.pi)))
                place = u, v + rng.uniform(-9, 9)
                free = site.put(choose(site, kinds), *place, turn, margin=2, needs=WATER, blocked=SOLID | ROAD)
                if free and rng.random() < 0.7:
                    trail(site, *place, turn, 1.2 * site.things[-1].length + 8)
        for side in (-1, 1):
            plant(site, u + rng.normal(0, 4), v + side * (wide / 2 + 9 + abs(rng.normal(0, 6))))
    for u in roads:
        for _ in range(9):
            place = u + rng.choice((-1, 1)) * rng.uniform(22, 70), rng.uniform(-reach, reach)
            size = float(rng.uniform(20, 30)), float(rng.uniform(14, 20))
            build(site, "house" if rng.random() < 0.7 else "hall", *place, size, float(rng.choice((0, UP))))
    for hedge in hedges:
        avenue(site, *hedge, 9)
    trees(site, 60, clump=9)


def _motorway(site: Site) -> None:
    rng, reach = site.rng, site.reach
    hedges = fields(site)
    v, turn = rng.uniform(-40, 40), float(rng.uniform(-40, 40))
    ends = [(-reach, v), (reach, v)]
    site.ground(ends, site.tone("grass"), Material.GRASS, width=86)
    cross = [(turn, -reach), (turn, reach)]
    hubs = [v - rng.uniform(92, 120), v + rng.uniform(92, 120)]
    streets = [cross]
    for hub in hubs:
        near = np.sign(hub - v)
        for side in (-1, 1):
            end = side * reach, hub + rng.uniform(-50, 50)
            streets.append([(turn, hub), end])
            start = turn + 60 * side, hub + (end[1] - hub) * 60 / abs(end[0] - turn)
            slip_road(site, start, (turn + 105 * side, v + 34 * near), (turn + 250 * side, v + 25 * near))
    for side in (-1, 1):
        way = [(-reach, v + side * 18), (reach, v + side * 18)]
        lay_road(site, way, width=29)
        mark(site, way)
        for rim in (-13.2, 13.2):
            mark(site, way, offset=rim, dash=None)
    for way in streets:
        lay_road(site, way, width=19)
    for way in streets:
        mark(site, way)
    site.put("Bridge", turn, v, DOWN, size=(74, 24), margin=0, blocked=0, takes=0, layer=DECK)
    for hub in hubs:
        across = float(rng.uniform(58, 66))
        site.put("Roundabout", turn, hub, size=(across, across), margin=0, blocked=0, takes=0, layer=FLAT)
        for angle in rng.uniform(0, 2 * np.pi, 3):
            place = turn + 0.39 * across * np.cos(angle), hub + 0.39 * across * np.sin(angle)
            site.put(choose(site, {"Small Car": 0.7, "Van": 0.3}), *place, angle - np.pi / 2, margin=1.5)
        # Hidden by the roundabout: it keeps what follows the roads off it.
        turns = np.linspace(0, 2 * np.pi, 24)
        ring = np.stack((turn + 0.47 * across * np.cos(turns), hub + 0.47 * across * np.sin(turns)), 1)
        site.ground(ring.astype(np.float32), site.tone("asphalt"), Material.ASPHALT, takes=SOLID)
    # Nothing of the crossing road drives on the motorway below its bridge.
    for way in streets:
        traffic(site, way, (35, 110), TRAFFIC, lanes=(4.8,))
    for side in (-1, 1):
        way = [(-side * reach, v + side * 18), (side * reach, v + side * 18)]
        traffic(site, way, (24, 85), {**TRAFFIC, "Cargo Truck": 0.25}, lanes=(-6.5, 6.5), sides=(1,))
    plot = turn + rng.choice((-1, 1)) * rng.uniform(120, 180)
    site.strip((plot - 58, plot + 58), (hubs[1] + 27, hubs[1] + 123), site.tone("concrete"), Material.CONCRETE)
    yard(site, (plot - 55, plot + 55), (hubs[1] + 30, hubs[1] + 120))
    for _ in range(12):
        size = float(rng.uniform(20, 28)), float(rng.uniform(15, 20))
        build(
            site, "house", rng.uniform(-reach, reach), hubs[0] - rng.uniform(20, 90), size, float(rng.choice((0, UP)))
        )
    for hedge in hedges:
        avenue(site, *hedge, 9)
    trees(site, 90, clump=12)


def _industry(site: Site) -> None:
    rng, reach = site.rng, site.reach
    everywhere(site, "concrete", Material.CONCRETE)
    lines = [np.arange(-reach - rng.uniform(0, 100), reach + 160, rng.uniform(140, 165)).tolist(),
             np.arange(-reach - rng.uniform(0, 100), reach + 200, rng.uniform(170, 240)).tolist()]  # fmt: skip
    streets = grid(site, lines[0], lines[1], ("grass", Material.GRASS, 7.0))
    edge = ROAD_WIDTH / 2 + 9
    for u0, u1 in zip(lines[1][:-1], lines[1][1:], strict=True):
        for v0, v1 in zip(lines[0][:-1], lines[0][1:], strict=True):
            half = (u0 + u1) / 2
            spans = ((u0 + edge, half - 3), (half + 3, u1 - edge)) if u1 - u0 > 200 else ((u0 + edge, u1 - edge),)
            for plot in spans:
                tone = "concrete" if rng.random() < 0.5 else "asphalt"
                site.strip(plot, (v0 + edge, v1 - edge), site.tone(tone, 10), Material.CONCRETE)
                yard(site, plot, (v0 + edge + 2, v1 - edge - 2))
    for street in streets:
        traffic(site, street, (30, 100), {**FREIGHT, "Small Car": 0.4, "Van": 0.3})
        if rng.random() < 0.7:
            side = ROAD_WIDTH / 2 + 4.5
            across = street[0][0] == street[1][0]
            start, end = (((u + side, v) if across else (u, v + side)) for u, v in street)
            for share in np.arange(0, 1, 13 / (2 * reach)):
                plant(
                    site, start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share, on_verge=True
                )


# The first four hold all supercategories.
_PLACES: tuple[Callable[[Site], None], ...] = (town, _airport, _harbour, _motorway, sports_park, _river, _industry)
