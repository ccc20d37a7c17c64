"""What a configuration says about data sets that are fetched: which release, where to, and whether its licence is accepted."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from patchprobe.datasets.released import (
    DOWNLOADS,
    HUB_DATASET,
    MARKER,
    Release,
    is_absent,
    missing,
    release_names,
    wanted_release,
)
from patchprobe.downloads.addresses import check_address, without_secrets
from patchprobe.errors import ConfigError, suggestion
from patchprobe.files import folder_below

Config = Mapping[str, Any]


def fill_roots(config: dict[str, Any]) -> None:
    """Give data sets that are fetched and have no root the folder of their release; what is wrong is said elsewhere."""
    for entry in config["datasets"].values():
        try:
            release = wanted_release("", entry)
        except ConfigError:
            continue
        if release and not entry["root"] and not entry["generate"]:
            entry["root"] = release.folder


def undownloadable(config: Config) -> Iterator[str]:
    """Yield a message for each data set that cannot be fetched as the configuration is, or whose licence is not accepted."""
    yield from _unknown(config)
    roots: dict[str, str] = {}
    for name, entry in config["datasets"].items():
        try:
            release = wanted_release(f"datasets.{name}", entry)
            if release is None:
                continue
            if entry["generate"]:
                yield f"key datasets.{name}.download has no meaning for a generated data set: remove it"
                continue
            folder_below(f"datasets.{name}.root", entry["root"], Path(config["data_root"]))
        except ConfigError as error:
            yield str(error)
            continue
        below = os.path.normpath(entry["root"])
        if below in (".", DOWNLOADS):
            yield (
                f"key datasets.{name}.root is {entry['root']!r}, {'data_root itself' if below == '.' else 'where archives lie'}: name a "
                "folder of its own below data_root"
            )
            continue
        if set(str(root(config, name))) & set("{}"):
            yield f"key datasets.{name}.root is {entry['root']!r}, and Snakemake takes braces for wildcards: name one without"
        if roots.setdefault(entry["root"], release.name) != release.name:
            yield f"key datasets.{name}.root is that of another data set, which fetches {roots[entry['root']]}: name another folder"
        yield from _unaccepted(config, name, release)
        yield from _incomplete(config, name, release)


def _unknown(config: Config) -> Iterator[str]:
    """Say which mirror is no address, and which accepted licences are of no release."""
    if config["mirror"] is not None:
        try:
            check_address("key mirror", config["mirror"])
        except ConfigError as error:
            yield str(error)
    known = release_names()
    for name in config["accept_licences"]:
        hub = HUB_DATASET.fullmatch(name)
        if hub and hub["revision"]:
            yield f"key accept_licences has {name!r}: write hf://datasets/{hub['repo']}, the licence is that of every revision"
        elif not hub and name not in known:
            hint = suggestion(name.lower(), known, f"known are {', '.join(known)}")
            yield f"key accept_licences has {name!r}, and there is no release of that name: {hint}"


def _unaccepted(config: Config, name: str, release: Release) -> Iterator[str]:
    if release.name not in config["accept_licences"]:
        licence = release.licence
        accepted = ", ".join([*config["accept_licences"], release.name])
        yield (
            f"key datasets.{name}.download: {release.title} comes under {licence['name']} ({licence['terms']}): read "
            f"{licence['address']} and, if you accept it, write accept_licences: [{accepted}] at the top level of the configuration"
        )


def _incomplete(config: Config, name: str, release: Release) -> Iterator[str]:
    """Say what is missing of data that are there, since nothing is fetched into a folder with something in it."""
    folder = root(config, name)
    if folder.is_symlink() and not folder.exists():
        yield f"key datasets.{name}.root: {folder} is a link to {folder.readlink()}, which is not there: correct or remove the link"
    elif not is_absent(folder) and (absent := missing(release, folder)):
        yield (
            f"key datasets.{name}.download: {folder} is there without {', '.join(absent)}, so it is no whole {release.title}: complete "
            "it, move it away to have it fetched, or set download to false"
        )


def root(config: Config, dataset: str) -> Path:
    """Return the folder of a data set's files."""
    return Path(config["data_root"]) / (config["datasets"][dataset]["root"] or "")


def release_of(config: Config, dataset: str) -> Release | None:
    """Return the release that a data set is fetched from, None if it is not."""
    entry = config["datasets"][dataset]
    return None if entry["generate"] else wanted_release(f"datasets.{dataset}", entry)


def to_fetch(config: Config) -> dict[str, Release]:
    """Return the data sets that have to be fetched since nothing is in their roots, by name; of one root the first."""
    found: dict[Path, str] = {}
    for name in sorted(config["datasets"]):
        if release_of(config, name) and is_absent(root(config, name)):
            found.setdefault(root(config, name), name)
    return {name: release for name in found.values() if (release := release_of(config, name))}


def marker(config: Config, dataset: str) -> list[str]:
    """Return the file in the root of a data set that is fetched or has to be; nothing where somebody put the data there."""
    entry, folder = config["datasets"][dataset], root(config, dataset)
    if entry["generate"] or not entry["root"]:
        return []
    awaited = (folder / MARKER).is_file() or (is_absent(folder) and release_of(config, dataset) is not None)
    return [str(folder / MARKER)] if awaited else []


def described(config: Config, dataset: str, release: Release) -> str:
    """Return what is fetched for a data set: its files, from where and how large, and where to."""
    mirror = config["mirror"]
    origins = [
        without_secrets(mirror or archive.addresses[0]) for archive in release.archives if mirror or archive.addresses
    ]
    size = f"about {release.size / 1e9:.2g} GB, " if release.size else ""
    names = ", ".join(archive.name for archive in release.archives) or release.hub or "nothing by itself"
    origin = f" from {origins[0]}" if origins else ""
    return f"{release.title} ({size}{names}{origin}) into {root(config, dataset)}"


def awaited_root(config: Config, dataset: str) -> Path | None:
    """Return the root of a data set that is still to be fetched, None for any other."""
    folder = root(config, dataset)
    return folder if release_of(config, dataset) and is_absent(folder) else None
