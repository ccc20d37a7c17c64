"""Textures of surfaces, made once per process from a fixed seed: noise, bricks, paving, leaves, grass."""

from enum import IntEnum
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.seeds import generator

BITS = 8
SIZE = 1 << BITS
LEVELS = 6
Floats = npt.NDArray[np.float32]


class Texture(IntEnum):
    """What a surface is made of; the number is its place in the atlas."""

    SMOOTH = 0
    ASPHALT = 1
    PAVING = 2
    BRICK = 3
    PLASTER = 4
    LEAVES = 5
    GRASS = 6
    STONE = 7
    CLOTH = 8
    PLANKS = 9
    COBBLES = 10


# Texels of the finest level in a metre.
TEXELS_PER_METRE = np.array([64, 96, 64, 96, 32, 64, 80, 64, 160, 64, 64], np.float32)


@cache
def atlas() -> npt.NDArray[np.int8]:
    """Return all textures at all levels of detail, int8 (level, texture, SIZE, SIZE), tileable, about -127..127.

    Level n holds what is left of a texture when 2^n x 2^n of its texels fall into one pixel.
    """
    finest = [_normalised(make()) for make in _MAKERS]
    levels = np.empty((LEVELS, len(finest), SIZE, SIZE), np.int8)
    for kind, texture in enumerate(finest):
        for level in range(LEVELS):
            side = SIZE >> level
            small = texture.reshape(side, 1 << level, side, 1 << level).mean((1, 3))
            large = np.repeat(np.repeat(small, 1 << level, 0), 1 << level, 1)
            levels[level, kind] = np.clip(np.rint(large * 50), -127, 127)
    return levels


@cache
def blobs() -> Floats:
    """Return smooth tileable noise in about -2..2 with details of 64 to 8 texels, float32 (512, 512)."""
    return _normalised(_noise((64, 32, 16, 8), 512, "blobs"))


@cache
def clouds() -> Floats:
    """Return tileable noise in about -2..2 with coarse and fine details, float32 (512, 512)."""
    return _normalised(_noise((256, 128, 64, 32, 16), 512, "clouds"))


@cache
def grain() -> Floats:
    """Return white Gaussian noise of standard deviation 1 for sensors, float32 (600, 1100, 3)."""
    return generator("grain").standard_normal((600, 1100, 3), np.float32)


def patch(
    bank: Floats, rows: int, columns: int, step: float, rng: np.random.Generator, start: tuple[float, float] = (0, 0)
) -> Floats:
    """Return a piece of a tileable square bank from a random place, one texel each ``step`` pixels; (rows, columns).

    ``start`` in pixels (down, right) is where the piece begins beyond that place.
    """
    side = len(bank)
    top, left = rng.integers(0, side, 2)
    y = (np.floor((np.arange(rows) + start[0]) / step).astype(np.int64) + top) % side
    x = (np.floor((np.arange(columns) + start[1]) / step).astype(np.int64) + left) % side
    return bank[y].take(x, axis=1)


def _normalised(texture: Floats) -> Floats:
    texture = texture - texture.mean()
    result: Floats = (texture / texture.std()).astype(np.float32)
    return result


def _noise(periods: tuple[int, ...], size: int, name: str) -> Floats:
    """Return a sum of random grids, blurred to the given periods in texels; finer ones weaker; tileable."""
    total = np.zeros((size, size), np.float32)
    for i, period in enumerate(periods):
        grid = generator("texture", name, period).standard_normal((size // period,) * 2, np.float32)
        tiled = np.tile(grid, (3, 3))
        large = cv2.resize(tiled, (3 * size, 3 * size), interpolation=cv2.INTER_CUBIC)
        total += large[size : 2 * size, size : 2 * size] * 0.6**i
    return total


def _white(name: str) -> Floats:
    return generator("texture", name).standard_normal((SIZE, SIZE), np.float32)


def _blurred(texture: Floats, width: int, height: int) -> Floats:
    tiled = cv2.blur(np.tile(texture, (3, 3)), (width, height))
    result: Floats = tiled[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    return result


def _smooth() -> Floats:
    return _noise((64, 32), SIZE, "smooth") + 0.2 * _white("smooth")


def _asphalt() -> Floats:
    cracks = -2.0 * (np.abs(_noise((64, 32, 16), SIZE, "cracks")) < 0.02)
    return _blurred(_white("asphalt"), 2, 2) + 0.2 * _noise((64, 16), SIZE, "asphalt") + cracks.astype(np.float32)


def _blocks(width: int, height: int, joint: int, name: str, *, offset: bool) -> Floats:
    """Return blocks of random tone with dark joints, in rows that are shifted by half a block if ``offset``."""
    y, x = np.mgrid[:SIZE, :SIZE]
    row = y // height
    shifted = (x + (row % 2) * (width // 2) * offset) % SIZE
    tones = generator("texture", name).standard_normal((SIZE // height + 1, SIZE // width + 1), np.float32)
    joints = (y % height < joint) | (shifted % width < joint)
    blocks: Floats = np.where(joints, -2.2, tones[row, shifted // width] * 0.7).astype(np.float32)
    return blocks + 0.3 * _blurred(_white(name), 2, 2)


def _paving() -> Floats:
    return _blocks(32, 32, 2, "paving", offset=False)


def _brick() -> Floats:
    return _blocks(32, 16, 3, "brick", offset=True)


def _stone() -> Floats:
    return _blocks(64, 32, 3, "stone", offset=True) + 0.6 * _noise((32, 16, 8), SIZE, "stone")


def _cobbles() -> Floats:
    return _blocks(8, 8, 2, "cobbles", offset=True) + 0.3 * _noise((32, 16), SIZE, "cobbles")


def _plaster() -> Floats:
    return _noise((128, 64, 32), SIZE, "plaster") + 0.5 * _blurred(_white("plaster"), 2, 2)


def _leaves() -> Floats:
    clumps = np.maximum(_noise((16, 8), SIZE, "leaves one"), _noise((16, 8), SIZE, "leaves two"))
    return clumps + 0.8 * _blurred(_white("leaves"), 3, 3) * 2


def _grass() -> Floats:
    return 3 * _blurred(_white("grass"), 2, 7) + 0.5 * _noise((64, 32), SIZE, "grass")


def _cloth() -> Floats:
    return _noise((64, 32, 16), SIZE, "cloth")


def _planks() -> Floats:
    return _blocks(SIZE, 16, 2, "planks", offset=False) + 2 * _blurred(_white("planks"), 31, 1)


_MAKERS = (
    _smooth,
    _asphalt,
    _paving,
    _brick,
    _plaster,
    _leaves,
    _grass,
    _stone,
    _cloth,
    _planks,
    _cobbles,
)
