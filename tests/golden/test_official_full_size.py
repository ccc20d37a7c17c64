"""Full-size files, loaded through the public loader, against the outputs of the models' official code, one at a time."""

import json
import subprocess
import sys

import pytest
from official import check, families, release_memory, write

FAMILIES = families()
LARGEST = "ijepa_vith14"
OTHERS = [(folder, variant) for folder, family in FAMILIES.items() for variant in family.variants]


@pytest.mark.parametrize("folder", FAMILIES)
def test_full_size_tokens_equal_the_official_ones(official, compare, full_size, tmp_path, folder):
    family, golden = FAMILIES[folder], official(folder)
    path = tmp_path / family.file
    with full_size():
        write(golden.content(size="full"), path)
        for case in family.digests:
            backbone = check(family, golden, compare, case, path)
            assert (backbone.features, backbone.blocks) == family.size
            del backbone
        if folder == LARGEST:
            release_memory()
            _loading_takes_little_more_memory_than_the_file(family, path)
        path.unlink()


@pytest.mark.parametrize(("folder", "variant"), OTHERS)
def test_other_full_size_files_load_without_a_name_left_over(official, full_size, tmp_path, folder, variant):
    family, golden = FAMILIES[folder], official(folder)
    path = tmp_path / family.file
    write(golden.shapes(variant.file, "full"), path)
    with full_size():
        side = golden.spec["cases"][family.digests[0]]["input"]["shape"][-1]
        backbone = family.load(path, side, full=True, **variant.entry)
        # every name arrived, for strict loading: no weight is as random as timm makes it
        assert not backbone.module.blocks[-1].attn.qkv.weight.any()
        assert (backbone.features, backbone.blocks) == family.size
        del backbone


# Prints the memory that loading takes at its peak, in KiB, and the number of blocks. Pages of the file itself, which is mapped and
# not read as a whole, do not count: the system takes them back when others need the memory.
LOAD = """
import json, re, sys, threading, time
from pathlib import Path
from patchprobe.models.backbone import load_model
import patchprobe.models.sources.timm

def own():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def watch():
    while not done:
        peaks.append(own())
        time.sleep(0.005)

before, peaks, done = own(), [0], False
thread = threading.Thread(target=watch)
thread.start()
backbone = load_model("m", json.loads(sys.argv[1]), checkpoint_root=Path("."), input_size=224, device="cpu")
done = True
thread.join()
print(json.dumps([max(*peaks, own()) - before, backbone.blocks]))
"""


def _loading_takes_little_more_memory_than_the_file(family, path):
    size = path.stat().st_size / 1024
    entry = json.dumps({"source": "timm", "checkpoint": path.name, **family.entry})
    done = subprocess.run(
        [sys.executable, "-c", LOAD, entry], cwd=path.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    peak, blocks = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{family.folder}, {size / 2**20:.2f} GiB: loading takes {peak / size:.2f} times the file")
    assert blocks == family.size[1] and size > 2e6
    assert peak <= 1.3 * size
