"""The releases of data sets that can be fetched: one YAML file each in ``patchprobe/datasets/releases``, and what is known of
a fetched one.

The workflow asks these questions on every parse, so nothing here imports what fetches.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from patchprobe.datasets.listing import state_of_folders
from patchprobe.errors import ConfigError, suggestion
from patchprobe.own_files import read_yaml

FOLDER = Path(__file__).with_name("releases")
# In the root of a fetched data set: hidden, so that adapters pass it over, and gone with the data.
MARKER = ".fetched"
# The folder below data_root that archives lie in until their data set is there.
DOWNLOADS = "downloads"
# A data set at Hugging Face in place of a release by name.
HUB_DATASET = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
# Folders change with the files in them; layouts keep images no deeper.
_LEVELS = 4


@dataclass(frozen=True)
class Archive:
    """A file of a release.

    ``addresses`` in the order of asking. ``bytes`` is its size and ``about`` what its size is said to be; ``digests`` by kind.
    What lies in its folder ``inside`` goes into the folder ``into`` of the data set. ``repacked`` if its server packs it anew
    for each request, so that its bytes change. ``plain`` if it is no archive but itself the file ``into`` of the data set.
    ``confirmed`` says who publishes the digests.
    """

    name: str
    confirmed: str
    addresses: tuple[str, ...] = ()
    bytes: int | None = None
    about: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict, hash=False)
    inside: str = ""
    into: str = ""
    repacked: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Release:
    """A release of a data set: what has to be fetched, and what one has to know.

    ``adapter`` reads it, None if any with options does. ``folder`` is the usual name of its root, ``expects`` are paths below
    that a complete one has, ``also`` says what it needs besides that may lie at several places. ``licence`` has name, address and
    terms. ``login`` says the steps where the files are not to be had without one, with ``{tool}`` where it calls ``tool``, the
    program that can fetch them then. ``hub`` is the address of a data set at Hugging Face, whose files
    are known once it is asked.
    """

    name: str
    title: str
    adapter: str | None
    folder: str
    licence: Mapping[str, str]
    citation: str
    expects: tuple[str, ...]
    archives: tuple[Archive, ...]
    also: str = ""
    login: str = ""
    tool: str = ""
    hub: str = ""

    def steps(self, tool: str = "") -> str:
        """Return the steps of the log-in; ``tool`` is how to call the program, by its own name if empty."""
        return self.login.replace("{tool}", tool or self.tool)

    @property
    def size(self) -> int:
        """Bytes of its archives as far as they are known; they need as much again unpacked, or more."""
        return sum(archive.bytes or archive.about or 0 for archive in self.archives)


def release_names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all releases, sorted."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


@cache
def release(name: str, folder: Path = FOLDER) -> Release:
    """Read a release; raises ConfigError naming the file if it is not as it has to be."""
    file = folder / f"{name}.yaml"
    try:
        content = read_yaml(file)
        facts, archives = dict(content["release"]), [dict(archive) for archive in content["files"]]
        for archive in archives:
            archive["addresses"] = tuple(a.replace("{name}", archive["name"]) for a in archive.get("addresses", ()))
        facts["expects"] = tuple(facts["expects"])
        return Release(name=name, archives=tuple(Archive(**archive) for archive in archives), **facts)
    except (yaml.YAMLError, KeyError, TypeError) as error:
        known = ", ".join(one.name for one in fields(Release))
        raise ConfigError(
            f"{file} is no release ({' '.join(str(error).split())}): give it release, with {known}, and files"
        ) from error


def wanted_release(key: str, entry: Mapping[str, Any]) -> Release | None:
    """Return the release that ``datasets.<name>.download`` asks for, None if it is false.

    ``key`` is that of the entry, for messages. True is the release of the entry's adapter; a text is the name of a release, or
    ``hf://datasets/<organisation>/<name>[@<revision>]``. Raises ConfigError if there is no such release, or no single one.
    """
    asked = entry["download"]
    if asked is False:
        return None
    if isinstance(asked, str) and asked.startswith("hf://"):
        return _at_the_hub(key, asked)
    known = release_names()
    if asked is True:
        fitting = [name for name in known if release(name).adapter == entry["adapter"]]
        if len(fitting) != 1:
            raise ConfigError(
                f"{key}.download: true needs a release of its own for adapter {entry['adapter']}; name one of {', '.join(known)}"
            )
        return release(fitting[0])
    if asked not in known:
        hint = suggestion(asked, known, f"known are {', '.join(known)}")
        raise ConfigError(f"{key}.download: there is no release {asked!r}; {hint}")
    found = release(asked)
    # Adapters without a release of their own read what their options describe.
    own = any(release(name).adapter == entry["adapter"] for name in known)
    if own and found.adapter != entry["adapter"]:
        raise ConfigError(
            f"{key}.download is {asked}, which adapter {entry['adapter']} does not read: take adapter {found.adapter or 'folders'}, or "
            "another release"
        )
    return found


def _at_the_hub(key: str, address: str) -> Release:
    match = HUB_DATASET.fullmatch(address)
    if not match:
        raise ConfigError(f"{key}.download is {address}; write hf://datasets/<organisation>/<name>@<revision>")
    page = f"https://huggingface.co/datasets/{match['repo']}"
    return Release(
        name=address.partition("@")[0],
        title=f"{match['repo']} at Hugging Face",
        adapter=None,
        folder=match["repo"].rpartition("/")[2],
        licence={"name": "the licence on its page", "address": page, "terms": "as its page says"},
        citation=page,
        expects=(),
        archives=(),
        hub=address,
    )


def slug(name: str) -> str:
    """Return the name of a release, or of a file at the hub, as one that a file can have."""
    return name.replace("/", "--").replace(":", "")


def lock_file(root: Path) -> Path:
    """Return the file beside the root of a data set that says what was fetched, and holds the digests of the first time."""
    return root.with_name(f"{root.name}.fetched.json")


def is_absent(root: Path) -> bool:
    """Tell whether nothing lies in the root of a data set."""
    try:
        return not any(root.iterdir())
    except FileNotFoundError:
        return not root.is_symlink()
    except OSError:
        return False


def missing(wanted: Release, root: Path) -> list[str]:
    """Return what of a release is not in a root that is there."""
    return [path for path in wanted.expects if not (root / path).exists()]


def fetched_state(root: Path, label_files: list[Path]) -> str:
    """Return what stands for a fetched data set whose folders are as they were unpacked; empty for any other.

    It is the same before and after the fetching, so that a run which fetches is not stale afterwards. ``label_files`` are
    files whose content counts too: none may be newer than the fetching.
    """
    if not (root / MARKER).is_file():
        return ""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(lock_file(root).read_text(encoding="utf-8"))
        older = all(path.stat().st_mtime_ns <= known["time"] for path in label_files)
        if older and known["state"] == tree_state(root):
            return state_to_be(known["release"])
    return ""


def state_to_be(name: str) -> str:
    """Return what will stand for the data set of a release once it is fetched."""
    return f"release {name}"


def tree_state(root: Path) -> str:
    """Return a digest of the names and times of the folders of a data set."""
    return state_of_folders(root, _LEVELS)
