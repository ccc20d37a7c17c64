"""The specs, code digests and inputs of the rules, as functions of wildcards; no rules."""

import re
from os.path import normpath


def dataset_values(dataset):
    """What identifies the pixels of a data set."""
    entry = config["datasets"][dataset]
    return {
        "name": dataset,
        "data_root": config["data_root"] if entry["root"] else "",
        "dataset": {key: entry[key] for key in ("adapter", "root", "options")},
    }


def adapter_module(wildcards):
    """The module of a data set's adapter, found by name at run time."""
    return f"patchprobe.datasets.{config['datasets'][wildcards.dataset]['adapter']}"


def reader_code(script):
    """The code of a script that reads raw data, as a function of the wildcards."""
    return lambda wildcards: code(script, adapter_module(wildcards))


def raw_folders(wildcards):
    """The folders of the raw data that are there, so that added or removed files make the index stale."""
    entry = config["datasets"][wildcards.dataset]
    root = Path(config["data_root"]) / (entry["root"] or "")
    if not entry["root"] or not root.is_dir():
        return []
    return sorted(str(folder) for folder in (root, *root.iterdir()) if folder.is_dir())


def index_spec(wildcards):
    entry = config["datasets"][wildcards.dataset]
    return spec(
        **dataset_values(wildcards.dataset),
        seed=config["seed"],
        splits=entry["splits"],
        tile_size=entry["tiling"]["size"],
    )


def tiling_spec(wildcards):
    return spec(
        **dataset_values(wildcards.dataset),
        tiling=config["datasets"][wildcards.dataset]["tiling"],
    )


def corruption_spec(wildcards):
    return spec(
        **dataset_values(wildcards.dataset),
        tiling=config["datasets"][wildcards.dataset]["tiling"],
        seed=config["seed"],
        kind=wildcards.corruption,
        corruption=config["corruptions"][wildcards.corruption],
    )


def model_values(model):
    """What identifies a model: neither its probe's options nor the place that its checkpoint comes from."""
    entry = config["models"][model]
    apart = ("probe", "url", "ground_sample_distance")
    return {
        "name": model,
        "model": {key: value for key, value in entry.items() if key not in apart},
        "checkpoint_root": config["checkpoint_root"] if entry.get("checkpoint") else "",
    }


def ground_values(wildcards):
    """The size of a pixel on the ground, for a model that uses it."""
    distance = ground_sample_distance(config, wildcards.dataset, wildcards.model)
    return {} if distance is None else {"ground_sample_distance": distance}


def model_spec(wildcards):
    own = config["models"][wildcards.model].get("input_size")
    tile = config["datasets"][wildcards.dataset]["tiling"]["resize"]
    return spec(**model_values(wildcards.model), **ground_values(wildcards), input_size=own or tile)


def extraction_spec(wildcards):
    extraction = config["extraction"]
    layers = extraction["layers"]["clean" if wildcards.corruption == "clean" else "corrupted"]
    return spec(
        **model_values(wildcards.model),
        **ground_values(wildcards),
        device=config["device"],
        extraction={**extraction, "layers": layers},
    )


def source_code(script):
    """The code of a script that builds models, with the modules that the model finds by name at run time."""
    return lambda wildcards: code(script, *model_modules(config["models"][wildcards.model]))


def model_modules(entry):
    """The modules of a model's source and of the layout of its checkpoint."""
    modules = [f"patchprobe.models.{entry['source'].replace('-', '_')}_source"]
    if entry.get("layout"):
        modules.append(f"patchprobe.models.layouts.{entry['layout'].replace('-', '_')}")
    return modules


def checkpoint_name(model):
    """The model's file below checkpoint_root, there or not; empty if it has none or the package brings it along."""
    name = config["models"][model].get("checkpoint") or ""
    below = name and not name.startswith("package:") and not Path(name).is_absolute()
    return normpath(name) if below and not normpath(name).startswith("..") else ""


def checkpoint_file(wildcards):
    """The model's checkpoint, so that another file under its name makes the tokens stale."""
    name = checkpoint_name(wildcards.model)
    return [str(Path(config["checkpoint_root"]) / name)] if name else []


def absent_checkpoints():
    """The pattern of the checkpoints that are not there; one that is there is no output, so nothing deletes it."""
    names = sorted({name for model in MODELS if (name := checkpoint_name(model))})
    absent = [name for name in names if not (Path(config["checkpoint_root"]) / name).exists()]
    return "|".join(map(re.escape, absent)) or "(?!)"


def fetching_spec(wildcards, output):
    """Where to get a checkpoint, from the first model with its address.

    Takes the output, because Snakemake does not compare such params: another address makes nothing stale.
    """
    models = [model for model in MODELS if checkpoint_name(model) == wildcards.checkpoint]
    model = next((model for model in models if config["models"][model]["url"]), models[0])
    entry = config["models"][model]
    return spec(name=model, url=entry["url"], sha256=entry["sha256"])


def fetching_code(wildcards, output):
    """The code that fetches; not compared either, since the content of a file does not depend on it."""
    return code("fetch_checkpoint")


def probe_spec(wildcards):
    return spec(
        linear=config["patch_classification"]["linear"],
        probe=config["models"][wildcards.model]["probe"],
        seed=config["seed"],
    )


def patch_classification_spec(wildcards):
    return spec(
        dataset=wildcards.dataset,
        model=wildcards.model,
        corruption=wildcards.corruption,
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def measurement_files(datasets=DATASETS, models=MODELS, versions=VERSIONS):
    """The measurements of models on versions of data sets; without arguments all of them."""
    return expand(
        "results/{dataset}/patch_classification/{model}.{corruption}.parquet",
        dataset=datasets,
        model=models,
        corruption=versions,
    )


def clean_measurement_files():
    return measurement_files(versions=["clean"])


def dataset_measurements(wildcards):
    return measurement_files(datasets=[wildcards.dataset])


def clean_dataset_measurements(wildcards):
    return measurement_files(datasets=[wildcards.dataset], versions=["clean"])


def model_measurements(wildcards):
    return measurement_files(models=[wildcards.model])


def report_files():
    """Everything that the target all makes."""
    figures = ["clean_scores"]
    by_corruption = ["corruptions", "robustness"] if CORRUPTIONS else []
    for figure in ["class_iou", "segmentations", *by_corruption]:
        figures += expand("{figure}.{dataset}", figure=figure, dataset=DATASETS)
    return [
        *expand(
            "results/tables/{table}.{ext}", table=["patch_classification", "datasets"], ext=TABLE_FORMATS
        ),
        *expand("results/figures/{figure}.{ext}", figure=figures, ext=FIGURE_FORMATS),
        *expand("results/models/{model}.csv", model=MODELS),
    ]


def models_spec(wildcards):
    return spec(models=MODELS)


def corruption_sheet_spec(wildcards):
    return spec(versions=VERSIONS, images=config["report"]["images"])


def segmentation_sheet_spec(wildcards):
    return spec(models=MODELS, images=config["report"]["images"])


def interval_spec(wildcards):
    return spec(
        datasets=DATASETS, models=MODELS, interval=config["patch_classification"]["bootstrap"]["level"]
    )
