"""What the loop of rules/analyses.smk takes from declarations; no rules."""

ANALYSES = analyses()


def module_of(analysis, part):
    """The module of an analysis that the scripts of all find by its name."""
    return f"patchprobe.analyses.{analysis.name}.{part}"


def with_manifests(files):
    """Inputs by name; the manifest of a store counts, and not the time of its folder."""
    found = {}
    for name, given in files.items():
        stores = [path for path in ([given] if isinstance(given, str) else given) if path.endswith(".zarr")]
        found[name] = ancient(given) if stores else given
        if stores:
            found[f"{name}_manifest"] = [f"{path.removesuffix('.zarr')}.manifest.json" for path in stores]
    return found


def black_of_variant(wildcards):
    """The tokens of a black image for a variant that is fitted on them; nothing for another."""
    chosen = [wildcards.variant.removeprefix("@")]
    stores = black_tokens(config, wildcards.dataset, wildcards.model, chosen)
    return with_manifests({"black": stores}) if stores else {}


def measured_inputs(analysis):
    def inputs(wildcards):
        of = dict(wildcards.items())
        return with_manifests(analysis.inputs(config, of.get("dataset", ""), of.get("model", "")))

    return inputs


def measured_outputs(analysis):
    """The measurements, and what else comes of a job."""
    return {
        "rows": analysis.path(),
        **{name: analysis.path(suffix) for name, suffix in analysis.also.items()},
    }


def measurement_spec(analysis):
    def values(wildcards):
        of = dict(wildcards.items())
        return spec({**of, **analysis.options(config, of.get("dataset", ""), of.get("model", ""))})

    return values


def log_of(rule, wildcards, suffix):
    """A log in a folder of the rule, named for the wildcards in a text; without any, one beside the folders."""
    names = ".".join(name for name in ("{dataset}", "{model}") if name in wildcards)
    return str(Path("logs", rule, names) if names else Path("logs", rule)) + f".{suffix}"


def shown_wildcards(what):
    return ("{dataset}" if what.each_dataset else "") + ("{model}" if what.each_model else "")


def shown_inputs(analysis, what):
    def inputs(wildcards):
        of = [wildcards.dataset] if what.each_dataset else analysis.shown_datasets(config, what)
        if what.each_model:
            return with_manifests(analysis.shown_of_model(config, what, of, wildcards.model))
        return with_manifests(analysis.shown(config, what, of))

    return inputs


def shown_outputs(analysis, what):
    """The files of a table or figure; the ones for reading are in the report."""

    def in_report(suffix, path):
        return report(
            path,
            caption=f"../src/patchprobe/analyses/{analysis.name}/{what.function}.rst",
            category=what.category,
            subcategory=what.subcategory,
            labels=what.labels(suffix),
        )

    paths = analysis.shown_paths(what)
    return {
        suffix: in_report(suffix, path) if what.formats[suffix] else path for suffix, path in paths.items()
    }


def shown_spec(analysis, what):
    return lambda wildcards: spec(analysis.notes(config, what))


def measured_of(model):
    """The measurements of a model; what an analysis keeps as a table of its own is none."""
    files = [path for analysis in ANALYSES for path in analysis.files(config, models=[model])]
    return [path for path in files if path.endswith(".parquet")]


def model_measurements(wildcards):
    return measured_of(wildcards.model)


def report_files():
    """Everything that the target all makes."""
    shown = [path for analysis in ANALYSES for path in analysis.report_files(config)]
    # The package has the loss curves of the models whose weights it brings along.
    if specs.packaged_losses(config)["losses"]:
        shown += expand("results/figures/training_of_models.{ext}", ext=["svg", "png"])
    # Where whole images are all there is, a model may be asked for nothing.
    measured = [model for model in MODELS if measured_of(model)]
    return [*expand("results/models/{model}.csv", model=measured), *shown]
