"""A data set that the workflow generates itself is made before it is read, and again when what it is made from changes."""

import copy

import pytest
from projects import TINY, make_project

pytestmark = pytest.mark.workflow

INDEX = "results/streets/images.csv"


@pytest.fixture
def generated(repository, tmp_path):
    """A project with a generated data set of two images that has not run."""
    config = copy.deepcopy(TINY)
    one = {"cities": 1, "images_per_city": 1}
    config["datasets"]["streets"] = {
        "adapter": "cityscapes",
        "generate": {"generator": "street", "options": {"train": one, "val": one}},
        "splits": {"train": {"source": "train"}, "evaluation": {"source": "val"}},
        "tiling": {"size": 128, "resize": 32},
    }
    return make_project(repository, tmp_path / "project", config)


def test_generated_data_set(generated):
    generated.snakemake("--cores", "2", INDEX)
    assert not generated.plan(INDEX)
    config = generated.config()
    config["datasets"]["streets"]["generate"]["seed"] = 1
    generated.write_config(config)
    assert generated.plan(INDEX) == {"generate streets": 1, "index streets": 1}
    config["datasets"]["streets"] |= {"root": "somewhere"}
    generated.write_config(config)
    done = generated.snakemake("--cores", "2", INDEX, check=False)
    assert done.returncode and "datasets.streets.root has no meaning for a generated data set" in done.stdout
