"""Street scenes: what stands where, and its drawing.

A street is planned first, as a list of things with a place and a seed of their own, and then drawn. A thing looks the
same wherever it is drawn, so things can be moved between frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from patchprobe.datasets.demo import buildings, furniture, people, plants, vehicles
from patchprobe.datasets.demo.atmosphere import atmosphere
from patchprobe.datasets.demo.ground import Layout, draw_ground
from patchprobe.datasets.demo.labels import EGO_VEHICLE, SKY
from patchprobe.datasets.demo.photograph import Sensor, Weather, photograph
from patchprobe.datasets.demo.plan import Thing, plan_layout, plan_things
from patchprobe.datasets.demo.scene import FRONT, Camera, Canvas, Color, Face, Paint, Plane, Scene
from patchprobe.datasets.demo.style import City, city_style, draw_color
from patchprobe.seeds import generator

SHAPE = (256, 512)


@dataclass(frozen=True)
class Street:
    """A planned street scene of one city."""

    city: City
    camera: Camera
    layout: Layout
    things: tuple[Thing, ...]
    seed: int

    def draw(self, seconds: float = 0.0) -> Scene:
        """Draw the street as it looks after some time."""
        rng = thing_generator(self.seed)
        return photograph(*self._painted(rng, seconds, self.camera, film=False), rng)

    def shoot(self, seconds: float, camera: Camera, moment: np.random.Generator) -> tuple[Scene, Canvas]:
        """Draw a picture of a video: the street after some time, seen by a camera under way.

        ``moment`` gives what no two pictures share. Returns the canvas too, which has the silhouettes.
        """
        rng = thing_generator(self.seed)
        canvas, weather, sensor = self._painted(rng, seconds, camera, film=True)
        return photograph(canvas, weather, sensor, rng, moment), canvas

    def _painted(
        self, rng: np.random.Generator, seconds: float, camera: Camera, *, film: bool
    ) -> tuple[Canvas, Weather, Sensor]:
        light, weather, sensor = atmosphere(rng, self.city)
        canvas = Canvas(camera, light, rng, film)
        canvas.rows.append((*SKY, 0, 0, 0, 0, 0, 0, 0, 0, FRONT, 0, 0))
        draw_ground(canvas, rng, self.city, self.layout)
        things = [thing.after(seconds).seen_after(camera.advance) for thing in self.things]
        crossing = self.layout.crossing if film else None

        def order(thing: Thing) -> tuple[int, bool, float]:
            # Houses count with their near ends: at a crossing those before it hide what comes out of the other street.
            before = sum(thing.z + camera.advance < z for z in crossing or ())
            return before, not thing.outer, -thing.z

        for thing in sorted(things, key=order):
            canvas.rng = thing_generator(thing.seed)
            _DRAWERS[thing.kind](canvas, canvas.rng, self.city, thing)
        _bonnet(canvas, rng, self.city)
        return canvas, weather, sensor


def plan_street(seed: int, split: str, city: str, index: int) -> Street:
    """Plan a street; scenes of different splits, cities or indices share no random number, those of a city its style."""
    rng = generator(seed, "street", split, city, index)
    style = city_style(seed, city)
    camera = Camera(
        shape=SHAPE,
        focal=style.focal * rng.uniform(0.9, 1.1),
        height=style.camera_height * rng.uniform(0.9, 1.1),
        column=SHAPE[1] / 2 + rng.normal(0, 40),
        horizon=SHAPE[0] * rng.uniform(0.36, 0.5),
        roll=rng.normal(0, 0.012),
    )
    layout = plan_layout(rng, style)
    return Street(style, camera, layout, tuple(plan_things(rng, style, layout)), int(rng.integers(2**62)))


def thing_generator(seed: int) -> np.random.Generator:
    """Return the generator that a thing of this seed is drawn with."""
    return np.random.Generator(np.random.PCG64(seed))


Drawer = Callable[[Canvas, np.random.Generator, City, Thing], None]


def _vehicle(make: Callable[[np.random.Generator, Color], tuple[list[Face], tuple[float, float, float]]]) -> Drawer:
    def draw(canvas: Canvas, rng: np.random.Generator, city: City, thing: Thing) -> None:
        faces, (length, width, height) = make(rng, draw_color(rng, city.cars))
        canvas.cast(thing.x, thing.z, length, width, height, thing.yaw)
        canvas.solid(faces, thing.tags[0], thing.x, thing.z, thing.yaw)
        if thing.speed:
            _headlamps(canvas, thing, length, width)

    return draw


def _headlamps(canvas: Canvas, thing: Thing, length: float, width: float) -> None:
    facing = -np.cos(thing.yaw)
    if canvas.light.night > 0 and facing > 0.5:
        ends = np.array([(thing.x + s * width * 0.4, 0.75, thing.z - length / 2) for s in (-1, 1)])
        for u, v in canvas.camera.project(ends):
            canvas.glows.append((float(u), float(v), 0.35 * canvas.camera.focal / max(thing.z, 2), (200, 195, 170)))


def _person(canvas: Canvas, rng: np.random.Generator, city: City, thing: Thing) -> None:
    faces, height = people.person(rng, thing.phase)
    canvas.cast(thing.x, thing.z, 0.4, 0.5, height)
    # Flat figures turn no further than half away from the camera.
    facing = np.pi / 2 + 0.5 * np.cos(thing.yaw)
    canvas.solid(faces, thing.tags[0], thing.x, thing.z, facing if np.sin(thing.yaw) >= 0 else facing + np.pi)


def _cycle(make: Callable[[np.random.Generator], list[Face]], *, ridden: bool, upright: bool) -> Drawer:
    def draw(canvas: Canvas, rng: np.random.Generator, city: City, thing: Thing) -> None:
        faces = make(rng)
        canvas.cast(thing.x, thing.z, 1.7, 0.4, 1.6 if ridden else 1.0, thing.yaw)
        canvas.solid(faces, thing.tags[0], thing.x, thing.z, thing.yaw)
        if ridden:
            body = people.rider(rng, thing.tags[1], upright=upright, phase=thing.phase)
            canvas.solid(body, thing.tags[1], thing.x, thing.z, thing.yaw)

    return draw


_DRAWERS: dict[str, Drawer] = {
    "building": lambda canvas, rng, city, t: buildings.building(canvas, rng, city, t.x, t.z, t.end),
    "block": lambda canvas, rng, city, t: buildings.block(canvas, rng, city, min(t.x, t.end), max(t.x, t.end), t.z),
    "fence": lambda canvas, rng, city, t: buildings.barrier(canvas, rng, t.x, t.z, t.end, fence=True),
    "wall": lambda canvas, rng, city, t: buildings.barrier(canvas, rng, t.x, t.z, t.end, fence=False),
    "hedge": lambda canvas, rng, city, t: plants.hedge(canvas, rng, city, t.x, t.z, t.end, rng.uniform(0.8, 2.4)),
    "tree": lambda canvas, rng, city, t: plants.tree(canvas, rng, city, t.x, t.z),
    "bush": lambda canvas, rng, city, t: plants.bush(canvas, rng, city, t.x, t.z),
    "lamp": lambda canvas, rng, city, t: furniture.lamp(canvas, rng, t.x, t.z),
    "sign": lambda canvas, rng, city, t: furniture.sign(canvas, rng, t.x, t.z),
    "board": lambda canvas, rng, city, t: furniture.board(canvas, rng, t.x, t.z),
    "traffic_light": lambda canvas, rng, city, t: furniture.traffic_light(canvas, rng, t.x, t.z),
    "clutter": lambda canvas, rng, city, t: furniture.clutter(canvas, rng, city, t.x, t.z),
    "car": _vehicle(vehicles.car),
    "truck": _vehicle(vehicles.truck),
    "bus": _vehicle(vehicles.bus),
    "tractor": _vehicle(vehicles.tractor),
    "person": _person,
    "bicycle": _cycle(people.bicycle, ridden=False, upright=False),
    "motorcycle": _cycle(people.motorcycle, ridden=False, upright=True),
    "cyclist": _cycle(people.bicycle, ridden=True, upright=False),
    "motorcyclist": _cycle(people.motorcycle, ridden=True, upright=True),
}


def _bonnet(canvas: Canvas, rng: np.random.Generator, city: City) -> None:
    """Paint the front of the camera's own car at the bottom."""
    if rng.random() >= city.bonnet:
        return
    height, width = canvas.camera.shape
    u = np.linspace(-1, 1, 33)
    rise = height * rng.uniform(0.04, 0.11)
    top = height - rise * (1 - rng.uniform(0.3, 0.8) * u**2) + rng.uniform(-0.2, 0.2) * rise * u
    outline = np.concatenate((np.stack(((u + 1) / 2 * width, top), axis=1), [(width, height + 2), (0, height + 2)]))
    plane = Plane(1.0, 0.0, 0.0, FRONT, (0.0, 0.9, -0.4))
    number = canvas.add(EGO_VEHICLE, plane, Paint(draw_color(rng, city.cars), contrast=0.08), gradient=-0.6)
    canvas.outline(outline, number)
