"""The specs, code digests and inputs of the rules, as functions of wildcards; no rules."""

import re


def dataset_values(dataset):
    """What identifies the pixels of a data set."""
    entry = config["datasets"][dataset]
    values = {key: entry[key] for key in ("adapter", "root", "options")}
    if dataset in GENERATED:
        return {"name": dataset, "data_root": f"results/{dataset}", "dataset": values | {"root": "raw"}}
    return {"name": dataset, "data_root": config["data_root"] if entry["root"] else "", "dataset": values}


def adapter_module(wildcards):
    """The module of a data set's adapter, found by name at run time."""
    return f"patchprobe.datasets.adapters.{config['datasets'][wildcards.dataset]['adapter']}"


def reader_code(script):
    """The code of a script that reads raw data, as a function of the wildcards."""
    return lambda wildcards: code(script, adapter_module(wildcards))


def generation_spec(wildcards):
    return spec(name=wildcards.dataset, generate=config["datasets"][wildcards.dataset]["generate"])


def generator_code(wildcards):
    """The code that generates a data set, with the generator's module, found by name at run time."""
    generator = config["datasets"][wildcards.dataset]["generate"]["generator"]
    return code("generate", f"patchprobe.datasets.demo.{generator}_data")


def generated_folder(wildcards):
    """The folder of a generated data set, so that it is there for whoever reads it."""
    return [ancient(f"results/{wildcards.dataset}/raw")] if wildcards.dataset in GENERATED else []


def raw_files(wildcards):
    """What tells that raw data changed: the manifest of a generated data set, otherwise the folders that are there.

    Folders change with the files in them; three levels are where known layouts keep images.
    """
    if wildcards.dataset in GENERATED:
        return [f"results/{wildcards.dataset}/raw.manifest.json"]
    entry = config["datasets"][wildcards.dataset]
    root = Path(config["data_root"]) / (entry["root"] or "")
    if not entry["root"] or not root.is_dir():
        return []
    levels = [[root]]
    for _ in range(3):
        levels.append([path for folder in levels[-1] for path in folder.iterdir() if path.is_dir()])
    return sorted(str(folder) for level in levels for folder in level)


def index_spec(wildcards):
    entry = config["datasets"][wildcards.dataset]
    tiling = entry["tiling"]
    return spec(
        **dataset_values(wildcards.dataset),
        seed=config["seed"],
        splits=entry["splits"],
        # What has to fit; the rest of tiling is nothing to the index.
        tiling={key: tiling[key] for key in ("size", "image_size")},
    )


def present_classes_spec(wildcards):
    return spec(**dataset_values(wildcards.dataset))


def present_classes_files(wildcards):
    """The classes of every image of a data set's own splits, where a draw asks for images of every class."""
    splits = config["datasets"][wildcards.dataset]["splits"].values()
    sources = {split["source"] for split in splits if split["per_class"] is not None}
    return [f"results/{wildcards.dataset}/present_classes/{source}.csv" for source in sorted(sources)]


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


def corruption_code(wildcards):
    """The code that corrupts, with the modules of the data set's adapter and of the kind, found by name at run time."""
    kind = wildcards.corruption.replace("-", "_")
    return code("corrupt", adapter_module(wildcards), f"patchprobe.corruptions.kinds.{kind}")


def model_values(model):
    """What identifies a model; its probe's options, its variants and its checkpoint's address are no part of it."""
    entry = config["models"][model]
    apart = ("probe", "variants", "url", "ground_sample_distance")
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
    modules = [f"patchprobe.models.sources.{entry['source'].replace('-', '_')}"]
    if entry.get("layout"):
        modules.append(f"patchprobe.models.layouts.{entry['layout'].replace('-', '_')}")
    return modules


def checkpoint_name(model):
    """The model's file below checkpoint_root, there or not; empty if it has none or the package brings it along."""
    return checkpoint_files.checkpoint_name(config["models"][model])


def checkpoint_file(wildcards):
    """The model's checkpoint. Its content counts and not its time, as with all ancient files that no job makes."""
    name = checkpoint_name(wildcards.model)
    return [ancient(str(Path(config["checkpoint_root"]) / name))] if name else []


def packaged_weights(wildcards):
    """What tells that the weights that the package brings along are others."""
    entry = config["models"][wildcards.model]
    if not entry.get("checkpoint") or checkpoint_name(wildcards.model):
        return ""
    path = checkpoint_files.checkpoint_path(wildcards.model, entry, Path(config["checkpoint_root"]))
    return f"weights {files.fingerprint(path) if path.is_file() else ''}"


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


def variant_values(wildcards):
    """What identifies a variant of a model: its entry (null for the model as it is) and the name of that."""
    model, variant = wildcards.model, wildcards.variant.removeprefix("@")
    variants = config["models"][model]["variants"]
    if variant and variant not in variants:
        raise WorkflowError(f"models.{model}.variants has no {variant}: add it, or ask for another target")
    return {
        "transform": variants[variant] if variant else None,
        "key": f"models.{model}.variants.{variant}",
    }


def probe_spec(wildcards):
    return spec(
        **variant_values(wildcards),
        linear=config["patch_classification"]["linear"],
        probe=config["models"][wildcards.model]["probe"],
        seed=config["seed"],
    )


def patch_classification_spec(wildcards):
    return spec(
        **variant_values(wildcards),
        dataset=wildcards.dataset,
        model=wildcards.model,
        variant=wildcards.variant.removeprefix("@"),
        corruption=wildcards.corruption,
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def measurement_files(datasets=DATASETS, models=MODELS, versions=VERSIONS):
    """The measurements of models and their variants on versions of data sets; without arguments all of them."""
    return expand(
        "results/{dataset}/patch_classification/{view}.{corruption}.parquet",
        dataset=datasets,
        view=[view for view in VIEWS if view.partition("@")[0] in models],
        corruption=versions,
    )


def clean_measurement_files():
    return measurement_files(versions=["clean"])


def dataset_measurements(wildcards):
    return measurement_files(datasets=[wildcards.dataset])


def clean_dataset_measurements(wildcards):
    return measurement_files(datasets=[wildcards.dataset], versions=["clean"])


def model_measurements(wildcards):
    own = [wildcards.model]
    rows = measurement_files(models=own)
    return rows + [path for analysis in ANALYSES for path in analysis.files(config, models=own)]


def report_files():
    """Everything that the target all makes."""
    figures, by_corruption = ["clean_scores"], ["corruptions", "robustness"] if CORRUPTIONS else []
    figures += ["training_of_models"] if packaged_losses() else []
    for figure in ["class_iou", "segmentations", *by_corruption]:
        figures += expand("{figure}.{dataset}", figure=figure, dataset=DATASETS)
    return [
        *expand(
            "results/tables/{table}.{ext}", table=["patch_classification", "datasets"], ext=TABLE_FORMATS
        ),
        *expand("results/figures/{figure}.{ext}", figure=figures, ext=FIGURE_FORMATS),
        *expand("results/models/{model}.csv", model=MODELS),
        *analyses_report_files(),
        *comparisons_report_files(),
    ]


def models_spec(wildcards):
    return spec(models=MODELS)


def corruption_sheet_spec(wildcards):
    return spec(versions=VERSIONS, images=config["report"]["images"])


def segmentation_sheet_spec(wildcards):
    return spec(models=VIEWS, images=config["report"]["images"])


def interval_spec(wildcards):
    return spec(
        datasets=DATASETS, models=MODELS, interval=config["patch_classification"]["bootstrap"]["level"]
    )


def pretraining_folders(wildcards):
    """The user's folder of images and those in it, so that added or removed files make the store stale."""
    name = config["pretraining"]["images"]["folder"]
    root = Path(config["data_root"]) / (name or "")
    if name is None or not root.is_dir():
        return []
    return sorted(str(folder) for folder in (root, *root.iterdir()) if folder.is_dir())


def pretraining_images_spec(wildcards):
    images = config["pretraining"]["images"]
    return spec(images=images, seed=config["seed"], data_root=config["data_root"] if images["folder"] else "")


def pretraining_spec(wildcards):
    own = config["pretraining"]
    return spec(
        objective=wildcards.objective,
        training=own["objectives"][wildcards.objective],
        **{
            key: own[key]
            for key in (
                "architecture",
                "crop",
                "images",
                "precision",
                "region",
                "save_every",
                "threads",
                "warmup",
            )
        },
        device=config["device"],
        seed=config["seed"],
    )


def objectives_spec(wildcards):
    return spec(objectives=sorted(config["pretraining"]["objectives"]))


def packaged_losses():
    """The loss curves of those models whose weights come with the package, by model: name and SHA-256 of the file.

    They are no input files, since their paths would tie the figure to the place of the checkout.
    """
    curves = {model: checkpoint_files.packaged_curve(config["models"][model]) for model in MODELS}
    return {model: [curve.name, files.file_sha256(curve)] for model, curve in curves.items() if curve}


def packaged_losses_spec(wildcards):
    return spec(losses=packaged_losses())


def image_source_code(script):
    """The code of a script that reads images to pretrain on, with the module of their source, found by name at run time."""
    source = "scenes" if config["pretraining"]["images"]["folder"] is None else "folder"
    return code(script, f"patchprobe.pretraining.{source}_source")


def objective_code(script):
    """The code of a script that pretrains, with the module of the objective, found by name at run time."""
    return lambda wildcards: code(
        script, f"patchprobe.pretraining.objectives.{wildcards.objective.replace('-', '_')}"
    )
