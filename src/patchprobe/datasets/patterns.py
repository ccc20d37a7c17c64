"""Where the files of a data set lie, as patterns: ``images/{split}/{group}/*.jpg``.

``*`` stands for a text without ``/``, ``**`` as a whole part for folders at any depth, none too, ``{split}`` and ``{group}`` for a
text that has this meaning, the shortest that fits; what a file has in their places is its name. The suffix fits in large and
small letters. Without a suffix, or with ``.*``, every kind of picture that can be read fits.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patchprobe.datasets.listing import files_below
from patchprobe.datasets.pictures import Notice
from patchprobe.errors import ConfigError, DataError

SPLIT, GROUP = "split", "group"
_WILD = re.compile(r"\*\*/|\*|\{([^{}]*)\}")


@dataclass(frozen=True)
class Found:
    """A file that fits a pattern, relative to the root, and what it has in the place of each wildcard, by its name: ``split``,
    ``group``, and ``*1``, ``*2`` and so on."""

    path: Path
    texts: Mapping[str, str]

    @property
    def name(self) -> str:
        """The texts of the wildcards, in their order: what tells the file from all others of the pattern."""
        return "/".join(text.strip("/") for text in self.texts.values() if text)


class Pattern:
    """A pattern of files below a root; ``key`` is the option that it is the value of, ``suffixes`` what can be read.

    Raises ConfigError whose message begins with the key, for a text that is no such pattern or leads out of the root.
    """

    def __init__(self, key: str, text: object, suffixes: Collection[str]) -> None:
        self.key = key
        if not isinstance(text, str) or not text:
            raise ConfigError(f"{key} is {text!r}: give a pattern of files, such as images/{{split}}/*.jpg")
        self.text = text
        parts = PurePosixPath(text).parts
        if text.startswith("/") or ".." in parts or "\\" in text or re.match(r"[A-Za-z]:", text):
            raise ConfigError(
                f"{key} is {text!r}: give a pattern of files below the root, with / between folders and no .."
            )
        self._stem, self._suffixes = _without_suffix(key, "/".join(parts), suffixes)
        if "**" in re.sub(r"(^|(?<=/))\*\*/", "", self._stem) or re.search(r"[?\[\]]", text):
            raise ConfigError(
                f"{key} is {text!r}: take *, ** as a whole folder, {{split}} and {{group}} for what differs, and nothing else"
            )
        self.wildcards: list[str] = []
        self._regex = re.compile(self._translate(), re.DOTALL)
        if not self.wildcards:
            raise ConfigError(f"{key} is {text!r}, one file: put * in the place of what differs from file to file")

    def find(self, root: Path, notice: Notice) -> list[Found]:
        """Return the files that fit, sorted; links are followed.

        What systems leave behind is passed over, and so is what does not fit; ``notice`` hears of both. Raises DataError if nothing fits, or the folder that it begins with is missing.
        """
        literal = _WILD.split(self._stem)[0].rpartition("/")[0]
        folder = root / literal
        if not folder.is_dir():
            raise DataError(
                f"{folder} is missing, where {self.key} ({self.text}) begins: put the files there, or correct it"
            )
        found, left_behind, others = [], list[Path](), list[Path]()
        for path in files_below(folder, self._suffixes, passed_over=left_behind):
            place = path.relative_to(root)
            if match := self._regex.fullmatch(place.with_suffix("").as_posix()):
                texts = match.groupdict()
                found.append(Found(place, {name: texts[_group(name)] for name in self.wildcards}))
            else:
                others.append(path)
        for what, paths in (
            ("was left behind by a system or program", left_behind),
            ("does not fit the pattern", others),
        ):
            if paths and found:
                more = f", with {len(paths) - 1} others" if len(paths) > 1 else ""
                notice(f"{self.key} {what}", f"{min(paths)} {what} and is passed over for {self.key}{more}")
        if not found:
            raise DataError(
                f"{root} has no file that fits {self.key} ({self.text}): put the files there, or correct the pattern"
            )
        return found

    def place(self, texts: Mapping[str, str]) -> str:
        """Return where the file with these texts would be."""
        stars = iter(name for name in self.wildcards if name.startswith("*"))
        return _WILD.sub(lambda match: texts[match[1] or next(stars)], self._stem) + (
            self._suffixes[0] if len(self._suffixes) == 1 else ".*"
        )

    def _translate(self) -> str:
        parts, end = [], 0
        for match in _WILD.finditer(self._stem):
            parts.append(re.escape(self._stem[end : match.start()]))
            end = match.end()
            if match[0].startswith("*"):
                name = f"*{sum(known.startswith('*') for known in self.wildcards) + 1}"
                inside = "(?:[^/]+/)*?" if match[0] == "**/" else "[^/]+?"
            elif match[1] in (SPLIT, GROUP):
                name, inside = match[1], "[^/]+?"
            else:
                raise ConfigError(
                    f"{self.key} has {match[0]}: take {{split}}, {{group}} and *, and nothing else in braces"
                )
            if name in self.wildcards:
                parts.append(f"(?P={_group(name)})")
            else:
                self.wildcards.append(name)
                parts.append(f"(?P<{_group(name)}>{inside})")
        return "".join(parts) + re.escape(self._stem[end:])


def _group(name: str) -> str:
    """Return the name of a wildcard as a regular expression takes it."""
    return name.replace("*", "star")


def _without_suffix(key: str, text: str, suffixes: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return a pattern without its suffix, and the suffixes that fit, in small letters."""
    stem, dot, suffix = text.rpartition(".")
    if not dot or "/" in suffix or "}" in suffix:
        return text, tuple(sorted(suffixes))
    if suffix == "*":
        return stem, tuple(sorted(suffixes))
    if f".{suffix.lower()}" not in suffixes:
        raise ConfigError(
            f"{key} is {text!r}, and files .{suffix} are not read: take one of {', '.join(sorted(suffixes))}, or leave the suffix "
            "out for all of them"
        )
    return stem, (f".{suffix.lower()}",)
