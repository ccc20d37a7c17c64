"""From painted surfaces to a picture: texture, shadows, sky, fog, rain, lamps, lens and sensor."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.scene import GROUND, SIDE, SKY, Canvas, Color, Scene
from patchprobe.datasets.demo.textures import LEVELS, SIZE, TEXELS_PER_METRE, Texture, atlas, clouds, grain, patch

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Weather:
    """Air and sky: colours in 0..255 at the zenith and at the horizon, and strengths in 0..1 unless said otherwise."""

    zenith: Color
    haze: Color
    cloud: Color
    cover: float
    fog: float  # absorption per metre
    rain: float
    shadow: float  # light that shadows take away


@dataclass(frozen=True)
class Sensor:
    """How the picture is taken: blur and noise in px and grey values, exposure, contrast, white balance."""

    blur: float
    noise: float
    exposure: float
    contrast: float
    balance: Color
    vignette: float
    saturation: float


def photograph(canvas: Canvas, weather: Weather, sensor: Sensor, rng: np.random.Generator) -> Scene:
    """Return the picture of a canvas with its label and instance map; all random numbers come from ``rng``."""
    table = np.array(canvas.rows, np.float32)
    surface = canvas.surface
    pixels = _surfaces(canvas, table)
    _sky(pixels, canvas, weather, rng)
    if weather.rain > 0:
        _wet_ground(pixels, canvas, table, weather.rain)
    _glow(pixels, canvas)
    if weather.rain > 0:
        _rain(pixels, weather.rain, rng)
    image = _develop(pixels, sensor, rng)
    label_ids = table[:, 0].astype(np.uint8)[surface]
    instance_ids = table[:, 1].astype(np.uint16)[surface]
    return Scene(image, label_ids, instance_ids)


def _surfaces(canvas: Canvas, table: Floats) -> Floats:
    """Return the colour of every pixel under light, texture, shadow and fog, float32 (height, width, 3)."""
    camera, surface = canvas.camera, canvas.surface
    height, width = camera.shape
    u = np.arange(width, dtype=np.float32)[None, :]
    v = np.arange(height, dtype=np.float32)[:, None]
    kind, contrast, a, b, c, lie, gradient = (table[:, i][surface] for i in range(5, 12))
    depth = 1 / np.maximum(a + b * u + c * v, 1e-3)
    x = (u - camera.column) * (depth / camera.focal)
    y = (camera.horizon + camera.roll * (u - camera.column) - v) * (depth / camera.focal) + camera.height
    along = np.where(lie == SIDE, depth, x)
    across = np.where(lie == GROUND, depth, y)
    kinds = kind.astype(np.int32)
    density = TEXELS_PER_METRE[kinds]
    # Texels in a pixel; ground is seen at a slant.
    texels = density * depth * np.where(lie == GROUND, 3 / camera.focal, 1 / camera.focal)
    level = np.clip(np.frexp(texels)[1], 0, LEVELS - 1)
    column = (along * density).astype(np.int32) & (SIZE - 1)
    row = (across * density).astype(np.int32) & (SIZE - 1)
    index = (((level * len(Texture) + kinds) * SIZE + row) * SIZE) + column
    texture = atlas().ravel()[index] * (contrast / 50)
    shade = (1 + texture) * (1 + gradient * (v - height / 2))
    dark = np.maximum(cv2.blur(canvas.shadow.astype(np.float32), (3, 3)) * canvas_shadow(canvas), 0)
    dark = np.maximum(dark, cv2.blur(canvas.contact.astype(np.float32), (5, 3)) * 0.45)
    shade *= np.where(lie == GROUND, 1 - dark, 1)
    colors: Floats = np.maximum(table[:, 2:5][surface] * shade[..., None], 0)
    return colors


def canvas_shadow(canvas: Canvas) -> float:
    """Return the share of light that falls on the ground from the sun."""
    light = canvas.light
    sun = light.sun[1] * max(light.direction[1], 0.0)
    return sun / (sun + light.ambient[1] + 1e-6)


def _sky(pixels: Floats, canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
    """Paint the sky where no surface is, and fog over the rest, in place."""
    camera, surface = canvas.camera, canvas.surface
    height, width = camera.shape
    table = np.array(canvas.rows, np.float32)
    u = np.arange(width, dtype=np.float32)[None, :]
    v = np.arange(height, dtype=np.float32)[:, None]
    sky = surface == SKY
    rows = int(np.flatnonzero(sky.any(1)).max(initial=0)) + 1
    above = np.clip((camera.horizon - v[:rows]) / (0.9 * camera.focal), 0, 1)[..., None]
    color = np.array(weather.haze, np.float32) * (1 - above) + np.array(weather.zenith, np.float32) * above
    color = np.broadcast_to(color, (rows, width, 3))
    if weather.cover > 0:
        stretch = rng.uniform(0.5, 2.5)
        shape = patch(clouds(), rows, width, stretch, rng)
        thick = np.clip(0.5 + 0.9 * shape + 2.4 * (weather.cover - 0.5), 0, 1)[..., None]
        bottom = patch(clouds(), rows, width, stretch * 0.6, rng)[..., None]
        color = color * (1 - thick) + np.array(weather.cloud, np.float32) * (1 + 0.07 * bottom) * thick
    upper = pixels[:rows]
    np.copyto(upper, color, where=sky[:rows, :, None])
    if weather.fog > 0:
        a, b, c = (table[:, i][surface] for i in (7, 8, 9))
        away = np.exp(-weather.fog / np.maximum(a + b * u + c * v, 1e-3))
        away[sky] = np.exp(-weather.fog * 120)
        pixels *= away[..., None]
        pixels += (1 - away)[..., None] * np.array(weather.haze, np.float32)


def _wet_ground(pixels: Floats, canvas: Canvas, table: Floats, rain: float) -> None:
    """Mirror what is above the horizon in the wet ground below."""
    height = len(pixels)
    start = max(int(canvas.camera.horizon) + 2, 0)
    mirror = np.clip(2 * start - np.arange(start, height) - 2, 0, height - 1)
    reflection = cv2.blur(pixels[mirror], (3, 15))
    ground = (table[:, 10] == GROUND)[canvas.surface[start:]]
    mix = 0.35 * rain * ground[..., None]
    pixels[start:] = pixels[start:] * (1 - mix * 1.2) + reflection * mix


def _glow(pixels: Floats, canvas: Canvas) -> None:
    """Add the halo of every lamp."""
    height, width, _ = pixels.shape
    for u, v, radius, color in canvas.glows:
        reach = 3 * radius
        top, bottom = max(int(v - reach), 0), min(int(v + reach) + 1, height)
        left, right = max(int(u - reach), 0), min(int(u + reach) + 1, width)
        if top < bottom and left < right:
            down = np.exp(-(((np.arange(top, bottom, dtype=np.float32) - v) / radius) ** 2))
            across = np.exp(-(((np.arange(left, right, dtype=np.float32) - u) / radius) ** 2))
            pixels[top:bottom, left:right] += (down[:, None] * across)[..., None] * np.array(color, np.float32)


def _rain(pixels: Floats, rain: float, rng: np.random.Generator) -> None:
    """Draw streaks of rain."""
    height, width, _ = pixels.shape
    layer = np.zeros((height, width), np.uint8)
    count = int(400 * rain)
    starts = rng.uniform((0, 0), (width, height), (count, 2))
    slant = rng.normal(0, 0.15)
    lengths = rng.uniform(5, 22, count)
    ends = starts + np.stack((lengths * slant, lengths), axis=1)
    lines = np.rint(np.stack((starts, ends), axis=1)).astype(np.int32)
    cv2.polylines(layer, list(lines), False, 255)
    streaks = cv2.blur(layer.astype(np.float32), (1, 5)) * (rng.uniform(0.1, 0.25) / 255)
    pixels += streaks[..., None] * (225 - pixels)


def _develop(pixels: Floats, sensor: Sensor, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the picture that lens and sensor make of the light, uint8 (height, width, 3)."""
    height, width, _ = pixels.shape
    if sensor.blur > 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), sensor.blur)
    grey = pixels @ np.array((0.3, 0.6, 0.1), np.float32)
    pixels = grey[..., None] + (pixels - grey[..., None]) * np.float32(sensor.saturation)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    gain = sensor.exposure * (1 - sensor.vignette * (x * x + y * y) / 2)
    pixels = pixels * gain[..., None] * np.array(sensor.balance, np.float32)
    # A film-like shoulder keeps highlights from being cut off.
    pixels = 110 + (pixels - 110) * np.float32(sensor.contrast)
    pixels = np.where(pixels > 200, 200 + 55 * np.tanh((pixels - 200) / 55), pixels)
    top, left = rng.integers(0, grain().shape[0] - height), rng.integers(0, grain().shape[1] - width)
    pixels = pixels + grain()[top : top + height, left : left + width] * np.float32(sensor.noise)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
