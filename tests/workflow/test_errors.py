"""Bad input ends a run with one clear message, before anything expensive where it can."""

import numpy as np
import pytest
from PIL import Image
from projects import TINY, make_project

pytestmark = pytest.mark.workflow

LINE = ("--cores", "2", "--resources", "gpu=1", "all")


@pytest.fixture
def fresh(repository, tmp_path):
    """A project that has not run."""
    return lambda **changes: make_project(repository, tmp_path / "project", TINY | changes)


def failure(project, *words):
    done = project.snakemake(*(words or LINE), check=False)
    assert done.returncode != 0
    return done.stdout


def test_misspelt_key_stops_before_the_dag(fresh):
    text = failure(fresh(sed=1))
    assert "unknown key sed: did you mean seed?" in text
    assert "Traceback" not in text and "Building DAG" not in text


def test_a_target_of_a_model_that_is_not_there_names_those_that_are(fresh):
    text = failure(fresh(), "--cores", "1", "--dry-run", "results/models/my-vit.csv")
    assert "results/models/my-vit.csv: models of the configuration has no my-vit, but " in text
    assert "MissingRuleException" not in text and "Traceback" not in text


def test_missing_root_names_folder_and_keys(fresh):
    dataset = {"adapter": "camvid", "root": "CamVid", "tiling": {"size": 32}}
    splits = {"train": {"source": "train"}, "evaluation": {"source": "test"}}
    text = failure(fresh(datasets={"camvid": dataset | {"splits": splits}}, data_root="nowhere"))
    assert "/nowhere/CamVid does not exist: put the data set there" in text
    assert "datasets.camvid.root" in text and "data_root" in text
    assert "Traceback" not in text


def test_broken_image_is_found_before_tiling(fresh):
    project = fresh(
        datasets={
            "camvid": {
                "adapter": "camvid",
                "root": "CamVid",
                "splits": {"train": {"source": "train"}, "evaluation": {"source": "test"}},
                "tiling": {"size": 32, "resize": 32},
            }
        }
    )
    root = project.folder / "data/CamVid"
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        names = [f"{split}{i}.png" for i in range(2)]
        (root / f"{split}.txt").write_text(
            "".join(f"/SegNet/CamVid/{split}/{n} /SegNet/CamVid/{split}annot/{n}\n" for n in names)
        )
        for name in names:
            pixels = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            Image.fromarray(pixels[..., 0] % 12).save(root / f"{split}annot" / name)
    victim = root / "test/test1.png"
    victim.write_bytes(victim.read_bytes()[:-500])
    text = failure(project)
    assert "test1.png" in text and "rule tile" not in text.replace("localrule", "rule")
    assert "Traceback" not in text
    assert not (project.folder / "results/camvid/tiles").exists()


def test_unknown_architectures_are_found_before_extraction_and_named_at_the_end(fresh):
    """Also where Snakemake was told not to show jobs, of which its own report of a failure is one."""
    models = {
        "wrong": {"source": "timm", "architecture": "vit_base_patch16_225"},
        "worse": {"source": "timm", "architecture": "vit_small_patch16_225"},
    }
    project = fresh(models=models)
    targets = [f"results/streets/features/{model}/clean.manifest.json" for model in models]
    text = failure(project, "--cores", "2", "--quiet", "rules", "--", *targets)
    assert not list(project.folder.glob("logs/extract/*"))
    assert "Error in rule" not in text
    end = text[text.index("2 jobs failed; 2 jobs not finished:") :].splitlines()
    for lines, model, right in (
        (end[1:4], "worse", "vit_small_patch16_224"),
        (end[4:7], "wrong", "vit_base_patch16_224"),
    ):
        assert lines[:2] == [
            f"  inspect_model (dataset=streets, model={model})",
            f"    log: logs/inspect_model/streets.{model}.log",
        ]
        assert lines[2].startswith(f"    error: models.{model}.architecture: ") and right in lines[2]


def test_gpu_asked_for_and_none_there(fresh, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    text = failure(fresh(device="cuda"), "--cores", "2", "--", "results/streets/features/pixels-a/clean.manifest.json")
    assert "device" in text and "device: cpu" in text
    assert "Traceback" not in text


@pytest.mark.usefixtures("own_forkserver")
def test_full_disk_is_named_and_what_is_finished_is_kept(fresh):
    """A file system of 64 kB, in a mount namespace of its own, takes the place of the features folder."""
    project = fresh()
    target = ("--cores", "2", "--", "results/streets/features/pixels-a/clean.manifest.json")
    project.snakemake("--cores", "2", "--until", "tile", "inspect_model")
    mount = (
        'mkdir -p results/streets/features && mount -t tmpfs -o size=64k tmpfs results/streets/features && exec "$@"'
    )
    full = project.run(
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *project.command(*target)
    )
    assert full.returncode != 0
    assert "the disk is full while writing" in full.stdout and "run again" in full.stdout
    assert "Traceback" not in full.stdout
    project.snakemake(*target)
