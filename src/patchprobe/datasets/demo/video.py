"""Short videos of a street: a camera under way, things that keep identity and look, and boxes around them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.bdd100k_layout import TrackedBox
from patchprobe.datasets.demo.ground import Layout
from patchprobe.datasets.demo.labels import LABEL_NAMES, Instances
from patchprobe.datasets.demo.plan import Put, Thing, plan_layout, plan_sides, putting, ride
from patchprobe.datasets.demo.scene import Camera
from patchprobe.datasets.demo.street import Street, thing_generator
from patchprobe.datasets.demo.style import WEATHERS, City, city_style, draw_color
from patchprobe.seeds import generator

SHAPE = (128, 256)
FRAMES_PER_SECOND = 5
# BDD100K's names of what Cityscapes calls otherwise; tractors are the only dynamic things that are annotated.
_CATEGORIES = {"person": "pedestrian", "dynamic": "other vehicle"}
# Less of a thing than this, in px, is not annotated; nor is one of which others hide more than this share.
_LEAST_AREA, _LEAST_WIDTH, _LEAST_HEIGHT, _LEAST_VISIBLE = 40, 3, 9, 0.12
_OCCLUDED = 0.5
_KINDS = {"car": 0.5, "truck": 0.1, "bus": 0.1, "cyclist": 0.17, "motorcyclist": 0.13}
_LONG = ("truck", "bus")


@dataclass(frozen=True)
class Frame:
    """A picture of a video, uint8 RGB (height, width, 3), and its boxes."""

    image: npt.NDArray[np.uint8]
    boxes: list[TrackedBox]


@dataclass(frozen=True)
class Video:
    """A planned video: the street, the camera's speed in m/s, and how it sways, in px and radians a second."""

    street: Street
    key: tuple[int, int]
    speed: float
    sway: float
    sway_speed: float
    sway_phase: float

    def camera(self, index: int) -> Camera:
        """Return the camera of a frame."""
        seconds, camera = index / FRAMES_PER_SECOND, self.street.camera
        pan = self.sway * float(np.sin(self.sway_phase + self.sway_speed * seconds))
        return replace(camera, column=camera.column + pan, advance=self.speed * seconds, pan=pan)

    def frame(self, index: int) -> Frame:
        """Draw a frame; frames may be drawn in any order."""
        seed, number = self.key
        moment = generator(seed, "video", number, "moment", index)
        scene, canvas = self.street.shoot(index / FRAMES_PER_SECOND, self.camera(index), moment)
        boxes = []
        for track, tag in enumerate(tag for thing in self.street.things for tag in thing.tags):
            silhouette = canvas.silhouettes.get(tag.instance)
            if silhouette is None or (area := int(silhouette.sum())) < _LEAST_AREA:
                continue
            rows, columns = np.flatnonzero(silhouette.any(1)).tolist(), np.flatnonzero(silhouette.any(0)).tolist()
            visible = int((scene.instance_ids == tag.instance).sum()) / area
            width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
            if width < _LEAST_WIDTH or height < _LEAST_HEIGHT or visible < _LEAST_VISIBLE:
                continue
            name = LABEL_NAMES[tag.label]
            sides = columns[0], rows[0], columns[-1], rows[-1]
            boxes.append(
                TrackedBox(
                    # Other videos have other numbers.
                    10_000 * number + track,
                    _CATEGORIES.get(name, name),
                    *sides,
                    occluded=visible < _OCCLUDED,
                    truncated=tag.instance in canvas.cut,
                )
            )
        return Frame(scene.image, boxes)


def plan_video(seed: int, number: int, frames: int) -> Video:
    """Plan a video of so many frames; it depends on nothing else."""
    rng = generator(seed, "video", number)
    city, seconds = _city(seed, number), max(frames - 1, 1) / FRAMES_PER_SECOND
    camera = Camera(
        shape=SHAPE,
        focal=rng.uniform(225, 285),
        height=rng.uniform(1.3, 1.9),
        column=SHAPE[1] / 2 + rng.normal(0, 10),
        horizon=SHAPE[0] * rng.uniform(0.36, 0.46),
        roll=rng.normal(0, 0.008),
    )
    near = rng.uniform(17.5, 21)
    layout = replace(plan_layout(rng, city), crossing=(near, near + rng.uniform(8, 12)))
    layout = replace(layout, zebra=near - 4.5 if rng.random() < 0.6 else None, end=max(layout.end, near + 40))
    speed = min(rng.uniform(0.3, 2.2), 5 / seconds)
    instances, things = Instances(), list[Thing]()
    put = putting(rng, things)
    plan_sides(rng, city, layout, put, instances)
    _traffic(rng, layout, camera, speed, seconds, put, instances)
    # Nothing hides the view for the whole time.
    things = [thing for thing in things if not thing.tags or thing.speed or thing.z > 7 or abs(thing.x) > 3.5]
    things = _with_twins(rng, city, things)
    street = Street(city, camera, layout, tuple(things), int(rng.integers(2**62)))
    sway, sway_speed = rng.uniform(3, 12), rng.uniform(0.7, 1.6)
    return Video(street, (seed, number), speed, sway, sway_speed, rng.uniform(0, 6.3))


def _city(seed: int, number: int) -> City:
    """Return a city with people and traffic, whose weather lets things be told apart."""
    city = city_style(seed, f"video{number}")
    clarity = {"clear": 1.0, "broken": 1.0, "overcast": 1.0, "rain": 0.4}
    weather = [share * clarity.get(name, 0.0) for name, share in zip(WEATHERS, city.weather, strict=True)]
    return replace(
        city,
        weather=tuple(share / sum(weather) for share in weather),
        people=max(city.people, 0.9),
        parking=max(city.parking, 0.4),
        bonnet=min(city.bonnet, 0.3),
    )


def _kind(rng: np.random.Generator, *, but: Sequence[str] = ()) -> str:
    kinds = {kind: share for kind, share in _KINDS.items() if kind not in but}
    return str(rng.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values())))


def _traffic(
    rng: np.random.Generator,
    layout: Layout,
    camera: Camera,
    speed: float,
    seconds: float,
    put: Put,
    instances: Instances,
) -> None:
    """Put what moves on the road: nothing drives into anything else within the time, and somebody leaves and comes."""
    half, (near, far) = layout.right.half_road, layout.crossing or (0.0, 0.0)

    def go(kind: str, x: float, z: float, yaw: float, pace: float) -> None:
        ride(rng, kind, x, z, yaw + rng.normal(0, 0.02), put, instances, speed=max(pace, 0.05))

    if rng.random() < 0.6:
        lead = "tractor" if rng.random() < 0.35 else _kind(rng, but=_LONG)
        place = rng.uniform(10, 12)
        pace = min(speed + rng.uniform(-0.3, 1.5), (near - 6 - place) / seconds)
        go(lead, layout.at(1, 0.5 * half), place, 0.0, pace)
    go(_kind(rng), layout.at(1, 0.5 * half), far + rng.uniform(6, 9), 0.0, rng.uniform(3, 7))
    # Those that come towards the camera: the first passes it, the others wait beyond the crossing.
    pace = rng.uniform(2.5, 5)
    first = 4.5 + (pace + speed) * seconds * rng.uniform(0.3, 0.8)
    kind = _kind(rng, but=_LONG)
    go(kind, layout.at(-1, 0.5 * half), min(first, near - 4), np.pi, pace)
    place = far + rng.uniform(7, 14)
    for _ in range(2):
        go(_kind(rng), layout.at(-1, 0.5 * half), place, np.pi, min(pace, (place - far - 6) / seconds))
        place += rng.uniform(11, 16)
    for share, way in ((0.28, -1), (0.72, 1)):
        z, pace, time = near + share * (far - near), rng.uniform(2.5, 5), rng.uniform(-3.5, -1.0)
        while time < seconds:
            kind = "tractor" if rng.random() < 0.08 else _kind(rng)
            long = 4 / pace if kind in _LONG else 0.0
            time += long
            # At this time it is at the edge of the picture.
            edge = SHAPE[1] / 2 / camera.focal * z
            go(kind, -way * (edge + pace * time), z, way * np.pi / 2, pace)
            time += long + rng.uniform(7, 14) / pace
    for later in [False] * int(2 + rng.poisson(2)) + [True] * int(1 + seconds / 2):
        tag, way, pace = (instances.tag("person"),), rng.choice((-1, 1)), rng.uniform(0.9, 1.6)
        x = layout.middle + rng.uniform(-1, 1) * (half + 1.5)
        # Some are on the road, others come out of the other street.
        z = near + (rng.uniform(0.1, 0.8) if later else rng.uniform(-4, -1.5))
        x -= way * pace * rng.uniform(1, seconds + 2) if later else 0.0
        put("person", x, z, yaw=way * np.pi / 2, tags=tag, speed=pace, phase=rng.uniform(0, 6.3))
    beside = layout.at(1, 0.85 * half)
    if beside > 1.1 and rng.random() < 0.6:
        go(str(rng.choice(("cyclist", "motorcyclist"))), beside, -rng.uniform(0, 3), 0.0, speed + rng.uniform(3, 5))


def _with_twins(rng: np.random.Generator, city: City, things: list[Thing]) -> list[Thing]:
    """Make a car nearly the same as another one: the next one in depth has the most similar of many paints."""
    cars = sorted((thing for thing in things if thing.kind == "car" and 4 < thing.z < 40), key=lambda thing: thing.z)
    if len(cars) < 2:
        return things
    first = int(rng.integers(len(cars) - 1))
    model, twin = cars[first : first + 2]
    wanted = np.array(draw_color(thing_generator(model.seed), city.cars))
    seeds = rng.integers(2**62, size=40).tolist()
    colors = np.array([draw_color(thing_generator(seed), city.cars) for seed in seeds])
    seed = seeds[int(np.abs(colors - wanted).sum(1).argmin())]
    return [replace(thing, seed=seed) if thing is twin else thing for thing in things]
