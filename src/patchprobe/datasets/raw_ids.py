"""What label maps of any data set mean: raw ids or colours, and the classes that an entry of the configuration makes of them.

``classes`` is a list of names, whose raw ids count from 0, or a mapping from names to raw ids or colours, one or several for
each; the classes are in the order of the list, of their lowest raw ids, or with colours of their names, since the order of keys
means nothing in a configuration. ``void`` are raw ids or colours without a class, or ``others`` for all that are no class. What is none of both is refused:
an id that nobody spoke of is a mistake more often than not.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.dataset import Classes
from patchprobe.datasets.image_classes import MOST, VOID, hues
from patchprobe.datasets.label_maps import Color, read_colors, read_ids
from patchprobe.datasets.pictures import Notice, Source
from patchprobe.errors import ConfigError, DataError, printable

OTHERS = "others"
_HIGHEST = 65535  # of 16 bits
_SHOWN = 5
_NEAR = 64  # of a channel, as edges between two colours are
_FORMS = "a raw id (0 to 65535), a colour such as '#ff8000', or a list of them"


class Labelling:
    """The classes of a data set by its options ``classes`` and ``void``, and how they are read from its label maps.

    Class ids are the places in that order, from 0 on, whatever the raw ids are; void is 255. Raises ConfigError whose
    message begins with the option.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        raw = _raw_of_classes(options.get("classes"))
        void = options.get("void", [])
        self._others = void == OTHERS
        raw_void = [] if self._others or void is None else _elements("options.void", void)
        self._class_of: dict[int | Color, int] = {}
        for number, (name, elements) in enumerate(raw.items()):
            for element in elements:
                self._add(element, number, f"options.classes.{name}", list(raw))
        for element in raw_void:
            self._add(element, VOID, "options.void", list(raw))
        if len({isinstance(element, int) for element in self._class_of}) > 1:
            raise ConfigError(
                "options.classes and options.void mix raw ids and colours: take what the label maps hold, the same for all"
            )
        self._by_color = not isinstance(next(iter(self._class_of)), int)
        own = {number: element for element, number in reversed(self._class_of.items()) if not isinstance(element, int)}
        colors = [own.get(number, hue) for number, hue in enumerate(hues(len(raw)))]
        self.classes = Classes(tuple(range(len(raw))), tuple(raw), VOID, tuple(colors))

    def read(self, source: Source, notice: Notice) -> npt.NDArray[np.uint8]:
        """Return the class id of every pixel of a label map, uint8 (height, width).

        Raises DataError that names the file for what :func:`patchprobe.datasets.label_maps.read_ids` refuses, and for ids or
        colours of which the options say nothing, with their number.
        """
        codes = _codes(read_colors(source)) if self._by_color else self._read_ids(source, notice)
        if self._by_color:
            table = {_code(element): number for element, number in self._class_of.items()}
            numbers = np.array(sorted(table), np.int32)
            places = np.minimum(np.searchsorted(numbers, codes), len(numbers) - 1)
            classes = np.array([table[number] for number in numbers.tolist()], np.int16)[places]
            classes[numbers[places] != codes] = -1
        else:
            of_id = np.full(_HIGHEST + 1, -1, np.int16)
            for element, number in self._class_of.items():
                of_id[element] = number
            classes = of_id[codes]
        unknown = classes < 0
        if self._others:
            classes[unknown] = VOID
        elif unknown.any():
            raise DataError(self._unknown(source, codes, unknown))
        return classes.astype(np.uint8)

    def _read_ids(self, source: Source, notice: Notice) -> npt.NDArray[Any]:
        ids = [element for element in self._class_of if isinstance(element, int)]
        remedy = (
            "correct options.classes and options.void of the data set (raw ids of all that label maps hold, or colours where they "
            "show colours)"
        )
        return read_ids(source, known=ids, notice=notice, most=_HIGHEST, remedy=remedy)

    def _unknown(self, source: Source, codes: npt.NDArray[Any], unknown: npt.NDArray[np.bool_]) -> str:
        numbers, counts = np.unique(codes[unknown], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        listed = zip(numbers[order].tolist(), counts[order].tolist(), strict=True)
        remedy = f"add them to options.classes or options.void of the data set, or set options.void to {OTHERS}"
        if not self._by_color:
            parts = [f"{number} at {count} pixels" for number, count in list(listed)[:_SHOWN]]
            more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
            return f"label map {source} holds ids that are neither classes nor void: {', '.join(parts)}{more}; {remedy}"
        most = int(numbers[order[0]])
        row, column = (int(axis[0]) for axis in np.nonzero(codes == most))
        message = (
            f"label map {source} shows {len(numbers)} colours that are neither classes nor void, at {int(counts.sum())} pixels, "
            f"such as {_hex(most)} at row {row}, column {column}"
        )
        nearest = min(self._colors(), key=lambda color: _distance(color, most))
        if _distance(nearest, most) <= _NEAR:
            message += (
                f", near {_hex(_code(nearest))}: edges were smoothed or colours changed when it was saved; save it again "
                f"without smoothing, or {remedy}"
            )
            return message
        return f"{message}: {remedy}"

    def _colors(self) -> list[Color]:
        return [element for element in self._class_of if not isinstance(element, int)]

    def _add(self, element: int | Color, number: int, key: str, names: list[str]) -> None:
        if element in self._class_of:
            before = self._class_of[element]
            shown = element if isinstance(element, int) else _hex(_code(element))
            other = "void" if before == VOID else names[before]
            raise ConfigError(
                f"{key} has {shown}, which {other} has already: give each raw id and colour once (a colour in numbers is a list in "
                "a list, [[255, 128, 0]])"
            )
        self._class_of[element] = number


def _raw_of_classes(given: object) -> dict[str, list[int | Color]]:
    """Return the raw ids or colours of each class, by name and in order."""
    if given is None or (isinstance(given, list | dict) and len(given) < 2):
        raise ConfigError(
            f"options.classes is {given!r}: list at least two names, [background, cat], whose raw ids count from 0, or give "
            "each its raw ids or colours, {background: 0, cat: [1, 2]}"
        )
    if not isinstance(given, list | dict) or len(given) > MOST:
        found = f"has {len(given)} classes" if isinstance(given, list | dict) else f"is {given!r}"
        raise ConfigError(f"options.classes {found}: give a list of names, or a mapping from names, of {MOST} at most")
    for name in given:
        if not isinstance(name, str) or not name.strip() or name == "void" or printable(name) != name:
            raise ConfigError(
                f"options.classes has the name {name!r}: give each class a text, in quotes if YAML reads it otherwise, and "
                "leave void to options.void"
            )
    if len(set(given)) < len(given):
        twice = next(name for name in given if list(given).count(name) > 1)
        raise ConfigError(f"options.classes has {twice!r} twice: remove one, or rename it")
    if isinstance(given, list):
        return {name: [number] for number, name in enumerate(given)}
    raw = {name: _elements(f"options.classes.{name}", value) for name, value in given.items()}
    lowest = {name: min([e for e in elements if isinstance(e, int)], default=0) for name, elements in raw.items()}
    return {name: raw[name] for name in sorted(raw, key=lambda name: (lowest[name], name))}


def _elements(key: str, value: object) -> list[int | Color]:
    if value is None:
        raise ConfigError(f"{key} is empty: give {_FORMS} (in YAML a colour needs its quotes)")
    parts = value if isinstance(value, list) else [value]
    if not parts and key != "options.void":
        raise ConfigError(f"{key} is an empty list: give {_FORMS}")
    return [_element(key, part) for part in parts]


def _element(key: str, part: object) -> int | Color:
    if type(part) is int and 0 <= part <= _HIGHEST:
        return part
    if isinstance(part, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", part):
        red, green, blue = bytes.fromhex(part[1:])
        return red, green, blue
    if isinstance(part, list) and len(part) == 3 and all(type(value) is int and 0 <= value <= 255 for value in part):
        return part[0], part[1], part[2]
    others = f", or {OTHERS}" if key == "options.void" else ""
    raise ConfigError(f"{key} holds {part!r}: give {_FORMS}{others}")


def _code(element: int | Color) -> int:
    if isinstance(element, int):
        return element
    red, green, blue = element
    return red << 16 | green << 8 | blue


def _codes(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    wide = pixels.astype(np.int32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.int32)


def _hex(code: int) -> str:
    return f"#{code:06x}"


def _distance(color: Color, code: int) -> int:
    """Return by how much the most different channel differs."""
    return max(abs(a - b) for a, b in zip(color, code.to_bytes(3, "big"), strict=True))
