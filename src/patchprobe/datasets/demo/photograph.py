"""From painted surfaces to a picture: texture, shadows, sky, fog, rain, lamps, lens and sensor."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.scene import GROUND, SIDE, SKY, Canvas, Color, Scene
from patchprobe.datasets.demo.textures import BITS, LEVELS, SIZE, TEXELS_PER_METRE, Texture, atlas, clouds, grain, patch

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


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


def photograph(
    canvas: Canvas,
    weather: Weather,
    sensor: Sensor,
    rng: np.random.Generator,
    moment: np.random.Generator | None = None,
) -> Scene:
    """Return the picture of a canvas with its label and instance map; all random numbers come from ``rng``.

    What differs between the pictures of a video, noise and drops of rain, comes from ``moment`` where it is given.
    """
    moment = moment or rng
    table = np.array(canvas.rows, np.float32).T.copy()
    # numpy looks up fastest by its own index type.
    surface = canvas.surface.astype(np.intp)
    inverse_depth = _inverse_depth(surface, table)
    ground = (table[10] == GROUND).take(surface)
    pixels = _surfaces(canvas, surface, table, inverse_depth, ground)
    _sky(pixels, canvas, weather, inverse_depth, rng)
    if weather.rain > 0:
        _wet_ground(pixels, canvas, ground, weather.rain)
    _glow(pixels, canvas)
    if weather.rain > 0:
        _rain(pixels, weather.rain, moment)
    image = _develop(pixels, sensor, moment)
    return Scene(image, table[0].astype(np.uint8).take(surface), table[1].astype(np.uint16).take(surface))


def _grid(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return columns (1, width) and rows (height, 1)."""
    height, width = shape
    return np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]


def _inverse_depth(surface: Indices, table: Floats) -> Floats:
    u, v = _grid(surface.shape)
    a, b, c = (column.take(surface) for column in table[7:10])
    b *= u
    c *= v
    a += b
    a += c
    return np.maximum(a, 1e-3, out=a)


def _surfaces(
    canvas: Canvas, surface: Indices, table: Floats, inverse_depth: Floats, ground: npt.NDArray[np.bool_]
) -> Floats:
    """Return the colour of every pixel under light, texture and shadow, float32 (height, width, 3)."""
    camera = canvas.camera
    u, v = _grid(camera.shape)
    scale = np.float32(1 / camera.focal) / inverse_depth
    density = TEXELS_PER_METRE[table[5].astype(np.int32)].take(surface)
    depth = density * scale * np.float32(camera.focal)
    x = (u - np.float32(camera.column)) * scale * density
    if canvas.film:
        # Textures stay on the ground and on what moves.
        depth += np.float32(camera.advance) * density
        x -= table[12].take(surface) * density
    y = (np.float32(camera.horizon) + np.float32(camera.roll) * (u - np.float32(camera.column)) - v) * scale * density
    along = np.where((table[10] == SIDE).take(surface), depth, x).astype(np.int32)
    across = np.where(ground, depth, y).astype(np.int32)
    # Texels in a pixel; ground is seen at a slant.
    level = np.frexp(np.where(ground, 3 * density, density) * scale)[1]
    index = np.clip(level, 0, LEVELS - 1) * len(Texture)
    index += table[5].astype(np.int32).take(surface)
    index = (index << 2 * BITS) + ((across & (SIZE - 1)) << BITS) + (along & (SIZE - 1))
    shade = atlas().take(index) * (table[6] / 50).take(surface)
    shade += 1
    shade *= 1 + table[11].take(surface) * (v - np.float32(camera.shape[0] / 2))
    dark = cv2.blur(canvas.shadow.astype(np.float32), (3, 3)) * np.float32(_sunshine(canvas))
    np.maximum(dark, cv2.blur(canvas.contact.astype(np.float32), (5, 3)) * np.float32(0.45), out=dark)
    shade *= 1 - dark * ground
    colors: Floats = table[2:5].T.copy().take(surface, axis=0)
    colors *= np.maximum(shade, 0)[..., None]
    return colors


def _sunshine(canvas: Canvas) -> float:
    """Return the share of the light on the ground that comes from the sun."""
    light = canvas.light
    sun = light.sun[1] * max(light.direction[1], 0.0)
    return sun / (sun + light.ambient[1])


def _sky(pixels: Floats, canvas: Canvas, weather: Weather, inverse_depth: Floats, rng: np.random.Generator) -> None:
    """Paint the sky where no surface is, and fog over the rest, in place."""
    camera, sky = canvas.camera, canvas.surface == SKY
    width = camera.shape[1]
    if weather.fog > 0:
        away = cv2.exp(np.float32(-weather.fog) / inverse_depth)
        pixels *= away[..., None]
        pixels += (1 - away)[..., None] * np.array(weather.haze, np.float32)
    rows = int(np.flatnonzero(sky.any(1)).max(initial=0)) + 1
    up = (camera.horizon - np.arange(rows, dtype=np.float32)) / np.float32(0.9 * camera.focal)
    above = np.clip(up, 0, 1)[:, None, None]
    color = np.array(weather.haze, np.float32) * (1 - above) + np.array(weather.zenith, np.float32) * above
    stretch = rng.uniform(0.5, 2.5)
    if weather.cover > 0:
        start = (0.0, -camera.pan)
        shape = patch(clouds(), rows, width, stretch, rng, start)
        thick = np.clip(0.9 * shape + np.float32(2.4 * weather.cover - 0.7), 0, 1)[..., None]
        bottom = 1 + np.float32(0.07) * patch(clouds(), rows, width, stretch * 0.6, rng, start)
        color = color + (bottom[..., None] * np.array(weather.cloud, np.float32) - color) * thick
    if weather.fog > 0:
        clear = np.float32(np.exp(-weather.fog * 120))
        color = color * clear + np.array(weather.haze, np.float32) * (1 - clear)
    np.copyto(pixels[:rows], color, where=sky[:rows, :, None])


def _wet_ground(pixels: Floats, canvas: Canvas, ground: npt.NDArray[np.bool_], rain: float) -> None:
    """Mirror what is above the horizon in the wet ground below."""
    height = len(pixels)
    start = max(int(canvas.camera.horizon) + 2, 0)
    mirror = np.clip(2 * start - np.arange(start, height) - 2, 0, height - 1)
    reflection = cv2.blur(pixels[mirror], (3, 15))
    mix = np.float32(0.35 * rain) * ground[start:, :, None]
    pixels[start:] = pixels[start:] * (1 - mix * np.float32(1.2)) + reflection * mix


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
    # Saturation, white balance, exposure and contrast are one linear map of colours; contrast turns about grey 110.
    luminance = np.tile((0.3, 0.6, 0.1), (3, 1))
    colors = luminance + (np.eye(3) - luminance) * sensor.saturation
    colors = np.array(sensor.balance)[:, None] * colors * sensor.exposure * sensor.contrast
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    gain = 1 - np.float32(sensor.vignette / 2) * (x * x + y * y)
    pixels = cv2.transform(pixels, colors)
    pixels *= gain[..., None]
    pixels += np.float32(110 * (1 - sensor.contrast))
    # A film-like shoulder keeps highlights from being cut off.
    bright = pixels > 200
    pixels[bright] = 200 + 55 * np.tanh((pixels[bright] - 200) / 55)
    top, left = rng.integers(0, grain().shape[0] - height), rng.integers(0, grain().shape[1] - width)
    pixels += grain()[top : top + height, left : left + width] * np.float32(sensor.noise)
    return np.rint(np.clip(pixels, 0, 255, out=pixels), out=pixels).astype(np.uint8)
