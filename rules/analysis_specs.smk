"""The specs and files of the analyses beyond patch classification, variances and removal; no rules."""

ANALYSES = ["layers", "training_size", "global_context", "full_images"]


def analysis_datasets(analysis):
    """The data sets that an analysis is asked for."""
    if analysis == "layers":
        return DATASETS if config["extraction"]["layers"]["clean"] == "all" else []
    if analysis == "training_size":
        return [dataset for dataset in DATASETS if [] not in training_sizes(dataset).values()]
    if analysis == "full_images":
        own = config["full_images"]
        named = DATASETS if own["datasets"] is None else own["datasets"]
        return sorted(named) if own["models"] else []
    return DATASETS if config["global_context"]["classes"] else []


def analysis_models(analysis, models=MODELS):
    """Those of the models that an analysis is asked for."""
    return [
        model for model in models if analysis != "full_images" or model in config["full_images"]["models"]
    ]


def analysis_files(analysis, datasets=DATASETS, models=MODELS):
    """The measurements of an analysis; without arguments all of them."""
    asked = [dataset for dataset in analysis_datasets(analysis) if dataset in datasets]
    return expand(
        f"results/{{dataset}}/{analysis}/{{model}}.parquet",
        dataset=asked,
        model=analysis_models(analysis, models),
    )


def dataset_analysis_files(analysis):
    return lambda wildcards: analysis_files(analysis, datasets=[wildcards.dataset])


def overlap_files(models=MODELS):
    """The overlap of high-variance features between data sets, where there are two."""
    return (
        expand("results/models/{model}.variance_overlap.parquet", model=models) if len(DATASETS) > 1 else []
    )


def overlap_spectra(wildcards):
    return variance_files("variance_spectrum", models=[wildcards.model])


def analyses_report_files():
    """The tables and figures of the analyses of rules/analyses.smk that are asked for."""
    files = []
    for analysis in ANALYSES:
        datasets = analysis_datasets(analysis)
        files += expand(
            "results/figures/{figure}.{dataset}.{ext}", figure=analysis, dataset=datasets, ext=FIGURE_FORMATS
        )
        files += expand(
            "results/tables/{table}.{ext}", table=[analysis] if datasets else [], ext=TABLE_FORMATS
        )
    if overlap_files():
        files += expand("results/figures/variance_overlap.{ext}", ext=FIGURE_FORMATS)
        files += expand("results/tables/variance_overlap.{ext}", ext=TABLE_FORMATS)
    return files


def training_sizes(dataset):
    """The sizes of training sets that concern a data set: images of each group or class, or shares of all."""
    own, drawn = config["training_size"], config["datasets"][dataset]["splits"]["train"]
    key = "shares" if drawn["per_group"] is None and drawn["per_class"] is None else "per_group"
    return {key: own[key]}


def training_size_spec(wildcards):
    linear = config["patch_classification"]["linear"]
    return spec(
        dataset=wildcards.dataset,
        model=wildcards.model,
        sizes=training_sizes(wildcards.dataset),
        linear={**linear, "steps": config["training_size"]["steps"] or linear["steps"]},
        probe=config["models"][wildcards.model]["probe"],
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def layers_spec(wildcards):
    return spec(
        dataset=wildcards.dataset,
        model=wildcards.model,
        easy_classes=config["layers"]["easy_classes"],
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def full_images_model_spec(wildcards):
    return spec(**model_values(wildcards.model), tiling=config["datasets"][wildcards.dataset]["tiling"])


def full_images_extraction_spec(wildcards):
    return spec(
        **model_values(wildcards.model),
        device=config["device"],
        extraction={**config["extraction"], "layers": "last"},
    )


def full_images_spec(wildcards):
    return spec(
        dataset=wildcards.dataset,
        model=wildcards.model,
        linear=config["patch_classification"]["linear"],
        probe=config["models"][wildcards.model]["probe"],
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def full_images_beside_tiles(datasets=DATASETS):
    """The measurements of full images, and those of patch classification of the same models."""
    tiles = expand(
        "results/{dataset}/patch_classification/{model}.clean.parquet",
        dataset=[dataset for dataset in analysis_datasets("full_images") if dataset in datasets],
        model=analysis_models("full_images"),
    )
    return [*tiles, *analysis_files("full_images", datasets=datasets)]


def dataset_full_images_beside_tiles(wildcards):
    return full_images_beside_tiles([wildcards.dataset])


def global_context_spec(wildcards):
    own = config["global_context"]
    return spec(
        dataset=wildcards.dataset,
        model=wildcards.model,
        classes=own["classes"],
        part=own["features"],
        penalties=own["penalties"],
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def global_context_table_spec(wildcards):
    return spec(
        models=MODELS,
        interval=config["patch_classification"]["bootstrap"]["level"],
        classes=config["global_context"]["classes"],
    )


def variance_overlap_spec(wildcards):
    return spec(features=config["variance_overlap"]["features"], seed=config["seed"])


def layers_table_spec(wildcards):
    return spec(
        models=MODELS,
        interval=config["patch_classification"]["bootstrap"]["level"],
        easy_classes=config["layers"]["easy_classes"],
    )


def protocols():
    """The protocols beside patch classification that are asked for."""
    return [protocol for protocol in ("capi", "hummingbird") if config[protocol]["enabled"]]


def protocol_files(datasets=DATASETS, models=MODELS):
    """The measurements of these protocols; without arguments all of them."""
    return expand(
        "results/{dataset}/{protocol}/{model}.parquet", dataset=datasets, protocol=protocols(), model=models
    )


def protocols_rows(datasets=DATASETS):
    """What stands side by side: patch classification of the models as they are, and the other protocols."""
    plain = expand(
        "results/{dataset}/patch_classification/{model}.clean.parquet", dataset=datasets, model=MODELS
    )
    return [*plain, *protocol_files(datasets=datasets)]


def dataset_protocols_rows(wildcards):
    return protocols_rows(datasets=[wildcards.dataset])


def capi_settings():
    datasets = DATASETS if "capi" in protocols() else []
    return expand("results/{dataset}/capi/{model}.json", dataset=datasets, model=MODELS)


def protocols_report_files():
    """The tables of protocols, of paired differences and of the paper's values, where there is something to show.

    Protocols have figures too.
    """
    pairs = config["paired_differences"]["enabled"] and len(VIEWS) > 1
    tables = [*(["protocols"] if protocols() else []), *(["paired_differences"] if pairs else [])]
    tables += ["paper_comparison"] if paper_values() else []
    datasets = DATASETS if protocols() else []
    return [
        *expand("results/tables/{table}.{ext}", table=tables, ext=TABLE_FORMATS),
        *expand("results/figures/protocols.{dataset}.{ext}", dataset=datasets, ext=FIGURE_FORMATS),
    ]


def protocol_spec(protocol):
    """The options of a protocol, as a function of the wildcards."""
    return lambda wildcards: spec(
        dataset=wildcards.dataset,
        model=wildcards.model,
        **{key: value for key, value in config[protocol].items() if key != "enabled"},
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def protocols_table_spec(wildcards):
    return spec(
        models=MODELS,
        interval=config["patch_classification"]["bootstrap"]["level"],
        quirks=config["hummingbird"]["quirks"] if "hummingbird" in protocols() else {},
    )


def paired_differences_spec(wildcards):
    return spec(
        dataset=wildcards.dataset,
        views=[[view.partition("@")[0], view.partition("@")[2]] for view in VIEWS],
        bootstrap=config["patch_classification"]["bootstrap"],
        seed=config["seed"],
    )


def paired_differences_table_spec(wildcards):
    return spec(datasets=DATASETS, interval=config["patch_classification"]["bootstrap"]["level"])


def paper_file(value):
    """The measurements that a value of the paper is compared with; empty if the run does not have them."""
    dataset, model, analysis = value["dataset"], value["model"], value["analysis"]
    if analysis == "patch_classification":
        view = f"{model}@{value['variant']}" if value["variant"] else model
        return f"results/{dataset}/patch_classification/{view}.clean.parquet"
    files = variance_files if analysis == "removal_sweep" else analysis_files
    return next(iter(files(analysis, datasets=[dataset], models=[model])), "")


def paper_values():
    """The paper's values that stand beside scores of this run."""
    return [value for value in comparable(config) if paper_file(value)]


def paper_datasets():
    return sorted({value["dataset"] for value in paper_values()})


def paper_rows():
    return sorted({paper_file(value) for value in paper_values()})


def paper_spec(wildcards):
    datasets = paper_datasets()
    images = {name: counts for name, counts in paper_images(config).items() if name in datasets}
    return spec(datasets=datasets, images=images, values=paper_values())
