"""Which keys of a configuration do not go together, though each is valid by itself."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from patchprobe.analyses.declaring import analyses, kinds_of
from patchprobe.config.downloads import undownloadable
from patchprobe.config.inputs import with_files
from patchprobe.config.specs import ground_sample_distance
from patchprobe.datasets.annotations import (
    BOXES,
    DRAWS,
    IDENTITIES,
    IMAGE_CLASSES,
    LABEL_MAPS,
    annotations,
    whole_images_alone,
)
from patchprobe.downloads.addresses import check_address, without_secrets
from patchprobe.errors import ConfigError, ModelError, suggestion
from patchprobe.files import folder_below
from patchprobe.models.checkpoints.files import check_layout, checkpoint_name, checkpoint_path
from patchprobe.models.registered import OF_THE_FILE, position_method
from patchprobe.tokens.variant_kinds import OF_BLACK


def conflicts(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each conflict in a configuration that is valid key by key; those of analyses come last."""
    for dataset, entry in config["datasets"].items():
        try:
            yield from _draws(dataset, entry, annotations(entry["adapter"], dataset))
        except ConfigError as error:
            yield str(error)
        if entry["corruptions"] and whole_images_alone(entry["adapter"]):
            yield (
                f"key datasets.{dataset}.corruptions has no effect, since no patch of its images is evaluated: remove it"
            )
        for kind in entry["corruptions"] or ():
            if kind not in config["corruptions"]:
                hint = suggestion(kind, config["corruptions"])
                yield (
                    f"key datasets.{dataset}.corruptions names {kind!r}, which is not under the key corruptions{hint and f' ({hint})'}: "
                    "add it there or take it out here"
                )
    for model, entry in config["models"].items():
        yield from _misnamed(model, entry, Path(config["checkpoint_root"]))
        if entry.get("decoder"):
            yield from _misnamed(f"{model}.decoder", entry["decoder"], Path(config["checkpoint_root"]))
            yield from _without_decoder(model, entry)
        yield from _without_position(model, entry)
        if position_method(entry) != "gsd" and entry.get("ground_sample_distance") is not None:
            yield (
                f"key models.{model}.ground_sample_distance has no effect, since models.{model}.position_embedding is "
                "not gsd: remove it"
            )
        if position_method(entry) == "gsd" and entry.get("layout") not in (None, "timm", "scalemae"):
            yield (
                f"key models.{model}.position_embedding is gsd, which puts Scale-MAE's positions in place of those in the file, but "
                f"models.{model}.layout is {entry['layout']}: remove the key"
            )
        for dataset in config["datasets"]:
            try:
                ground_sample_distance(config, dataset, model)
            except ConfigError as error:
                yield str(error)
    for dataset in config["extraction"]["shards"]:
        if dataset not in config["datasets"]:
            hint = suggestion(dataset, config["datasets"], f"there are {', '.join(sorted(config['datasets']))}")
            yield f"key extraction.shards names {dataset}, which is not under datasets: {hint}"
    yield from _beyond_the_tile(config)
    yield from _undivided(config)
    files = {f"models.{name}.checkpoint": entry.get("checkpoint") for name, entry in config["models"].items()}
    files |= {
        f"models.{name}.decoder.checkpoint": entry["decoder"]["checkpoint"]
        for name, entry in config["models"].items()
        if entry.get("decoder")
    }
    for key, path in {"checkpoint_root": config["checkpoint_root"], **files}.items():
        if set(path or "") & set("{}"):
            yield (
                f"key {key} is {path!r}, and Snakemake takes braces in it for wildcards: name one without, or a link to this one"
            )
    yield from _of_one_file(config)
    yield from _outside(config)
    yield from undownloadable(config)
    for analysis in analyses():
        yield from analysis.conflicts(config)


def _draws(dataset: str, entry: Mapping[str, Any], annotated: frozenset[str]) -> Iterator[str]:
    """Say which draws of images or tiles the annotations of a data set do not allow, or its tiling."""
    key, splits = f"datasets.{dataset}.splits", entry["splits"]
    if {LABEL_MAPS, IMAGE_CLASSES} & annotated and "train" not in splits:
        yield f"key {key}.train is missing"
    for name, split in splits.items():
        given = [draw for draw in DRAWS if split[draw] is not None]
        if len(given) > 1:
            yield f"key {key}.{name}: {' and '.join(given)} are both set; set one of them to null"
        if split["videos"] is not None and IDENTITIES not in annotated:
            yield (
                f"key {key}.{name}.videos needs videos, and adapter {entry['adapter']} has none: use per_group, images of each group"
            )
    by_tile = {name: split for name, split in splits.items() if split["tiles_per_class"] is not None}
    for name in by_tile:
        if BOXES not in annotated:
            yield (
                f"key {key}.{name}.tiles_per_class needs boxes, and adapter {entry['adapter']} has none: use per_class, images "
                "for each class"
            )
        if entry["tiling"]["image_size"] is not None:
            yield (
                f"key datasets.{dataset}.tiling.image_size has no meaning with {key}.{name}.tiles_per_class, which cuts tiles out of "
                "images as they are: set it to null"
            )
    for name, split in splits.items():
        others = [other for other in by_tile if other != name and splits[other]["source"] == split["source"]]
        if others and split["per_class"] is not None:
            yield (
                f"key {key}.{name}.per_class counts images and {key}.{others[0]}.tiles_per_class tiles of one source, "
                f"{split['source']}: set both to tiles_per_class"
            )


def _misnamed(model: str, entry: Mapping[str, Any], checkpoint_root: Path) -> Iterator[str]:
    """Say what can be told from the text of a checkpoint's keys alone."""
    try:
        if entry.get("layout"):
            check_layout(f"models.{model}.layout", entry["layout"])
        if entry.get("url"):
            check_address(f"models.{model}.url", entry["url"])
        if entry.get("checkpoint"):
            checkpoint_path(model, entry, checkpoint_root)
    except (ConfigError, ModelError) as error:
        yield str(error)


def _of_one_file(config: Mapping[str, Any]) -> Iterator[str]:
    """Say which models name one file and say different things of it; it is fetched once, and all of them get what came."""
    for (one, first), (other, second) in combinations(with_files(config), 2):
        file = checkpoint_name(first)
        if not file or checkpoint_name(second) != file:
            continue
        said = {key: (first[key], second[key]) for key in OF_THE_FILE if first.get(key) and second.get(key)}
        for key, (before, after) in said.items():
            # Where they agree about a digest two addresses are those of one file.
            same = len(said) > 1 if key == "url" else before.startswith(after) or after.startswith(before)
            if before != after and not same:
                shown = ", ".join(map(without_secrets if key == "url" else str, (before, after)))
                yield (
                    f"keys models.{one}.{key} and models.{other}.{key} differ ({shown}), but both checkpoints are the "
                    f"file {file}: let them agree, or give one of the files another name"
                )


def _without_decoder(model: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Say where no decoder can be, whatever the files hold."""
    key = f"key models.{model}.decoder"
    if not entry["checkpoint"] and not entry["decoder"]["checkpoint"]:
        yield (
            f"{key} is given, but models.{model}.checkpoint is null, and timm's hub has no decoders: name a checkpoint that has "
            "one, or the decoder's own"
        )
    if position_method(entry) == "gsd":
        yield f"{key} is given, but no decoder is known for position_embedding gsd: remove it"


def _without_position(model: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Say which variants take directions from a black image of a model that sees the same at every place of it."""
    for name, variant in (entry.get("variants") or {}).items() if entry["source"] == "pixels" else ():
        if variant["transform"] in OF_BLACK:
            yield (
                f"key models.{model}.variants.{name}.transform is {variant['transform']}, but raw pixels of a black image are the same "
                "at every place, so there is no position in them: remove the variant"
            )


def _beyond_the_tile(config: Mapping[str, Any]) -> Iterator[str]:
    """Say which shifts leave nothing of a tile."""
    shift = config["corruptions"].get("shift")
    for dataset, entry in config["datasets"].items():
        if shift is None or "shift" not in kinds_of(config, dataset):
            continue
        side = min(_pair(entry["tiling"]["resize"]))
        if shift["apply"] == "tile" and max(shift["levels"]) >= side:
            yield (
                f"key corruptions.shift.levels: a shift of {max(shift['levels'])} px leaves nothing of the tiles of "
                f"{side} px that datasets.{dataset}.tiling.resize makes: take less than {side}"
            )


def _undivided(config: Mapping[str, Any]) -> Iterator[str]:
    """Say which patches of raw pixels do not divide the images that they are cut from."""
    for model, entry in config["models"].items():
        for dataset, data in config["datasets"].items() if entry["source"] == "pixels" else ():
            own = entry.get("input_size")
            sides, patch = _pair(own or data["tiling"]["resize"]), entry["patch_size"]
            if any(side % patch for side in sides):
                where = f"models.{model}.input_size" if own else f"datasets.{dataset}.tiling.resize"
                yield (
                    f"key models.{model}.patch_size: patches of {patch} px do not divide the {sides[0]} x {sides[1]} px of "
                    f"{where}: use a divisor"
                )


def _pair(side: int | list[int]) -> tuple[int, int]:
    return (side[0], side[1]) if isinstance(side, list) else (side, side)


def _outside(config: Mapping[str, Any]) -> Iterator[str]:
    """Say which folders of data lie outside ``data_root``."""
    folders = {f"datasets.{name}.root": entry["root"] for name, entry in config["datasets"].items()}
    folders["pretraining.images.folder"] = config["pretraining"]["images"]["folder"]
    for key, folder in folders.items():
        try:
            if folder:
                folder_below(key, folder, Path(config["data_root"]))
        except ConfigError as error:
            yield str(error)
