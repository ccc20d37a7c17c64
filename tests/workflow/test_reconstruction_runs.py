"""Reconstruction in real runs: with decoders of the package and in a user's files, after edits, and with wrong files."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from projects import make_project
from safetensors.torch import load_file, save_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from patchprobe.models.backbone import load_model
from patchprobe.models.checkpoints.files import WEIGHTS
from patchprobe.models.decoders.reconstruction import load_autoencoder
from patchprobe.stores.reading import open_store

pytestmark = pytest.mark.workflow

NARROW = {"patch_size": 8, "depth": 6, "mlp_ratio": 2}
CONFIG = {
    "datasets": {
        "streets": {
            "adapter": "synthetic",
            "options": {"images": 4, "height": 64, "width": 128},
            "splits": {"train": {"source": "train"}, "evaluation": {"source": "val", "images": 3}},
            "tiling": {"size": 64, "resize": 64},
        }
    },
    "models": {
        "demo-mae": {},
        "demo-simmim": {},
        # The encoder alone, and its decoder in a file beside it.
        "mine": {
            "registry": "demo-mae",
            "checkpoint": "encoder.safetensors",
            "decoder": {"checkpoint": "decoder.safetensors", "heads": 4, "target": "normalised-patches"},
        },
        "pixels": {"source": "pixels", "patch_size": 8},
    },
    "corruptions": {},
    "patch_classification": {"linear": {"steps": 20}, "bootstrap": {"resamples": 100}},
    "reconstruction": {"features": 0.25, "sweep": [10], "tiles": 5, "pictures": 1},
}
TABLE = "results/tables/reconstruction.csv"
FIGURES = [
    f"results/figures/{name}.streets.{suffix}"
    for name in ("reconstruction", "reconstructions")
    for suffix in ("svg", "png")
]
WORDS = ("--cores", "2", "--config", "fork_jobs=True", "threads=1", "--")
SETTINGS = ["zero-top-variance", "zero-random", "keep-top-variance"]


def put_files(project):
    (project.folder / "checkpoints").mkdir()
    for own, name in (("encoder", "demo-mae"), ("decoder", "demo-mae-decoder")):
        save_file(load_file(WEIGHTS / f"{name}.safetensors"), project.folder / f"checkpoints/{own}.safetensors")


@pytest.fixture(scope="module")
def reconstructed(repository, tmp_path_factory):
    """A run up to the tables and figures of reconstruction."""
    project = make_project(repository, tmp_path_factory.mktemp("reconstruction") / "project", CONFIG)
    put_files(project)
    project.snakemake(*WORDS, TABLE, *FIGURES)
    return project


@pytest.fixture
def edited(reconstructed, tmp_path):
    """A copy of the run, and what a changed configuration would compute."""
    project = reconstructed.copy(tmp_path / "project")

    def change(edit):
        config = copy.deepcopy(project.config())
        edit(config)
        project.write_config(config)
        return project.plan("--config", "fork_jobs=True", "threads=1", "--", TABLE, *FIGURES)

    return change


def read(project):
    return pd.read_csv(project.folder / TABLE, keep_default_na=False, na_values={"ci_low": [""], "ci_high": [""]})


def test_the_table_has_every_model_with_a_decoder_setting_and_share(reconstructed):
    rows = read(reconstructed)
    names = ["", *(f"{kind}-{m}" for m in (10, 48) for kind in SETTINGS), "zero-all"]
    found = rows.groupby(["model", "at", "variant"]).size()
    assert sorted(found.index) == sorted(
        (m, at, v) for m in ("demo-mae", "demo-simmim", "mine") for at in (0.0, 0.75) for v in names
    )
    assert (found.xs(0.75, level="at") == 5).all() and (found.xs(0.0, level="at") == 4).all() and set(rows["n"]) == {5}
    values = rows.pivot(index=["model", "at", "variant"], columns="metric", values="value")
    # An encoder and a decoder in files of their own are those of the package.
    pd.testing.assert_frame_equal(values.loc["mine"], values.loc["demo-mae"])
    assert (values["ssim"] <= 1).all() and (values["psnr"] > 0).all()
    # At the share they were trained with. Without tokens all that SimMIM's linear decoder makes is its bias.
    trained = values["psnr"].xs(0.75, level="at")
    whole, nothing = (trained.xs(name, level="variant") for name in ("", "zero-all"))
    assert (whole > nothing).all()
    for path in FIGURES:
        assert (reconstructed.folder / path).stat().st_size > 10_000


def test_the_numbers_are_those_of_the_networks_called_by_hand(reconstructed):
    """Nothing zeroed and nothing masked, through the public loader and scikit-image."""
    store = open_store(reconstructed.folder / "results/streets/reconstruction/mine.zarr")
    tiles = open_store(reconstructed.folder / "results/streets/tiles/clean.zarr").isel(level=0)
    entry = {"source": "timm", "architecture": "vit_tiny_patch16_224", "arguments": NARROW, "layout": "timm"}
    entry |= {"checkpoint": "encoder.safetensors", "mean": [0.5] * 3, "std": [0.5] * 3}
    root = reconstructed.folder / "checkpoints"
    model = load_model("mine", entry, checkpoint_root=root, input_size=64, device="cpu")
    decoder = {name: value.float() for name, value in load_file(root / "decoder.safetensors").items()}
    mae = load_autoencoder(model, heads=4, weights=decoder)
    for tile in store["tile"].values.tolist():
        pixels = tiles["image"].sel(tile=tile).to_numpy() / 255
        images = torch.from_numpy((pixels.transpose(2, 0, 1) - 0.5) / 0.5).float()[None]
        with torch.inference_mode():
            found = mae.unpatchify(mae.undo_target_normalisation(mae.decode(mae.encode(images)), images))
        image = np.clip(found[0].numpy().transpose(1, 2, 0) * 0.5 + 0.5, 0, 1)
        own = store["score"].sel(masked=0.0, setting="", tile=tile).load()
        assert own.sel(metric="psnr").item() == pytest.approx(
            peak_signal_noise_ratio(pixels, image, data_range=1), abs=1e-3
        )
        expected = structural_similarity(pixels, image.astype(np.float64), data_range=1, channel_axis=-1)
        assert own.sel(metric="ssim").item() == pytest.approx(expected, abs=1e-4)


def test_all_models_saw_the_same_tiles_and_patches(reconstructed):
    stores = [
        open_store(reconstructed.folder / f"results/streets/reconstruction/{model}.zarr")
        for model in ("demo-mae", "demo-simmim")
    ]
    for name in ("tile", "example", "hidden", "original"):
        np.testing.assert_array_equal(stores[0][name].values, stores[1][name].values)
    assert stores[0]["hidden"].values.reshape(2, -1).mean(axis=1).tolist() == [0.0, 0.75]


SHOWN = {"reconstruction_table", "reconstruction_figure streets", "reconstruction_sheet streets"}


def jobs_of(*models, inspected=False):
    rules = ["reconstruct", "reconstruction", *(["inspect_decoder"] if inspected else [])]
    return {f"{rule} streets,{model}" for rule in rules for model in models}


ALL = ("demo-mae", "demo-simmim", "mine")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda config: config.update(seed=0), set()),
        (lambda config: config["reconstruction"].update(features=20), jobs_of(*ALL) | SHOWN),
        (lambda config: config["reconstruction"].update(scope="patch"), jobs_of(*ALL) | SHOWN),
        (lambda config: config["reconstruction"].update(masked=[0.5]), jobs_of(*ALL, inspected=True) | SHOWN),
        (lambda config: config["reconstruction"].update(models=["mine"]), SHOWN),
        (
            lambda config: config["models"]["mine"]["decoder"].update(target="pixels"),
            jobs_of("mine", inspected=True) | SHOWN,
        ),
        (
            lambda config: config["patch_classification"]["bootstrap"].update(resamples=200),
            {f"reconstruction streets,{model}" for model in ALL} | SHOWN - {"reconstruction_sheet streets"},
        ),
    ],
    ids=["nothing", "features", "scope", "masked", "models", "decoder", "bootstrap"],
)
def test_edits_compute_no_more_than_they_change(edited, edit, expected):
    assert set(edited(edit)) == expected


def test_a_decoder_that_is_replaced_is_reconstructed_with(reconstructed, tmp_path):
    project = reconstructed.copy(tmp_path / "project")
    path = project.folder / "checkpoints/decoder.safetensors"
    weights = load_file(path)
    weights["decoder_pred.bias"] = weights["decoder_pred.bias"] + 1
    save_file(weights, path)
    plan = set(project.plan("--config", "fork_jobs=True", "threads=1", "--", TABLE))
    assert plan == jobs_of("mine", inspected=True) | {"reconstruction_table"}


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ({}, "models.mine.checkpoint: encoder.safetensors has no decoder"),
        (
            {"checkpoint": "absent.safetensors"},
            "models.mine.decoder.checkpoint: there is no file checkpoints/absent.safetensors",
        ),
        ({"checkpoint": "decoder.safetensors", "sha256": "0" * 8}, "models.mine.decoder.sha256 is 00000000"),
        ({"checkpoint": "decoder.safetensors", "heads": 3}, "set models.mine.decoder.heads"),
    ],
)
def test_a_wrong_decoder_is_named_with_its_key(repository, tmp_path, decoder, message):
    project = wrong(repository, tmp_path, decoder)
    done = project.snakemake(*WORDS, "results/streets/reconstruction/mine.card.json", check=False)
    log = project.folder / "logs/inspect_decoder/streets.mine.log"
    said = log.read_text() if log.exists() else done.stdout
    assert done.returncode and message in said and "Traceback" not in said


def test_a_wrong_decoder_is_found_before_anything_expensive(repository, tmp_path):
    """The jobs that do without it go on, as the profile says; with one core the first error comes before the first tile."""
    project = wrong(repository, tmp_path, {})
    done = project.snakemake("--cores", "1", *WORDS[2:], TABLE, check=False)
    assert done.returncode
    assert 0 < done.stdout.index("Error in rule inspect_decoder") < done.stdout.index("rule tile:")
    assert not list(project.folder.glob("results/streets/reconstruction/mine.*"))


def wrong(repository, folder, decoder):
    config = copy.deepcopy(CONFIG)
    config["models"] = {"mine": config["models"]["mine"] | {"decoder": decoder}}
    project = make_project(repository, folder / "project", config)
    put_files(project)
    return project


def test_models_without_decoders_are_asked_for_nothing(repository, tmp_path):
    config = CONFIG | {"models": {"pixels": {"source": "pixels", "patch_size": 8}}}
    project = make_project(repository, tmp_path / "project", config)
    assert not [job for job in project.plan() if "reconstruct" in job]
