"""Procedural street scenes with exact labels: a data set without files, for demonstrations and tests.

Every scene is drawn from a generator that depends on its split and number only. Light, colours, sizes and
textures vary from scene to scene and object to object, and colours of different classes overlap (grey cars on
grey roads, green houses beside trees), so that classes follow from texture and place as much as from colour.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.dataset import Classes, Record
from patchprobe.errors import ConfigError
from patchprobe.seeds import generator

_CLASSES = (
    ("road", (128, 64, 128)),
    ("pavement", (244, 35, 232)),
    ("building", (70, 70, 70)),
    ("vegetation", (107, 142, 35)),
    ("sky", (70, 130, 180)),
    ("pole", (153, 153, 153)),
    ("car", (0, 0, 142)),
    ("person", (220, 20, 60)),
)
ROAD, PAVEMENT, BUILDING, VEGETATION, SKY, POLE, CAR, PERSON = range(len(_CLASSES))
VOID = 255
_SUPERCATEGORIES = ("flat", "flat", "construction", "nature", "sky", "object", "vehicle", "human")
_DEFAULTS = {"images": 24, "height": 128, "width": 256}


class Synthetic:
    """Street scenes in two splits, ``train`` and ``val``; a record's group is the daylight of its scene.

    Options: ``images`` in each split, ``height`` and ``width`` in pixels (at least 32).
    """

    needs_root = False
    classes = Classes(
        ids=tuple(range(len(_CLASSES))),
        names=tuple(name for name, _ in _CLASSES),
        void=VOID,
        colors=tuple(color for _, color in _CLASSES),
        supercategories=_SUPERCATEGORIES,
    )

    def __init__(self, root: Path | None, options: Mapping[str, Any]) -> None:
        for key, value in options.items():
            if key not in _DEFAULTS:
                raise ConfigError(f"options.{key} is unknown: take one of {', '.join(_DEFAULTS)}")
            least = 1 if key == "images" else 32
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"options.{key} is {value!r}; set it to a whole number from {least} on")
        settings = {**_DEFAULTS, **options}
        self.counts: Mapping[str, int] = MappingProxyType(dict.fromkeys(("train", "val"), settings["images"]))
        self._shape = (settings["height"], settings["width"])

    def records(self, split: str) -> list[Record]:
        """Return the records of a split; their paths name no files."""
        stems = (f"scene{number:05d}" for number in range(self.counts[split]))
        return [
            Record(
                image_id=f"{split}/{stem}",
                group="dusk" if _is_dusk(generator("synthetic", f"{split}/{stem}")) else "day",
                image=Path(split) / f"{stem}.png",
                label=Path(split) / f"{stem}_label.png",
            )
            for stem in stems
        ]

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the image, uint8 (height, width, 3), RGB."""
        return draw_scene(record.image_id, self._shape)[0]

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width)."""
        return draw_scene(record.image_id, self._shape)[1]

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the pixels of the image and of the label map."""
        image, label = draw_scene(record.image_id, self._shape)
        return hashlib.sha256(image.tobytes()).hexdigest(), hashlib.sha256(label.tobytes()).hexdigest()


ADAPTER = Synthetic
ANNOTATIONS = ("label_maps",)


def draw_scene(image_id: str, shape: tuple[int, int]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the image, uint8 (height, width, 3), and label map, uint8 (height, width), of a scene."""
    rng = generator("synthetic", image_id)
    dusk = _is_dusk(rng)
    scene = _Scene(shape, rng)
    horizon = rng.uniform(0.4, 0.52)
    scene.sky(dusk)
    scene.ground(horizon)
    scene.buildings(horizon)
    scene.trees(horizon)
    scene.objects(horizon)
    scene.hood()
    return scene.photograph(dusk), scene.label


def _is_dusk(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.4)


class _Scene:
    """A scene being painted from back to front; positions are fractions of the height, 0 at the top."""

    def __init__(self, shape: tuple[int, int], rng: np.random.Generator) -> None:
        self.rng = rng
        self.pixels = np.zeros((*shape, 3), np.float32)
        self.label = np.full(shape, VOID, np.uint8)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        self.y, self.x = (y + 0.5) / shape[0], (x + 0.5) / shape[0]
        self.width = shape[1] / shape[0]

    def sky(self, dusk: bool) -> None:
        """Paint the sky with clouds."""
        top, bottom = ((120, 110, 130), (225, 165, 120)) if dusk else ((95, 140, 205), (205, 215, 225))
        mix = np.clip(self.y * 2, 0, 1)[..., None]
        clouds = np.clip(self.noise(0.3, 0.15) + self.rng.uniform(-0.6, 0.6), 0, 1)[..., None]
        color = np.array(top) * (1 - mix) + np.array(bottom) * mix
        self.fill(self.y < 2, SKY, color * (1 - 0.6 * clouds) + 235 * 0.6 * clouds, grain=2)

    def ground(self, horizon: float) -> None:
        """Paint pavement and road."""
        below = self.y > horizon
        distance = np.maximum(self.y - horizon, 0)
        pavement = self.rng.uniform(105, 165) + self.rng.uniform(-8, 8, 3)
        joints = ((self.x / (distance + 0.08) * 3) % 1 < 0.07) * -25.0
        self.fill(below, PAVEMENT, pavement + joints[..., None], grain=9)
        centre = self.width * self.rng.uniform(0.35, 0.65)
        reach = distance * self.rng.uniform(1.4, 2.2) + 0.03
        offset = self.x - centre
        asphalt = self.rng.uniform(70, 125) + self.rng.uniform(-6, 6, 3) + 14 * self.noise(0.2, 0.05)[..., None]
        marks = (np.abs(offset) < 0.02 * distance / 0.3) & ((3 / (distance + 0.05)) % 2 < 1)
        self.fill(below & (np.abs(offset) < reach), ROAD, asphalt + 95 * marks[..., None], grain=12)

    def buildings(self, horizon: float) -> None:
        """Paint a row of houses with gaps."""
        left = self.rng.uniform(-0.2, 0.1)
        while left < self.width:
            right = left + self.rng.uniform(0.15, 0.5)
            if self.rng.random() < 0.8:
                top = self.rng.uniform(0.02, horizon - 0.1)
                wall = self.rng.uniform(60, 200) + self.rng.uniform(-30, 30, 3)
                pitch = self.rng.uniform(0.05, 0.09)
                window = (((self.x - left) % pitch) / pitch > 0.5) & (((self.y - top) % pitch) / pitch > 0.45)
                color = wall + self.rng.uniform(-70, 50) * window[..., None]
                inside = (self.x >= left) & (self.x < right) & (self.y > top) & (self.y <= horizon + 0.03)
                self.fill(inside, BUILDING, color, grain=6)
            left = right

    def trees(self, horizon: float) -> None:
        """Paint crowns of trees on the horizon."""
        for _ in range(self.rng.integers(3, 8)):
            x, radius = self.rng.uniform(0, self.width), self.rng.uniform(0.06, 0.2)
            y = horizon - radius * self.rng.uniform(0.1, 0.9)
            leaves = np.array((70, 105, 45)) * self.rng.uniform(0.5, 1.4) + self.rng.uniform(-18, 18, 3)
            distance = np.hypot(self.x - x, (self.y - y) * self.rng.uniform(0.8, 1.2)) / radius
            crown = distance + 0.35 * self.noise(0.05, 0.03) < 1
            self.fill(crown, VEGETATION, leaves + 32 * self.noise(0.03, 0.015)[..., None], grain=14)

    def objects(self, horizon: float) -> None:
        """Paint poles, cars and persons, far ones first."""
        painters = (self.pole, self.car, self.person)
        kinds = self.rng.choice(len(painters), self.rng.integers(5, 11), p=(0.3, 0.45, 0.25))
        # Far objects first; depth is the height of the point where an object stands.
        for kind, depth in zip(kinds, np.sort(self.rng.uniform(0.03, 0.4, len(kinds))), strict=True):
            painters[kind](self.rng.uniform(0, self.width), horizon + depth, float(depth) + 0.12)

    def pole(self, x: float, foot: float, size: float) -> None:
        """Paint a pole with a sign."""
        inside = (np.abs(self.x - x) < 0.022 * (1 + size)) & (self.y < foot) & (self.y > foot - 1.6 * size)
        sign = np.hypot(self.x - x, self.y - foot + 1.6 * size) < 0.12 * size
        self.fill(inside | sign, POLE, self.rng.uniform(50, 190) + self.rng.uniform(-12, 12, 3), grain=4)

    def car(self, x: float, foot: float, size: float) -> None:
        """Paint a car."""
        across, up = (self.x - x) / size, (foot - self.y) / size
        body = (np.abs(across) < 0.55) & (up > 0.06) & (up < 0.32)
        cabin = (np.abs(across) < 0.62 - 0.75 * up) & (up >= 0.32) & (up < 0.55)
        wheels = (np.hypot(np.abs(across) - 0.33, up - 0.08) < 0.1) & (up > 0)
        paint = self.rng.uniform(30, 220) + self.rng.uniform(-60, 60, 3)
        shine = 40 * np.clip(up, 0, 0.5)[..., None]
        color = np.where(cabin[..., None], 45 + 90 * up[..., None], paint + shine)
        self.fill(body | cabin | wheels, CAR, np.where(wheels[..., None], 28, color), grain=4)

    def person(self, x: float, foot: float, size: float) -> None:
        """Paint a person."""
        across, up = (self.x - x) / size, (foot - self.y) / size
        head = np.hypot(across, up - 0.72) < 0.075
        torso = (np.abs(across) < 0.13) & (up > 0.32) & (up < 0.65)
        legs = (np.abs(np.abs(across) - 0.06) < 0.05) & (up > 0) & (up <= 0.32)
        coat, trousers = self.rng.uniform(20, 210, 3), self.rng.uniform(20, 140, 3)
        color = np.where(torso[..., None], coat, np.where(head[..., None], (190, 150, 125), trousers))
        self.fill(head | torso | legs, PERSON, color, grain=6)

    def hood(self) -> None:
        """Paint the front of the camera's own car, which has no class."""
        arch = 0.06 * (2 * self.x / self.width - 1) ** 2
        self.fill(self.y > 0.93 + arch, VOID, self.rng.uniform(25, 90) + self.rng.uniform(-8, 8, 3), grain=2)

    def photograph(self, dusk: bool) -> npt.NDArray[np.uint8]:
        """Return the scene under its light, uint8 (height, width, 3)."""
        light = self.rng.uniform(0.55, 0.8) if dusk else self.rng.uniform(0.85, 1.2)
        tint = 1 + self.rng.uniform(-0.08, 0.08, 3)
        shade = 1 + 0.12 * self.noise(0.8, 0.4)[..., None]
        noise = self.rng.normal(0, 4 if dusk else 2.5, self.pixels.shape)
        return np.clip(np.rint(self.pixels * light * tint * shade + noise), 0, 255).astype(np.uint8)

    def fill(self, inside: npt.NDArray[np.bool_], label: int, color: Any, grain: float) -> None:
        """Paint a region in a colour, broadcast to (height, width, 3), with white noise of a standard deviation."""
        color = np.broadcast_to(np.asarray(color, np.float32), self.pixels.shape)
        texture = self.rng.normal(0, grain, (int(inside.sum()), 1))
        self.pixels[inside] = np.clip(color[inside] + texture, 0, 255)
        self.label[inside] = label

    def noise(self, *cells: float) -> npt.NDArray[np.float32]:
        """Return smooth noise in about -1..1, (height, width): a sum of random grids, one cell size for each."""
        total = np.zeros(self.label.shape, np.float32)
        for cell in cells:
            rows, columns = int(1 / cell) + 2, int(self.width / cell) + 2
            grid = self.rng.uniform(-1, 1, (rows, columns))
            y, x = self.y[:, 0] / cell, self.x[0] / cell
            top, left = y.astype(int), x.astype(int)
            down, right = (y - top)[:, None], (x - left)[None, :]
            upper = grid[top][:, left] * (1 - right) + grid[top][:, left + 1] * right
            lower = grid[top + 1][:, left] * (1 - right) + grid[top + 1][:, left + 1] * right
            total += (upper * (1 - down) + lower * down) / len(cells)
        return total
