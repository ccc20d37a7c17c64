"""What jobs read that no other job makes, and the modules that a configuration names.

Files are given as paths relative to the folder of the run, as the workflow knows them. Modules found by name at run time
are part of the code of the jobs that find them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchprobe.config import downloads
from patchprobe.datasets.annotations import IDENTITIES, annotations
from patchprobe.datasets.listing import state_of_files, state_of_folders
from patchprobe.datasets.released import fetched_state, is_absent, state_to_be
from patchprobe.downloads.addresses import mirrored
from patchprobe.files import constant, fingerprint
from patchprobe.models.checkpoints.files import checkpoint_name, checkpoint_path
from patchprobe.models.encoding import encoder_module
from patchprobe.models.registered import OF_THE_FILE

Config = Mapping[str, Any]

# Where the jobs of a run leave word of each other; no result.
SHARD = ".snakemake/shards/{dataset}/{model}/{corruption}/{shard}.json"
_LIBRARY = Path(__file__).parents[1]
# Folders change with the files in them; three levels are where known layouts keep images.
_LEVELS = 3


def raw_manifest(config: Config, dataset: str) -> list[str]:
    """Return what tells that a generated data set changed, its manifest; nothing for any other."""
    return [f"results/{dataset}/raw.manifest.json"] if config["datasets"][dataset]["generate"] else []


def raw_state(config: Config, dataset: str) -> str:
    """Return what tells that a file came or went in the folders of a data set; empty for one without files of its own.

    Of one that is fetched it is the same before and after, until a file comes or goes. An adapter may name the sub-folders
    that it reads, ``FOLDERS``, so that what else lies there costs nothing, how deep they are, ``LEVELS``, and few files of
    labels whose content counts too, ``LABEL_FILES``: patterns below the root, of each split that is used, or
    ``FILE_OPTIONS``, options of the data set that name such files by split.
    """
    entry = config["datasets"][dataset]
    root = downloads.root(config, dataset)
    release = downloads.release_of(config, dataset)
    if release and is_absent(root):
        return state_to_be(release.name)
    if entry["generate"] or not entry["root"] or not root.is_dir():
        return ""
    module = _LIBRARY.joinpath(*adapter_module(config, dataset).split(".")[1:]).with_suffix(".py")
    levels = constant(module, "LEVELS") or _LEVELS
    sources = sorted({split["source"] for split in entry["splits"].values()})
    patterns = [pattern.format(split=split) for pattern in constant(module, "LABEL_FILES") or () for split in sources]
    options = [entry["options"].get(name) for name in constant(module, "FILE_OPTIONS") or ()]
    patterns += [
        name for option in options if isinstance(option, dict) for name in option.values() if isinstance(name, str)
    ]
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})
    if state := fetched_state(root, files):
        return state
    state = f"raw {state_of_folders(root, levels, constant(module, 'FOLDERS'))}"
    return " ".join([state, *([state_of_files(files)] if files else [])])


def with_identities(config: Config) -> list[str]:
    """Return the data sets of videos, by name."""
    entries = config["datasets"]
    return sorted(name for name in entries if IDENTITIES in annotations(entries[name]["adapter"], name))


def generated_folder(config: Config, dataset: str) -> list[str]:
    """Return the folder of a generated data set, so that it is there for whoever reads it."""
    return [f"results/{dataset}/raw"] if config["datasets"][dataset]["generate"] else []


def awaited_data(config: Config, dataset: str) -> list[str]:
    """Return what tells that a data set that is fetched is there, for whoever reads it."""
    return downloads.marker(config, dataset)


def absent_data(config: Config) -> str:
    """Return a pattern of the roots of data sets that have to be fetched, relative to data_root."""
    roots = {config["datasets"][name]["root"] for name in downloads.to_fetch(config)}
    return "|".join(map(re.escape, sorted(roots))) or "(?!)"


def fetched_data(config: Config, folder: str) -> dict[str, Any]:
    """Return what is to be fetched into a root relative to data_root."""
    name = next(n for n in downloads.to_fetch(config) if config["datasets"][n]["root"] == folder)
    entry = config["datasets"][name]
    return {
        "name": name,
        "entry": {"adapter": entry["adapter"], "download": entry["download"]},
        "root": str(downloads.root(config, name)),
        "data_root": config["data_root"],
        "mirror": config["mirror"],
    }


def present_classes(config: Config, dataset: str) -> list[str]:
    """Return the classes in the images or tiles of a data set's own splits, where a draw asks for some of every class."""
    splits = config["datasets"][dataset]["splits"].values()
    sources = {s["source"] for s in splits if s["per_class"] is not None or s["tiles_per_class"] is not None}
    return [f"results/{dataset}/present_classes/{source}.csv" for source in sorted(sources)]


def checkpoint(config: Config, model: str) -> list[str]:
    """Return the model's file below ``checkpoint_root``, there or not; none if the package brings it along."""
    name = checkpoint_name(config["models"][model])
    return [str(Path(config["checkpoint_root"]) / name)] if name else []


def decoder_checkpoint(config: Config, model: str) -> list[str]:
    """Return the file of a model's decoder below ``checkpoint_root``, as for the model's own; none without one of its own."""
    name = checkpoint_name(config["models"][model]["decoder"])
    return [str(Path(config["checkpoint_root"]) / name)] if name else []


def shards(config: Config, dataset: str, model: str, corruption: str) -> list[str]:
    """Return what says that the shards of a store of tokens are whole; nothing where one job makes the store."""
    number = config["extraction"]["shards"].get(dataset, 1)
    names = [f"{index}-of-{number}" for index in range(1, number + 1)] if number > 1 else []
    return [SHARD.format(dataset=dataset, model=model, corruption=corruption, shard=name) for name in names]


def packaged_weights(config: Config, model: str) -> str:
    """Return what tells that the weights are others that the package brings along."""
    return _packaged(model, config["models"][model], config)


def packaged_decoder(config: Config, model: str) -> str:
    """Return the same of the decoder's weights."""
    return _packaged(f"{model}.decoder", config["models"][model]["decoder"], config)


def _packaged(name: str, entry: Mapping[str, Any], config: Config) -> str:
    if not entry.get("checkpoint") or checkpoint_name(entry):
        return ""
    path = checkpoint_path(name, entry, Path(config["checkpoint_root"]))
    return f"weights {fingerprint(path) if path.is_file() else ''}"


def absent_checkpoints(config: Config) -> str:
    """Return a pattern of the checkpoints that are not there; one that is there is no output, so nothing deletes it."""
    root = Path(config["checkpoint_root"])
    names = {checkpoint_name(entry) for _, entry in with_files(config)}
    return "|".join(re.escape(name) for name in sorted(names) if name and not (root / name).exists()) or "(?!)"


def fetched(config: Config, checkpoint: str) -> dict[str, Any]:
    """Return where to get a checkpoint: from the mirror, or from the model or decoder that says most of address and digests."""
    same = [(name, entry) for name, entry in with_files(config) if checkpoint_name(entry) == checkpoint]
    name, entry = max(same, key=lambda pair: [bool(pair[1].get(key)) for key in OF_THE_FILE])
    mirror = mirrored(config["mirror"], Path(checkpoint).name) if config["mirror"] else None
    return {"model": name, "url": entry["url"], "sha256": entry["sha256"], "md5": entry.get("md5"), "mirror": mirror}


def with_files(config: Config) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the keys below ``models``, and the entries there, that may name a file: of models, then of their decoders."""
    models = sorted(config["models"].items())
    return [*models, *((f"{name}.decoder", entry["decoder"]) for name, entry in models if entry.get("decoder"))]


def pretraining_state(config: Config) -> str:
    """Return what tells that a file came or went in the user's folder of images to pretrain on; empty without one."""
    name = config["pretraining"]["images"]["folder"]
    root = Path(config["data_root"]) / (name or "")
    return "" if name is None or not root.is_dir() else f"raw {state_of_folders(root, _LEVELS)}"


def adapter_module(config: Config, dataset: str) -> str:
    """Return the module of a data set's adapter."""
    return f"patchprobe.datasets.adapters.{config['datasets'][dataset]['adapter']}"


def generator_module(config: Config, dataset: str) -> str:
    """Return the module of a data set's generator."""
    return f"patchprobe.datasets.demo.{config['datasets'][dataset]['generate']['generator']}_data"


def corruption_module(kind: str) -> str:
    """Return the module of a kind of corruption."""
    return f"patchprobe.corruptions.kinds.{_module(kind)}"


def model_modules(config: Config, model: str) -> list[str]:
    """Return the modules of a model's source, of the layout of its checkpoint and of a network that timm does not have."""
    entry = config["models"][model]
    encoder = encoder_module(str(entry.get("architecture")).partition(".")[0])
    layout = [f"patchprobe.models.layouts.{_module(entry['layout'])}"] if entry.get("layout") else []
    return [f"patchprobe.models.sources.{_module(entry['source'])}", *layout, *([encoder] if encoder else [])]


def objective_module(objective: str) -> str:
    """Return the module of an objective of pretraining."""
    return f"patchprobe.pretraining.objectives.{_module(objective)}"


def has_decoder(objective: str) -> bool:
    """Return whether an objective of pretraining has a decoder as one more result, as its module says."""
    module = _LIBRARY.joinpath(*objective_module(objective).split(".")[1:]).with_suffix(".py")
    return module.is_file() and bool(constant(module, "HAS_DECODER"))


def image_source_module(config: Config) -> str:
    """Return the module of the source of images to pretrain on."""
    source = "scenes" if config["pretraining"]["images"]["folder"] is None else "folder"
    return f"patchprobe.pretraining.{source}_source"


def _module(name: str) -> str:
    return name.replace("-", "_")
