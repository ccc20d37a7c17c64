"""What stands where in a street."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from patchprobe.datasets.demo.ground import Layout, Verge
from patchprobe.datasets.demo.labels import Instances
from patchprobe.datasets.demo.scene import Tag
from patchprobe.datasets.demo.style import City

Put = Callable[..., None]
# The names of the parts that are things of their own, where they are not the kind.
_TAGS = {"cyclist": ("bicycle", "rider"), "motorcyclist": ("motorcycle", "rider"), "tractor": ("dynamic",)}


@dataclass(frozen=True)
class Thing:
    """Something in a street: what draws it, where it stands (metres), where it looks (radians) and its own seed.

    ``outer`` things stand behind the building line and are drawn first. ``speed`` is along its direction, in m/s.
    """

    kind: str
    x: float
    z: float
    seed: int
    yaw: float = 0.0
    end: float = 0.0
    outer: bool = False
    tags: tuple[Tag, ...] = ()
    speed: float = 0.0
    phase: float = 0.0

    def after(self, seconds: float) -> "Thing":
        """Return the thing some time later."""
        way = self.speed * seconds
        phase = self.phase + (2.5 * way if self.speed else 0.0)
        return replace(
            self, x=self.x + way * float(np.sin(self.yaw)), z=self.z + way * float(np.cos(self.yaw)), phase=phase
        )

    def seen_after(self, advance: float) -> "Thing":
        """Return the thing as far off as it is for a camera that has gone some metres along the street."""
        # Blocks stand across the street: they end at an x.
        return replace(self, z=self.z - advance, end=self.end - (0.0 if self.kind == "block" else advance))


def plan_layout(rng: np.random.Generator, city: City) -> Layout:
    """Draw the widths of a street, its crossing and its end."""
    half = rng.uniform(2.6, 4.2) if rng.random() < 0.8 else rng.uniform(4.2, 7.5)

    def verge() -> Verge:
        green = rng.uniform(1, 5) if rng.random() < city.greens else 0.0
        beyond = str(rng.choice(("terrain", "pavement", "ground"), p=(0.65, 0.25, 0.1)))
        parking = 2.2 if rng.random() < 0.7 * city.parking else 0.0
        return Verge(half, parking, rng.uniform(1.8, 5.5), green, beyond)

    crossing = None
    if rng.random() < 0.4:
        near = rng.uniform(9, 45)
        crossing = (near, near + rng.uniform(6, 14))
    zebra = (
        crossing[0] - 4.5 if crossing and rng.random() < 0.5 else rng.uniform(6, 30) if rng.random() < 0.15 else None
    )
    return Layout(-half * rng.uniform(0.1, 0.7), verge(), verge(), crossing, rng.uniform(50, 160), zebra)


def plan_things(rng: np.random.Generator, city: City, layout: Layout) -> list[Thing]:
    """Draw what stands and moves in a street, and where."""
    instances = Instances()
    things: list[Thing] = []
    put = putting(rng, things)
    plan_sides(rng, city, layout, put, instances)
    _traffic(rng, city, layout, put, instances)
    return things


def putting(rng: np.random.Generator, things: list[Thing]) -> Put:
    """Return what adds a thing to a list: called with kind, x and z, and with other fields of :class:`Thing` by name."""

    def put(kind: str, x: float, z: float, *, seed: int | None = None, **more: Any) -> None:
        things.append(Thing(kind, float(x), float(z), int(rng.integers(2**62)) if seed is None else seed, **more))

    return put


def plan_sides(rng: np.random.Generator, city: City, layout: Layout, put: Put, instances: Instances) -> None:
    """Put all that is beside the road and at its end, people on the pavements and parked vehicles with it."""
    _background(rng, city, layout, put)
    for sign in (-1, 1):
        _frontage(rng, city, layout, sign, put)
        _pavement(rng, city, layout, sign, put, instances)


def _background(rng: np.random.Generator, city: City, layout: Layout, put: Put) -> None:
    """Close the street at its far end, by houses and trees."""
    x = layout.middle - 90.0
    while x < layout.middle + 90:
        width = rng.uniform(8, 22)
        if rng.random() < 0.65:
            put("block", x, layout.end + rng.uniform(5, 30), end=x + width, outer=True)
        elif rng.random() < 0.7:
            for _ in range(3):
                put("tree", x + rng.uniform(0, width), layout.end + rng.uniform(2, 30), outer=True)
        x += width * rng.uniform(0.8, 1.3)


def _frontage(rng: np.random.Generator, city: City, layout: Layout, sign: int, put: Put) -> None:
    """Put houses, walls, fences, hedges and gardens along one side."""
    line, z = layout.at(sign, layout.side(sign).line), rng.uniform(-6, 4)
    while z < layout.end:
        length = rng.uniform(7, 22)
        if layout.crossing and z < layout.crossing[1] + 1 and z + length > layout.crossing[0] - 1:
            before = layout.crossing[0] - 1 - z
            if before < 4:
                z = layout.crossing[1] + 1
                continue
            length = before
        end = min(z + length, layout.end)
        if rng.random() > city.gaps:
            put("building", line + sign * rng.uniform(0, 0.6), z, end=end, outer=True)
        else:
            _garden(rng, city, line, sign, z, end, put)
        z = end + (rng.uniform(1, 5) if rng.random() < 0.25 else 0.0)


def _garden(rng: np.random.Generator, city: City, line: float, sign: int, z0: float, z1: float, put: Put) -> None:
    put("block", line + sign * 14, z1 + 6, end=line + sign * 34, outer=True)
    for _ in range(rng.poisson(2.0 * city.trees)):
        put("tree", line + sign * rng.uniform(2, 12), rng.uniform(max(z0, 3), max(z1, 4)), outer=True)
    for _ in range(rng.poisson(1.5)):
        put("bush", line + sign * rng.uniform(0.8, 6), rng.uniform(max(z0, 3), max(z1, 4)), outer=True)
    # Drawn after the plants behind it, since it counts with its near end.
    edge = rng.random()
    if edge < city.fences * 0.6:
        put("fence", line, z0, end=z1, outer=True)
    elif edge < city.fences:
        put("wall", line, z0, end=z1, outer=True)
    elif edge < city.fences + 0.2:
        put("hedge", line, z0, end=z1, outer=True)


def _pavement(rng: np.random.Generator, city: City, layout: Layout, sign: int, put: Put, instances: Instances) -> None:
    """Put trees, poles, signs, clutter, people and parked vehicles on one side."""
    verge = layout.side(sign)
    kerb, line = verge.kerb, verge.line

    def inside(low: float, high: float) -> float:
        return layout.at(sign, rng.uniform(low, max(high, low + 0.1)))

    def free(z: float) -> bool:
        return layout.crossing is None or not layout.crossing[0] - 1 < z < layout.crossing[1] + 1

    def depth(near: float, far: float) -> float:
        return float(np.exp(rng.uniform(np.log(near), np.log(far))))

    if rng.random() < 0.5 * city.trees:
        spacing, x = rng.uniform(6, 14), layout.at(sign, kerb + rng.uniform(0.6, 1.0))
        for z in np.arange(rng.uniform(4, 4 + spacing), layout.end, spacing):
            if free(z) and rng.random() < 0.85:
                put("tree", x, z + rng.normal(0, 0.5))
    if rng.random() < 0.2:
        kind, look = "fence" if rng.random() < 0.7 else "wall", int(rng.integers(2**62))
        start = rng.uniform(3, 15)
        # In short panels, since other things stand before and behind it.
        for z in np.arange(start, start + rng.uniform(4, 14), 1.5):
            put(kind, layout.at(sign, kerb + 0.25), z, end=float(z) + 1.5, seed=look)
    if rng.random() < 0.7:
        spacing, x = rng.uniform(14, 28), layout.at(sign, kerb + 0.5)
        for z in np.arange(rng.uniform(6, 6 + spacing), layout.end, spacing):
            put("lamp", x, z)
    for kind, rate in (
        ("sign", 1.6 * city.signs),
        ("board", 0.25 * city.signs),
        ("clutter", 2.0 * city.clutter),
        ("bush", 0.8 * city.greens),
    ):
        for _ in range(rng.poisson(rate)):
            z = depth(5, 45)
            if free(z):
                put(kind, inside(kerb + 0.3, kerb + 0.9 if kind in ("sign", "board") else line - 0.5), z)
    at_crossing = layout.zebra if layout.zebra is not None else layout.crossing[0] - 1 if layout.crossing else None
    if at_crossing is not None and rng.random() < 0.7:
        put("traffic_light", layout.at(sign, kerb + 0.5), max(at_crossing - 0.5, 3.5))
    for _ in range(rng.poisson(2.8 * city.people)):
        z = depth(5, 45)
        for _ in range(1 + (rng.random() < 0.35)):
            yaw = 0.0 if rng.random() < 0.5 else np.pi
            walks = 1.3 if rng.random() < 0.75 else 0.0
            tag = (instances.tag("person"),)
            put(
                "person",
                inside(kerb + 0.4, line - 0.4),
                z + rng.uniform(-0.5, 0.5),
                yaw=yaw,
                tags=tag,
                speed=walks,
                phase=rng.uniform(0, 6.3),
            )
    for _ in range(rng.poisson(0.9 * city.cycles)):
        z, x = depth(5, 30), inside(kerb + 0.4, line - 0.4)
        for i in range(rng.integers(1, 4)):
            put("bicycle", x, z + 0.55 * i, yaw=rng.normal(np.pi / 2, 0.5), tags=(instances.tag("bicycle"),))
    if rng.random() < 0.35 * city.cycles:
        put(
            "motorcycle",
            inside(kerb + 0.3, kerb + 1.5),
            depth(5, 25),
            yaw=rng.normal(0, 1.0),
            tags=(instances.tag("motorcycle"),),
        )
    if verge.parking or rng.random() < 0.5 * city.parking:
        x = layout.at(sign, kerb - 1.1 if verge.parking else kerb - 0.95)
        z = rng.uniform(3, 12)
        while z < min(layout.end, 70):
            if free(z) and free(z + 4) and rng.random() < 0.75:
                kind = "truck" if rng.random() < 0.05 else "car"
                put(
                    kind,
                    x + rng.normal(0, 0.1),
                    z,
                    yaw=(0.0 if sign > 0 else np.pi) + rng.normal(0, 0.03),
                    tags=(instances.tag(kind),),
                )
                z += 5 if kind == "truck" else 0
            z += rng.uniform(5.2, 7.5)


def _traffic(rng: np.random.Generator, city: City, layout: Layout, put: Put, instances: Instances) -> None:
    """Put moving vehicles and people on the road, and across it."""
    kinds, shares = ("car", "truck", "bus", "cyclist", "motorcyclist"), (0.6, 0.1, 0.1, 0.13, 0.07)
    half = layout.right.half_road
    for sign, yaw in ((1, 0.0), (-1, np.pi)):
        z = rng.uniform(7, 22)
        while z < min(layout.end, 90):
            if rng.random() < 0.55 * city.traffic:
                kind = str(rng.choice(kinds, p=shares))
                slow = kind in ("cyclist", "motorcyclist")
                x = layout.at(sign, half * (rng.uniform(0.7, 0.9) if slow else rng.uniform(0.42, 0.58)))
                ride(
                    rng, kind, x, z + (4 if kind in ("truck", "bus") else 0), yaw + rng.normal(0, 0.05), put, instances
                )
                z += 8 if kind in ("truck", "bus") else 2
            z += rng.exponential(10) + 5
    if layout.crossing:
        near, far = layout.crossing
        for share, yaw in ((0.3, -np.pi / 2), (0.7, np.pi / 2)):
            for _ in range(rng.poisson(1.1 * city.traffic)):
                kind = str(rng.choice(kinds, p=shares))
                x, z = rng.uniform(-18, 18), near + share * (far - near)
                if abs(x) > 3 or z > 12:
                    ride(rng, kind, x, z, yaw + rng.normal(0, 0.12), put, instances)
    place = layout.zebra + 1.5 if layout.zebra is not None else rng.uniform(8, 40)
    for _ in range(rng.poisson(0.9 * city.people if layout.zebra is not None else 0.3)):
        x = layout.middle + rng.uniform(-half, half)
        yaw = np.pi / 2 if rng.random() < 0.5 else -np.pi / 2
        put(
            "person",
            x,
            place + rng.uniform(-1, 1),
            yaw=yaw,
            tags=(instances.tag("person"),),
            speed=1.3,
            phase=rng.uniform(0, 6.3),
        )


def ride(
    rng: np.random.Generator,
    kind: str,
    x: float,
    z: float,
    yaw: float,
    put: Put,
    instances: Instances,
    speed: float | None = None,
) -> None:
    """Put a vehicle or a rider under way, at a speed in m/s or at that of its kind."""
    tags = tuple(instances.tag(name) for name in _TAGS.get(kind, (kind,)))
    usual = 4.0 if kind == "cyclist" else 9.0
    put(kind, x, z, yaw=yaw, tags=tags, speed=usual if speed is None else speed, phase=rng.uniform(0, 6.3))
