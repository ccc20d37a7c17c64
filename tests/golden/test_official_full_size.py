"""Full-size files, loaded through the public loader, against the outputs of the models' official code, one at a time."""

import pytest
from official import check, families, write

FAMILIES = families()
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
