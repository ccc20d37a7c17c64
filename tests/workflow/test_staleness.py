"""What is computed again after each kind of edit, by a dry run."""

import os
import time

import pytest

pytestmark = pytest.mark.workflow

VERSIONS = ["clean", "noise", "rotate"]
VARIANTS = {"pixels-a": ["no-top-20"]}
TABLES = {"patch_classification_table"}
PAIRS = {"paired_differences streets", "paired_differences_table"}
# The models that see full images.
FULL = {"pixels-a"}
# What follows classification of clean tiles.
CLASSIFIED = TABLES | PAIRS | {"protocols_table", "full_images_table"}
# The table of data sets takes its patch grids from the cards of models, and nothing that they were scored on.
FINAL = CLASSIFIED | {
    "datasets_table",
    "variance_spectrum_table",
    "removal_sweep_table",
    "layers_table",
    "training_size_table",
    "global_context_table",
    "token_contents_table",
    "token_diagnostics_table",
    "overclustering_table",
}


def chain(model):
    """All jobs of one model."""
    return {
        f"inspect_model streets,{model}",
        *(f"extract streets,{model},{version}" for version in VERSIONS),
        *probes(model),
        *classification(model),
        f"variance_spectrum streets,{model}",
        f"removal_sweep streets,{model}",
        f"capi streets,{model}",
        f"hummingbird streets,{model}",
        f"layers streets,{model}",
        f"training_size streets,{model}",
        f"global_context streets,{model}",
        f"extract_black streets,{model}",
        f"token_contents streets,{model}",
        f"token_diagnostics streets,{model}",
        f"overclustering streets,{model}",
        f"explorer streets,{model}",
        f"model_table {model}",
        *(
            f"{job} streets,{model}"
            for job in ("inspect_full_images", "extract_full_images", "full_images")
            if model in FULL
        ),
    }


def views(model):
    """The model and its variants."""
    return [model, *(f"{model}@{variant}" for variant in VARIANTS.get(model, ()))]


def probes(model):
    return {f"fit_probe streets,{view}" for view in views(model)}


def classification(model):
    return {f"patch_classification streets,{view},{version}" for view in views(model) for version in VERSIONS}


def figures(jobs):
    """The jobs that only draw."""
    return {job for job in jobs if job.split()[0].endswith(("_figure", "_sheet", "_page"))}


def computed(jobs):
    return set(jobs) - figures(jobs)


def test_finished_run_has_nothing_to_do(project):
    done = project.snakemake("--cores", "8", "--resources", "gpu=1", "all")
    assert "Nothing to be done" in done.stdout


def test_touched_script_and_library(project):
    later = time.time() + 100
    for path in [
        *project.folder.glob("workflow/scripts/*.py"),
        *project.folder.glob("src/**/*.py"),
        *project.folder.glob("rules/*"),
    ]:
        os.utime(path, (later, later))
    assert not project.plan()


def test_comment_in_config_script_and_library(project):
    with (project.folder / "config/config.yaml").open("a") as file:
        file.write("# a remark\n")
    project.edit("workflow/scripts/extract.py", "import _source", "# a remark\nimport _source")
    project.edit("src/patchprobe/tokens/extraction.py", "import ", "# a remark\nimport ")
    assert not project.plan()


def test_reordered_keys(project):
    project.write_config(project.config(), sort_keys=True)
    assert not project.plan()


def test_script_edited(project):
    project.edit("workflow/scripts/fit_probe.py", "with run_job", "EDITED = True\nwith run_job")
    jobs = project.plan()
    expected = probes("pixels-a") | probes("pixels-b")
    assert expected <= set(jobs)
    assert not {job for job in jobs if job.split()[0] in ("extract", "tile", "label", "corrupt", "index")}


def test_module_of_one_analysis_edited(project):
    project.edit(
        "src/patchprobe/analyses/patch_classification/classification.py", "PROTOCOL = ", "EDITED = True\nPROTOCOL = "
    )
    expected = (
        classification("pixels-a") | classification("pixels-b") | {"model_table pixels-a", "model_table pixels-b"}
    )
    assert computed(project.plan()) == expected | CLASSIFIED


@pytest.mark.parametrize(
    "analysis", ["removal_sweep", "variance_spectrum", "layers", "training_size", "global_context"]
)
def test_module_of_an_analysis_edited(project, analysis):
    project.edit(f"src/patchprobe/analyses/{analysis}/measure.py", "PROTOCOL = ", "EDITED = True\nPROTOCOL = ")
    # Global context takes the variances that the spectrum has measured, and others its parts of tokens and shares of classes.
    follow = {"variance_spectrum": ["global_context"], "global_context": ["token_contents", "overclustering"]}
    stale = {analysis, *follow.get(analysis, [])}
    models = ("pixels-a", "pixels-b")
    expected = {f"{name} streets,{model}" for name in stale for model in models}
    expected |= {f"model_table {model}" for model in models}
    shown = {f"{name}_{kind}" for name in stale for kind in ("table", "figure streets")}
    assert set(project.plan()) == expected | shown | {"results_page"}


@pytest.mark.parametrize("analysis", ["layers", "protocols"])
def test_report_of_an_analysis_edited(project, analysis):
    with (project.folder / f"src/patchprobe/analyses/{analysis}/report.py").open("a") as file:
        file.write("\nEDITED = True\n")
    assert set(project.plan()) == {f"{analysis}_table", f"{analysis}_figure streets", "results_page"}


@pytest.mark.parametrize("analysis", ["explorer", "results"])
def test_style_or_script_of_a_page_edited(project, analysis):
    """They are no code of Python, and in the values that the page depends on; what all pages share is in those of both."""
    folder = project.folder / "src/patchprobe"
    pages = {"explorer": "explorer_page streets", "results": "results_page"}
    edit_end(folder / f"analyses/{analysis}/{analysis}.css")
    assert set(project.plan()) == {pages[analysis]}
    edit_end(folder / "report/page.js")
    assert set(project.plan()) == set(pages.values())


def edit_end(path):
    with path.open("a") as file:
        file.write("\n/* edited */\n")


def test_what_is_only_read_by_people_and_by_the_workflow_edited(project):
    """Declarations and their base, captions and descriptions in the schema are in no digest; their values are in specs."""
    folder = project.folder / "src/patchprobe/analyses"
    for path in [*folder.glob("*/declaration.py"), folder / "declaring.py"]:
        with path.open("a") as file:
            file.write("\nEDITED = True\n")
    for path in folder.glob("*/*.rst"):
        path.write_text(path.read_text() + "\nMore.\n")
    project.edit("config/schema/config.schema.yaml", "description: ", "description: Edited. ")
    project.edit("src/patchprobe/analyses/layers/schema.yaml", "description: ", "description: Edited. ")
    assert not project.plan()


def test_kind_of_corruption_added(project):
    kinds = project.folder / "src/patchprobe/corruptions/kinds"
    (kinds / "haze.py").write_text((kinds / "noise.py").read_text().replace('kind = "noise"', 'kind = "haze"'))
    assert not project.plan()
    project.edit("src/patchprobe/corruptions/kinds/rotate.py", "CORRUPTION = ", "EDITED = True\nCORRUPTION = ")
    jobs = project.plan()
    assert "corrupt streets,rotate" in jobs and "corrupt streets,noise" not in jobs


def test_full_images_are_switched_on_and_off_without_other_jobs(project):
    project.edit("src/patchprobe/analyses/full_images/measure.py", "PROTOCOL = ", "EDITED = True\nPROTOCOL = ")
    expected = {
        "full_images streets,pixels-a",
        "full_images_table",
        "full_images_figure streets",
        "model_table pixels-a",
        "results_page",
    }
    assert set(project.plan()) == expected
    config = project.config()
    config["full_images"]["models"] = ["pixels-b"]
    project.write_config(config)
    own = {f"{job} streets,pixels-b" for job in ("inspect_full_images", "extract_full_images", "full_images")}
    tables = {"full_images_table", "full_images_figure streets", "model_table pixels-a", "model_table pixels-b"}
    assert set(project.plan()) == own | tables | {"results_page"}
    config["full_images"]["models"] = []
    project.write_config(config)
    assert set(project.plan()) == {"model_table pixels-a", "results_page"}


def test_what_sheets_show_is_drawn_again_alone(project):
    config = project.config()
    config["report"]["models"] = ["pixels-b"]
    project.write_config(config)
    assert project.plan() == {"segmentation_sheet streets": 1}
    config["report"] = {"images": 1}
    project.write_config(config)
    assert project.plan() == {"segmentation_sheet streets": 1, "corruption_sheet streets": 1}


def test_removal_sweep_option_edited(project):
    config = project.config()
    config["removal_sweep"]["features"] = [0, 7]
    project.write_config(config)
    models = ("pixels-a", "pixels-b")
    expected = {f"removal_sweep streets,{model}" for model in models} | {f"model_table {model}" for model in models}
    assert set(project.plan()) == expected | {"removal_sweep_table", "removal_sweep_figure streets", "results_page"}


def test_protocol_option_edited(project):
    config = project.config()
    config["hummingbird"]["k"] = 2
    config["capi"] = {"enabled": False}
    project.write_config(config)
    models = ("pixels-a", "pixels-b")
    expected = {f"hummingbird streets,{model}" for model in models} | {f"model_table {model}" for model in models}
    assert set(project.plan()) == expected | {"protocols_table", "protocols_figure streets", "results_page"}


def test_variant_added_runs_that_variant_alone(project):
    config = project.config()
    config["models"]["pixels-b"]["variants"] = {"standard": {"transform": "batch-norm"}}
    project.write_config(config)
    expected = {f"patch_classification streets,pixels-b@standard,{version}" for version in VERSIONS}
    expected |= {"fit_probe streets,pixels-b@standard", "model_table pixels-b", "patch_classification_table"}
    expected |= {"explorer streets,pixels-b"}
    assert computed(project.plan()) == expected | PAIRS


def test_variant_changed_runs_that_variant_alone(project):
    config = project.config()
    config["models"]["pixels-a"]["variants"]["no-top-20"]["features"] = 30
    project.write_config(config)
    expected = {f"patch_classification streets,pixels-a@no-top-20,{version}" for version in VERSIONS}
    expected |= {"fit_probe streets,pixels-a@no-top-20", "model_table pixels-a", "patch_classification_table"}
    expected |= {"explorer streets,pixels-a"}
    assert computed(project.plan()) == expected | PAIRS


def test_variant_removed(project):
    config = project.config()
    del config["models"]["pixels-a"]["variants"]
    project.write_config(config)
    expected = {"model_table pixels-a", "patch_classification_table", "explorer streets,pixels-a"}
    assert computed(project.plan()) == expected | PAIRS


def test_drawing_code_edited(project):
    with (project.folder / "src/patchprobe/analyses/patch_classification/report.py").open("a") as file:
        file.write("\nEDITED = True\n")
    drawn = {"clean_scores_figure", "robustness_figure streets", "class_iou_figure streets"}
    assert set(project.plan()) == {"patch_classification_table", *drawn, "results_page"}


def test_module_found_by_name_edited(project):
    with (project.folder / "src/patchprobe/models/sources/random.py").open("a") as file:
        file.write("\nEDITED = True\n")
    assert not project.plan()
    with (project.folder / "src/patchprobe/models/sources/pixels.py").open("a") as file:
        file.write("\nEDITED = True\n")
    assert {f"extract streets,pixels-a,{version}" for version in VERSIONS} <= set(project.plan())


def test_one_model_edited(project):
    config = project.config()
    config["models"]["pixels-a"]["patch_size"] = 4
    project.write_config(config)
    assert computed(project.plan()) == chain("pixels-a") | FINAL


def test_probe_option_of_one_model_does_not_extract_again(project):
    config = project.config()
    config["models"]["pixels-a"]["probe"] = {"batch_norm": True}
    project.write_config(config)
    jobs = computed(project.plan())
    expected = {*probes("pixels-a"), *classification("pixels-a")}
    expected |= {"removal_sweep streets,pixels-a", "training_size streets,pixels-a", "full_images streets,pixels-a"}
    assert jobs == expected | CLASSIFIED | {"model_table pixels-a", "removal_sweep_table", "training_size_table"}


def test_two_values_swapped(project):
    config = project.config()
    models = config["models"]
    models["pixels-a"], models["pixels-b"] = models["pixels-b"], models["pixels-a"]
    project.write_config(config)
    # The variant goes with its entry.
    own = {job for job in chain("pixels-a") if "@" in job}
    moved = {job.replace("pixels-a", "pixels-b") for job in own}
    assert computed(project.plan()) == (chain("pixels-a") - own) | chain("pixels-b") | moved | FINAL


def test_swap_inside_one_entry(project):
    config = project.config()
    config["datasets"]["streets"]["options"] |= {"height": 128, "width": 64}
    project.write_config(config)
    assert "index streets" in project.plan()


def test_model_added(project):
    config = project.config()
    config["models"]["pixels-c"] = {"source": "pixels", "patch_size": 4}
    project.write_config(config)
    assert computed(project.plan()) == chain("pixels-c") | FINAL


def test_model_removed(project):
    config = project.config()
    del config["models"]["pixels-b"]
    project.write_config(config)
    assert computed(project.plan()) == FINAL


def test_corruption_added(project):
    config = project.config()
    config["corruptions"]["blur"] = {"levels": [3]}
    project.write_config(config)
    models = ("pixels-a", "pixels-b")
    expected = {"corrupt streets,blur"}
    expected |= {f"extract streets,{model},blur" for model in models}
    expected |= {f"patch_classification streets,{view},blur" for model in models for view in views(model)}
    assert computed(project.plan()) == expected | {f"model_table {model}" for model in models} | {
        "patch_classification_table"
    }


def test_one_models_branch_is_a_target(project):
    jobs = project.plan("--forcerun", "extract", "--", "results/models/pixels-a.csv")
    inspected = {"inspect_model streets,pixels-a", "inspect_full_images streets,pixels-a"}
    full = {"extract_full_images streets,pixels-a", "full_images streets,pixels-a"}
    # Of the explorer nothing is in the table of a model.
    # A black image has an extraction of its own.
    other = {"explorer streets,pixels-a", "extract_black streets,pixels-a"}
    assert set(jobs) == chain("pixels-a") - inspected - full - other
