"""Light, weather and sensor of a scene."""

import numpy as np

from patchprobe.datasets.demo.photograph import Sensor, Weather
from patchprobe.datasets.demo.scene import Color, Light
from patchprobe.datasets.demo.style import WEATHERS, City


def atmosphere(rng: np.random.Generator, city: City) -> tuple[Light, Weather, Sensor]:
    """Draw the light, the weather and the sensor of a scene in a city."""
    kind = WEATHERS[rng.choice(len(WEATHERS), p=city.weather)]
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(18, 62))
    if kind == "dusk":
        elevation = np.radians(rng.uniform(6, 15))
    direction = (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
    )
    light, weather = _KINDS[kind](rng, direction)
    warmth = rng.normal(0, 0.05)
    sensor = Sensor(
        blur=rng.uniform(0.3, 1.0),
        noise=rng.uniform(1, 5) + (5 if kind == "night" else 0),
        exposure=float(np.exp(rng.normal(0.05, 0.16))),
        contrast=rng.uniform(0.75, 1.1),
        balance=(1 + warmth, 1 + rng.normal(0, 0.015), 1 - warmth),
        vignette=rng.uniform(0, 0.35),
        saturation=rng.uniform(0.45, 1.15),
    )
    return light, weather, sensor


def _grey(rng: np.random.Generator, low: float, high: float, tint: float = 6) -> Color:
    value = rng.uniform(low, high)
    r, g, b = (value + rng.normal(0, tint, 3)).tolist()
    return r, g, b


def _clear(
    rng: np.random.Generator, direction: tuple[float, float, float], cover: float = 0.15
) -> tuple[Light, Weather]:
    sun, sky = rng.uniform(0.6, 0.95), rng.uniform(0.42, 0.6)
    light = Light(direction, (sun * 1.05, sun, sun * 0.88), (sky * 0.95, sky, sky * 1.1))
    depth = rng.uniform(0.6, 1)
    zenith = (215 - 125 * depth, 220 - 75 * depth, 232 - 22 * depth)
    haze = (205 + rng.uniform(-15, 15), 216 + rng.uniform(-12, 10), 225 + rng.uniform(-10, 10))
    return light, Weather(
        zenith, haze, _grey(rng, 215, 245, 3), cover * rng.uniform(0, 2), rng.uniform(0, 0.004), 0.0, 0.5
    )


def _broken(rng: np.random.Generator, direction: tuple[float, float, float]) -> tuple[Light, Weather]:
    light, weather = _clear(rng, direction, cover=0.35)
    dim = rng.uniform(0.3, 0.9)
    r, g, b = light.sun
    return Light(direction, (r * dim, g * dim, b * dim), light.ambient), weather


def _overcast(rng: np.random.Generator, direction: tuple[float, float, float]) -> tuple[Light, Weather]:
    value = rng.uniform(0.7, 1.0)
    light = Light(direction, (0.1, 0.1, 0.1), (value, value, value * rng.uniform(0.96, 1.06)))
    sky = _grey(rng, 130, 235)
    return light, Weather(
        sky, _grey(rng, 160, 235), _grey(rng, 130, 220, 4), rng.uniform(0.3, 0.8), rng.uniform(0, 0.006), 0.0, 0.1
    )


def _fog(rng: np.random.Generator, direction: tuple[float, float, float]) -> tuple[Light, Weather]:
    light, _ = _overcast(rng, direction)
    haze = _grey(rng, 150, 215, 4)
    return light, Weather(haze, haze, haze, 0.0, rng.uniform(0.012, 0.04), 0.0, 0.0)


def _rain(rng: np.random.Generator, direction: tuple[float, float, float]) -> tuple[Light, Weather]:
    light, _ = _overcast(rng, direction)
    r, g, b = light.ambient
    dim = rng.uniform(0.65, 0.9)
    sky = _grey(rng, 110, 190)
    return Light(direction, (0.05, 0.05, 0.05), (r * dim, g * dim, b * dim)), Weather(
        sky, sky, _grey(rng, 100, 170, 3), 0.5, rng.uniform(0.003, 0.012), rng.uniform(0.3, 1.0), 0.0
    )


def _dusk(rng: np.random.Generator, direction: tuple[float, float, float]) -> tuple[Light, Weather]:
    sun, sky = rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.45)
    light = Light(direction, (sun * 1.3, sun * 0.9, sun * 0.55), (sky, sky * 0.95, sky * 1.1), night=0.5)
    haze = (235 + rng.uniform(-15, 15), 170 + rng.uniform(-25, 25), 120 + rng.uniform(-30, 40))
    zenith = _grey(rng, 95, 150, 12)
    return light, Weather(zenith, haze, (170.0, 135.0, 130.0), rng.uniform(0, 0.6), rng.uniform(0.001, 0.006), 0.0, 0.5)


def _night(rng: np.random.Generator, direction: tuple[float, float, float]) -> tuple[Light, Weather]:
    value = rng.uniform(0.28, 0.5)
    light = Light(
        direction, (0.0, 0.0, 0.0), (value * rng.uniform(0.95, 1.3), value, value * rng.uniform(0.8, 1.1)), night=1.0
    )
    sky = _grey(rng, 12, 45, 6)
    return light, Weather(sky, _grey(rng, 25, 70, 8), _grey(rng, 20, 50, 5), 0.4, rng.uniform(0.002, 0.008), 0.0, 0.0)


_KINDS = {
    "clear": _clear,
    "broken": _broken,
    "overcast": _overcast,
    "fog": _fog,
    "rain": _rain,
    "dusk": _dusk,
    "night": _night,
}
