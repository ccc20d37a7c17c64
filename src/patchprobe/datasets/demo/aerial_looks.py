"""Colours and light of aerial scenes, other ones in each."""

import numpy as np

from patchprobe.datasets.demo.aerial_canvas import Color, Light


def tones(rng: np.random.Generator) -> dict[str, Color]:
    """Draw the colours of the ground of a scene."""
    choices: dict[str, tuple[Color, ...]] = {
        "grass": ((86, 112, 62), (102, 116, 68), (76, 104, 64), (118, 122, 78)),
        "soil": ((150, 124, 92), (138, 108, 78), (164, 142, 112)),
        "asphalt": ((98, 99, 102), (112, 111, 110), (86, 88, 92)),
        "concrete": ((176, 174, 166), (166, 164, 158), (186, 180, 168)),
        "pavement": ((170, 166, 158), (160, 152, 144)),
        "water": ((48, 82, 92), (40, 70, 96), (64, 90, 80), (54, 96, 104)),
        "river": ((72, 92, 78), (58, 86, 92), (88, 96, 74)),
    }
    return {name: colors[int(rng.integers(len(colors)))] for name, colors in choices.items()}


def daylight(rng: np.random.Generator, angle: float) -> Light:
    """Draw light, air and sensor of a scene whose slabs lie in the direction ``angle`` (radians)."""
    return Light(
        sun=float(rng.uniform(0, 2 * np.pi)),
        shadow=float(rng.uniform(0.6, 1.3)),
        depth=float(rng.uniform(0.45, 0.66)),
        haze=float(rng.uniform(0.03, 0.2)),
        exposure=float(rng.uniform(0.92, 1.12)),
        contrast=float(rng.uniform(1.0, 1.22)),
        saturation=float(rng.uniform(0.62, 0.95)),
        balance=(float(rng.uniform(0.96, 1.05)), 1.0, float(rng.uniform(0.94, 1.06))),
        blur=float(rng.uniform(0.35, 0.75)),
        noise=float(rng.uniform(1.2, 3.6)),
        wind=float(rng.uniform(0, np.pi)),
        slabs=angle,
    )
