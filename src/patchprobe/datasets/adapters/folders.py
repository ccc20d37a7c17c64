"""Any folders of images and label maps, described by the options of the data set alone."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from patchprobe.datasets.dataset import Record
from patchprobe.datasets.described import DescribedDataset
from patchprobe.datasets.image_classes import WHOLE
from patchprobe.datasets.own_splits import ListedNames
from patchprobe.datasets.patterns import GROUP, SPLIT, Found, Pattern
from patchprobe.datasets.pictures import SUFFIXES
from patchprobe.errors import ConfigError, DataError, several


class Folders(DescribedDataset):
    """Images and label maps that fit two patterns, paired by what stands in the place of their wildcards.

    Options: ``images`` and ``label_maps``, patterns below the root (:mod:`patchprobe.datasets.patterns`), and those of
    :class:`patchprobe.datasets.described.DescribedDataset`. Splits are those of ``{split}`` in the pattern, those of the option
    ``splits``, or ``all``. The group of a record is what stands for ``{group}``, or the image itself. ``image_id`` is what
    stands for the wildcards of ``images``.
    """

    own_options = ("images", "label_maps")

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        super().__init__(root, options)
        self._images = Pattern("options.images", options.get("images"), SUFFIXES)
        self._label_maps = Pattern("options.label_maps", options.get("label_maps"), SUFFIXES)
        stars = [sum(name.startswith("*") for name in p.wildcards) for p in (self._images, self._label_maps)]
        if stars[0] != stars[1]:
            raise ConfigError(
                f"options.label_maps ({self._label_maps.text}) has {stars[1]} of * and options.images ({self._images.text}) "
                f"{stars[0]}: give both the same, since what * stands for tells which belong together"
            )
        if alone := [name for name in self._label_maps.wildcards if name not in self._images.wildcards]:
            raise ConfigError(
                f"options.label_maps has {{{alone[0]}}}, and options.images ({self._images.text}) has not: put it there too"
            )
        if SPLIT in self._images.wildcards and (self._lists or self._shares):
            raise ConfigError(
                "options.splits has no meaning with {split} in options.images: remove it, or put * in place of {split}"
            )

    @cached_property
    def counts(self) -> Mapping[str, int | None]:
        """The splits that there are; nothing says how many images they should have."""
        if SPLIT in self._images.wildcards:
            return dict.fromkeys(sorted({found.texts[SPLIT] for found in self._files}))
        return dict.fromkeys(self._lists or self._shares or [WHOLE])

    def picture(self, path: Path) -> Path:
        """See DescribedDataset."""
        return self.root / path

    def records(self, split: str) -> list[Record]:
        """Return the images of a split with their label maps, sorted by ``image_id``.

        Raises DataError for patterns that nothing fits, a list that cannot be used, images without a label map, label maps without
        an image unless lists choose the images, and files that have one name.
        """
        if split not in self.counts:
            raise DataError(f"{self.root} has no split {split!r}: take one of {', '.join(self.counts)}")
        if self._lists:
            records, more = self._listed.read(self._lists[split])
            if more:
                self.notice("columns", f"{self._lists[split]} has more than a name on a line; the first word is taken")
        elif SPLIT in self._images.wildcards:
            records = [self._record(found) for found in self._files if found.texts[SPLIT] == split]
        else:
            records = [self._record(found) for found in self._files]
        records = self._with_label_maps(records, split)
        if self._lists or SPLIT in self._images.wildcards:
            return sorted(records, key=lambda record: record.image_id)
        return self._shared_out(sorted(records, key=lambda record: record.image_id), split)

    @cached_property
    def _files(self) -> list[Found]:
        return self._images.find(self.root, self.notice)

    @cached_property
    def _listed(self) -> ListedNames:
        return ListedNames([self._record(found) for found in self._files])

    @cached_property
    def _texts(self) -> Mapping[str, Mapping[str, str]]:
        """What stands for the wildcards of each image, by its name."""
        return {found.name: found.texts for found in self._files}

    @cached_property
    def _label_files(self) -> Mapping[tuple[str, ...], list[Path]]:
        """The label maps by what stands for their wildcards."""
        found: dict[tuple[str, ...], list[Path]] = {}
        for file in self._label_maps.find(self.root, self.notice):
            found.setdefault(self._key(file.texts), []).append(file.path)
        return found

    def _names(self) -> list[tuple[str, Path]]:
        return [(found.name, found.path) for found in self._files]

    def _record(self, found: Found) -> Record:
        return Record(found.name, found.texts.get(GROUP, found.name), found.path, Path())

    def _key(self, texts: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(texts[name] for name in sorted(self._label_maps.wildcards))

    def _with_label_maps(self, records: list[Record], split: str) -> list[Record]:
        """Return the records with their label maps; says of all at once what has none, more than one, or one that another has."""
        errors: list[str] = []
        paired: list[Record] = []
        owners: dict[tuple[str, ...], set[Path]] = {}
        for image_id, path in ((r.image_id, r.image) for r in records) if self._lists else self._names():
            owners.setdefault(self._key(self._texts[image_id]), set()).add(path)
        for record in records:
            key = self._key(self._texts[record.image_id])
            image, labels = self.root / record.image, self._label_files.get(key, [])
            if not labels:
                place = self._label_maps.place(self._texts[record.image_id])
                errors.append(f"image {image} has no label map {self.root / place}: copy it there, or remove the image")
            elif len(labels) > 1:
                both = f"{self.root / labels[0]} and {self.root / labels[1]}"
                errors.append(f"image {image} has more than one label map, {both}: remove all but one")
            elif len(owners[key]) > 1:
                both = " and ".join(str(self.root / path) for path in sorted(owners[key])[:2])
                errors.append(
                    f"images {both} have one label map, {self.root / labels[0]}: rename one of them and its label map, or remove it"
                )
            else:
                paired.append(Record(record.image_id, record.group, record.image, labels[0]))
        errors = list(dict.fromkeys(errors))
        if not self._lists:
            by_split = SPLIT in self._label_maps.wildcards
            used = {self._key(found.texts) for found in self._files}
            errors += [
                f"label map {self.root / label} has no image {self.root / self._place_of_image(key)}: copy it there, or remove the "
                "label map"
                for key, labels in self._label_files.items()
                for label in labels
                if key not in used and not (by_split and self._texts_of(key)[SPLIT] != split)
            ]
        if errors:
            raise DataError(several(errors, "images or label maps do not fit together"))
        return paired

    def _place_of_image(self, key: tuple[str, ...]) -> str:
        return self._images.place(dict.fromkeys(self._images.wildcards, "*") | self._texts_of(key))

    def _texts_of(self, key: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(sorted(self._label_maps.wildcards), key, strict=True))


ADAPTER = Folders
ANNOTATIONS = ("label_maps",)
LEVELS = 6
FILE_OPTIONS = ("splits",)
"""Options that can name files whose content counts."""
