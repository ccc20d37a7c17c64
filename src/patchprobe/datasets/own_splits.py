"""The splits of a data set that its entry makes: by lists of images, or by shares in a seeded order of its groups."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from patchprobe.datasets.dataset import Record
from patchprobe.errors import ConfigError, DataError, several
from patchprobe.files import is_below
from patchprobe.seeds import generator

# As in the configuration, since the name becomes part of file names.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_EXACT = 1e-6


def read_splits(given: object, root: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """Return the option ``splits`` as files of names by split, or as shares by split; both empty for None.

    Raises ConfigError whose message begins with the option.
    """
    if given is None:
        return {}, {}
    remedy = "give each split a share, {train: 0.7, val: 0.3}, or a file of names, {train: train.txt}"
    if not isinstance(given, dict) or not given:
        raise ConfigError(f"options.splits is {given!r}: {remedy}")
    for name in given:
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise ConfigError(f"options.splits names {name!r}: take letters, digits, '.', '-' and '_'")
    if all(isinstance(value, str) and value for value in given.values()):
        for name, value in given.items():
            if not is_below(root / value, root):
                raise ConfigError(f"options.splits.{name} is {value!r}, outside {root}: put the file there")
        return {name: root / value for name, value in given.items()}, {}
    if not all(type(value) in (int, float) and 0 < value <= 1 for value in given.values()):
        raise ConfigError(f"options.splits is {given!r}: {remedy}")
    if abs(sum(given.values()) - 1) > _EXACT:
        raise ConfigError(f"options.splits has shares of {sum(given.values()):g} in all: set them so that they are 1")
    # By name, since the order of keys means nothing in a configuration.
    return {}, {name: float(given[name]) for name in sorted(given)}


def shared_out(records: Sequence[Record], shares: Mapping[str, float], seed: int) -> dict[str, list[Record]]:
    """Share records out to splits, whole groups together, in an order of the groups that ``seed`` draws.

    A group goes where its middle falls, so that numbers are as near to the shares as groups allow. Raises DataError for a split
    that would have none.
    """
    sizes = Counter(record.group for record in records)
    names = sorted(sizes)
    limits = list(accumulate(shares.values()))[:-1]
    splits, before, split_of = list(shares), 0, {}
    for place in generator(seed, "split").permutation(len(names)):
        name = names[place]
        middle = (before + sizes[name] / 2) / len(records)
        split_of[name] = splits[bisect_right(limits, middle)]
        before += sizes[name]
    found: dict[str, list[Record]] = {split: [] for split in splits}
    for record in records:
        found[split_of[record.group]].append(record)
    if empty := [split for split, own in found.items() if not own]:
        raise DataError(
            f"options.splits gives {empty[0]} none of the {len(records)} images in {len(names)} groups: raise its share, or add "
            "images"
        )
    return found


class ListedNames:
    """The images that a file can name: by their paths below the root, or the ends of these, with or without a suffix."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._images: dict[str, dict[Path, Record]] = {}
        self._groups: dict[str, dict[Path, Record]] = {}
        for record in records:
            for path in (record.image, record.image.with_suffix("")):
                for begin in range(len(path.parts)):
                    self._images.setdefault("/".join(path.parts[begin:]), {})[record.image] = record
            self._images.setdefault(record.image_id, {})[record.image] = record
            if record.group != record.image_id:
                self._groups.setdefault(record.group, {})[record.image] = record

    def read(self, path: Path) -> tuple[list[Record], bool]:
        """Return the images that a file lists, one or one group of them a line, and whether lines have more than a name.

        The first word of a line counts if the whole is no name; lines that are empty or begin with # do not. Raises DataError
        for a file that is missing or lists what is not there, or a thing twice, and for a name of several images.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            raise DataError(
                f"{path} is missing: put the list there, or correct options.splits of the data set"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read ({error}): give a list of names, as text in UTF-8") from None
        found: dict[Path, Record] = {}
        errors, more = [], False
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            try:
                own = self._named(text)
                if not own and len(text.split()) > 1:
                    own, more = self._named(text.split()[0]), True
                if not own:
                    raise DataError(f"{text!r} is no image there: copy it there, or remove the line")
                if own.keys() & found.keys():
                    raise DataError(f"{text!r} is listed a second time: remove the line")
                found |= own
            except DataError as error:
                errors.append(f"{path} line {number}: {error}")
        if errors:
            raise DataError(several(errors, "lines are wrong"))
        return [found[image] for image in sorted(found)], more

    def _named(self, text: str) -> Mapping[Path, Record]:
        name = text.removeprefix("./").lstrip("/")
        images, groups = self._images.get(name, {}), self._groups.get(name, {})
        if len(images) > 1 or (images and groups and images.keys() != groups.keys()):
            paths = list(images)
            both = f"{paths[0]} and {paths[1]}" if len(images) > 1 else f"{paths[0]} and a group"
            raise DataError(f"{text!r} could be {both}: give the path below the root")
        return images or groups
