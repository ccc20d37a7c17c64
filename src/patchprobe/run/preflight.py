"""What can be found wrong before the first job: with a configuration beyond its schema, and with files and folders."""

import shlex
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from patchprobe.config.validation import NO_DATA_SETS
from patchprobe.errors import ConfigError, DataError, ModelError, suggestion
from patchprobe.files import check_writable
from patchprobe.models.encoding import make_known

# Longer, and the clock of a file server is not merely a little ahead of this machine's.
_WAIT = 10.0
_SHOWN = 3


def check_targets(targets: Iterable[str], config: Mapping[str, Any]) -> None:
    """Raise ConfigError for a file of results that is asked of a model or data set which the validated ``config`` has not."""
    for target in targets:
        folder, *parts = PurePosixPath(target).parts or ("",)
        if folder != "results" or len(parts) < 2:
            continue
        if parts[0] == "models":
            kind, name = "models", parts[1].partition(".")[0]
        elif parts[0] not in NO_DATA_SETS:
            kind, name = "datasets", parts[0]
        else:
            continue
        if name not in (known := sorted(config[kind])):
            near = suggestion(name, known)
            raise ConfigError(
                f"{target}: {kind} of the configuration has no {name}, but {', '.join(known)}: "
                f"{near + ' Correct the name, or add it' if near else 'correct the name, or add it'}"
            )


def check_folders(files: Iterable[str]) -> None:
    """See that the folders of results and logs to be made take files; raises StoreError naming one that does not."""
    check_writable({Path(file).parent for file in files if file.startswith(("results/", "logs/"))})


def check_times(files: Iterable[str], *, now: float) -> None:
    """Raise DataError if files to make results from lie in the future, which nothing made from them would be newer than.

    ``now`` is the time in seconds as the file system has it. Waits where it is a matter of seconds.
    """
    paths = sorted({_with_time(Path(file)) for file in files})
    times = {path: modified for path in paths if (modified := _modified(path)) > now}
    if not times:
        return
    newest = max(times.values())
    if newest - now <= _WAIT:
        print(f"{max(times, key=times.__getitem__)} lies in the future; waiting until it does not", file=sys.stderr)
        time.sleep(newest - now)
        return
    shown = shlex.join(str(path) for path in list(times)[:_SHOWN])
    others = f" and {len(times) - _SHOWN} more" if len(times) > _SHOWN else ""
    roots = shlex.join(sorted({_root(path) for path in times}))
    raise DataError(
        f"the time of {shown}{others} lies in the future (up to {datetime.fromtimestamp(newest):%Y-%m-%d %H:%M:%S}; it is "
        f"{datetime.fromtimestamp(now):%Y-%m-%d %H:%M:%S}), so that nothing made from it would be newer: correct the clock "
        f"of this machine, or set the time back (find -H {roots} -newermt now -exec touch -d now {{}} +), and run again"
    )


def _with_time(path: Path) -> Path:
    """Return the file that has the time of an input: of a folder that a job made, the one that Snakemake left in it."""
    stamp = path / ".snakemake_timestamp"
    return stamp if stamp.is_file() else path


def _modified(path: Path) -> float:
    try:
        return max(path.lstat().st_mtime, path.stat().st_mtime)
    except OSError:
        return 0.0


def _root(path: Path) -> str:
    """Return the folder of results, or for anything else the path itself."""
    return path.parts[0] if path.parts[0] == "results" else str(path)


def check(config: Mapping[str, Any], *, device: str, rules: Collection[str] = ()) -> None:
    """Open every data set, corruption and objective's options of a validated configuration, and see that ``device`` is there.

    ``rules`` are those that are going to run: where models are looked at, variants have to leave them features, and where
    something is spread over workers, a dask scheduler that is named has to answer. Raises ConfigError, DataError, DeviceError or ModelError with
    the message that the job would end with.
    """
    # Imported here, since the workflow imports this module on every parse and runs it once.
    from patchprobe.config.downloads import awaited_root
    from patchprobe.corruptions.corruption import open_corruption
    from patchprobe.datasets.dataset import open_dataset
    from patchprobe.datasets.demo.generators import open_generator
    from patchprobe.run.devices import check_device
    from patchprobe.spreading import cluster, server

    check_device(device)
    if {"inspect_model", "extract", "image_knn"} & set(rules):
        for name, entry in config["models"].items():
            check_variants(name, entry)
    settings = cluster.announced()
    if settings is not None and spread_rules() & set(rules):
        server.check(settings)
        if settings["address"] is not None:
            check_scheduler()
    corruptions = {kind: open_corruption(kind, entry) for kind, entry in config["corruptions"].items()}
    _check_within_tiles(config, {kind for kind, one in corruptions.items() if one.geometric and one.apply == "image"})
    for name, entry in config["datasets"].items():
        if entry["generate"]:
            if entry["root"]:
                raise ConfigError(
                    f"datasets.{name}.root has no meaning for a generated data set; remove it, or generate"
                )
            open_generator(entry["generate"], name=name)
        elif absent := awaited_root(config, name):
            check_writable([absent])
        else:
            open_dataset(entry, Path(config["data_root"]), name=name)
    for name, entry in config["pretraining"]["objectives"].items():
        # The objectives are slow to import, and lightly is in the environment of those who train.
        if entry["options"] and find_spec("lightly"):
            from patchprobe.pretraining.objective import check_options

            check_options(name, entry["options"])


def spread_rules() -> set[str]:
    """Return the rules whose jobs spread work over the workers of a scheduler: searches, ridge regressions, bootstraps."""
    from patchprobe.analyses.declaring import analyses

    return {"patch_classification", *(analysis.name for analysis in analyses() if analysis.measures)}


def check_scheduler() -> None:
    """Raise ConfigError unless the scheduler that is announced answers and has a worker."""
    from patchprobe.spreading import cluster

    cluster.connected()
    # Jobs have connections of their own.
    cluster.disconnect()


def _check_within_tiles(config: Mapping[str, Any], moving: Collection[str]) -> None:
    """Raise ConfigError where kinds of corruptions that are ``moving`` full images meet an analysis that stays within tiles."""
    from patchprobe.analyses.declaring import analyses, kinds_of

    for analysis in analyses():
        for name in analysis.datasets(config) if analysis.within_tiles else ():
            wrong = set(moving) & set(kinds_of(config, name))
            if wrong and config["datasets"][name]["splits"]["evaluation"]["tiles_per_class"] is None:
                raise ConfigError(
                    f"corruptions.{min(wrong)}.apply moves patches of datasets.{name} from one tile to another, which "
                    f"{analysis.name} cannot follow: set it to tile"
                )


def check_variants(name: str, entry: Mapping[str, Any]) -> None:
    """Raise ModelError if a variant of a model takes as many features as it has, or more."""
    asked = {variant: own["features"] for variant, own in entry["variants"].items() if own.get("features")}
    features = _features(entry) if asked else None
    for variant, count in asked.items():
        if features is not None and count >= features:
            raise ModelError(
                f"models.{name}.variants.{variant}.features is {count}, but the model has {features} features: take fewer"
            )


def _features(entry: Mapping[str, Any]) -> int | None:
    """Return how many features the tokens of a model have, or None where its own job will say what is wrong with it."""
    if entry["source"] == "pixels":
        return int(3 * entry["patch_size"] ** 2)
    # Without memory or arithmetic; importing both takes some seconds, and only where there are variants.
    from patchprobe.models.unfilled import outline

    make_known(str(entry["architecture"]).partition(".")[0])
    try:
        network = outline(entry["architecture"], **(entry.get("arguments") or {}))
    except Exception:  # whatever timm finds wrong, inspect_model names the key
        return None
    return int(network.num_features)
