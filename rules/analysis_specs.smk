"""What the loop of rules/analyses.smk takes from declarations, and the analyses that have rules of their own; no rules."""

ANALYSES = analyses()


def module_of(analysis, part):
    """The module of an analysis that the scripts of all find by its name."""
    return f"patchprobe.analyses.{analysis.name}.{part}"


def measured_inputs(analysis):
    """The files of a job of measurements; the manifest of a store counts, and not the time of its folder."""

    def inputs(wildcards):
        found = {}
        own = analysis.inputs(config, getattr(wildcards, "dataset", ""), wildcards.model)
        for name, given in own.items():
            stores = [
                path for path in ([given] if isinstance(given, str) else given) if path.endswith(".zarr")
            ]
            found[name] = ancient(given) if stores else given
            if stores:
                found[f"{name}_manifest"] = [f"{path.removesuffix('.zarr')}.manifest.json" for path in stores]
        return found

    return inputs


def measured_outputs(analysis):
    """The measurements, and what else comes of a job."""
    return {
        "rows": analysis.path(),
        **{name: analysis.path(suffix) for name, suffix in analysis.also.items()},
    }


def measurement_spec(analysis):
    def values(wildcards):
        own = analysis.options(config, getattr(wildcards, "dataset", ""), wildcards.model)
        return spec(**dict(wildcards.items()), **own)

    return values


def log_of(analysis, suffix):
    wildcards = "{dataset}.{model}" if "{dataset}" in analysis.path() else "{model}"
    return f"logs/{analysis.name}/{wildcards}.{suffix}"


def table_outputs(analysis):
    """The files of a table; the ones for reading are in the report."""

    def shown(suffix, form):
        return report(
            f"results/tables/{analysis.name}.{suffix}",
            caption=f"../src/patchprobe/analyses/{analysis.name}/table.rst",
            category="Tables",
            subcategory=analysis.section,
            labels={"table": analysis.title, "format": form},
        )

    return {
        "csv": shown("csv", "CSV"),
        "md": f"results/tables/{analysis.name}.md",
        "tex": f"results/tables/{analysis.name}.tex",
        "html": shown("html", "page"),
    }


def figure_outputs(analysis):
    """The files of a figure, all in the report."""
    of = "{dataset}" if "{dataset}" in analysis.figure else ""
    return {
        suffix: report(
            analysis.figure_path(suffix),
            caption=f"../src/patchprobe/analyses/{analysis.name}/figure.rst",
            category="Figures",
            subcategory=of or "all data sets",
            labels={
                "dataset": of or "all",
                "figure": analysis.figure_title or analysis.title,
                "format": suffix.upper(),
            },
        )
        for suffix in FIGURE_FORMATS
    }


def figure_log(analysis, suffix):
    of = ["{dataset}"] if "{dataset}" in analysis.figure else []
    return str(Path("logs", f"{analysis.name}_figure", *of)) + f".{suffix}"


def shown_rows(analysis):
    """The measurements that a figure shows."""
    if "{dataset}" not in analysis.figure:
        return analysis.shown(config, DATASETS)
    return lambda wildcards: analysis.shown(config, [wildcards.dataset])


def analyses_report_files():
    """The tables and figures of the analyses that are asked for."""
    files = []
    for analysis in ANALYSES:
        datasets = analysis.datasets(config)
        if datasets and analysis.has("figure"):
            for suffix in FIGURE_FORMATS:
                files += expand(analysis.figure_path(suffix), dataset=datasets)
        if datasets and analysis.has("table"):
            files += expand("results/tables/{table}.{ext}", table=analysis.name, ext=TABLE_FORMATS)
    return files


def full_images_model_spec(wildcards):
    return spec(**model_values(wildcards.model), tiling=config["datasets"][wildcards.dataset]["tiling"])


def full_images_extraction_spec(wildcards):
    return spec(
        **model_values(wildcards.model),
        device=config["device"],
        extraction={**config["extraction"], "layers": "last"},
    )


def comparisons_report_files():
    """The tables of paired differences and of the paper's values, where there is something to show."""
    tables = ["paired_differences"] if config["paired_differences"]["enabled"] and len(VIEWS) > 1 else []
    tables += ["paper_comparison"] if paper_values() else []
    return expand("results/tables/{table}.{ext}", table=tables, ext=TABLE_FORMATS)


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
    dataset, model, name = value["dataset"], value["model"], value["analysis"]
    if name == "patch_classification":
        view = f"{model}@{value['variant']}" if value["variant"] else model
        return f"results/{dataset}/patch_classification/{view}.clean.parquet"
    (analysis,) = [analysis for analysis in ANALYSES if analysis.name == name]
    return next(iter(analysis.files(config, [dataset], [model])), "")


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
