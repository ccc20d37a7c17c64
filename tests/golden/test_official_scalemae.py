"""Scale-MAE's tokens and position embedding, loaded through the public loader, against its official code."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from official import class_token_at_zero, no_final_norm, tanh_gelu, wrong_eps

from patchprobe.models.backbone import load_model
from patchprobe.models.gsd import gsd_position_embedding

MODEL = "scalemae_vitl16"
ENTRY = {
    "source": "timm",
    "architecture": "vit_large_patch16_224",
    "layout": "scalemae",
    "checkpoint": "scalemae.pth",
}
CASES = ["res1_224", "res2.5_224", "res10_112", "lowvar"]
GIBIBYTE = 2**30


def write(fill, size, folder):
    part = fill.checkpoint(fill.load_spec(MODEL), "primary", size)
    assert part.keys() == {"model"}
    torch.save(
        {"model": {name: torch.from_numpy(value) for name, value in part["model"].items()}}, folder / "scalemae.pth"
    )


@pytest.fixture(scope="module")
def reduced(fill, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scalemae")
    write(fill, "reduced", folder)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_tokens_of_every_block_equal_the_official_ones(golden, fill, compare, reduced, case):
    spec = fill.load_spec(MODEL)["cases"][case]
    images = torch.from_numpy(fill.image(spec))
    metres = spec["input_res"]
    backbone = load_model(
        MODEL,
        {**ENTRY, "arguments": {"embed_dim": 48, "depth": 3, "num_heads": 3}},
        checkpoint_root=reduced,
        input_size=images.shape[-1],
        device="cpu",
        ground_sample_distance=metres[0],
    )
    embedding = gsd_position_embedding(backbone.grid, 48, torch.tensor(metres))
    assert torch.equal(backbone.module.pos_embed, embedding[:1])  # what the loader computes for one distance
    expected = np.load(golden / MODEL / "cases.npz")
    if f"{case}/pos_embed_used" in expected:
        compare(MODEL, case, "pos_embed_used", embedding, expected[f"{case}/pos_embed_used"], 1e-5)
    if len(set(metres)) > 1:
        backbone.module.pos_embed = torch.nn.Parameter(embedding, requires_grad=False)
    with torch.inference_mode():
        tokens = backbone.tokens(images, [1, 2, 3])
    compare(MODEL, case, "cls", tokens.cls, expected[f"{case}/cls"], 1e-5)
    compare(MODEL, case, "patch", tokens.patch, expected[f"{case}/patch"], 1e-5)


def test_the_full_size_model_fits_into_8_gib_and_gives_the_official_tokens(golden, fill, compare, alone, tmp_path):
    case = fill.load_spec(MODEL)["cases"]["full_digest"]
    write(fill, "full", tmp_path)
    np.save(tmp_path / "images.npy", fill.image(case))
    try:
        # VmHWM rather than ru_maxrss: that of a child starts from the peak of the process that started it
        program = f"""
            import json, sys
            from pathlib import Path
            import numpy as np, torch
            from patchprobe.models.backbone import load_model
            backbone = load_model("scalemae", {ENTRY!r}, checkpoint_root=Path("."), input_size=224, device="cpu",
                                  ground_sample_distance={case["input_res"][0]})
            with torch.inference_mode():
                tokens = backbone.tokens(torch.from_numpy(np.load("images.npy")), range(1, 25))
            np.savez("tokens.npz", patch=tokens.patch, cls=tokens.cls, pos_embed=backbone.module.pos_embed)
            peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
            print(json.dumps({{"peak": int(peak.split()[1]) * 1024, "left_out": backbone.provenance["left_out"]}}))
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found = dict(np.load(tmp_path / "tokens.npz"))
    finally:
        (tmp_path / "scalemae.pth").unlink()
    facts = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{MODEL} full size: peak memory {facts['peak'] / GIBIBYTE:.2f} GiB")
    assert facts["peak"] < 8e9
    assert "model.pos_embed" in facts["left_out"]
    patch = found["patch"]
    ours = {
        "cls": found["cls"],
        "patch_first8_dim32": patch[:, :, :8, :32],
        "patch_last8_dim32": patch[:, :, -8:, -32:],
        "patch_mean": patch.mean(axis=(2, 3), dtype=np.float64),
        "patch_std": patch.std(axis=(2, 3), dtype=np.float64, ddof=1),
        "pos_embed_used": found["pos_embed"][:, :30, ::16],
    }
    expected = np.load(golden / MODEL / "cases.npz")
    for name, value in ours.items():
        compare(MODEL, "full_digest", name, value, expected[f"full_digest/{name}"], 2e-5)


MISTAKES = {
    "eps": ("lowvar", wrong_eps(1e-5)),
    "gelu": ("lowvar", tanh_gelu),
    "no final norm": ("lowvar", no_final_norm),
    "no class token": ("lowvar", class_token_at_zero),
    "another distance": ("res10_112", None),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_moves_the_tokens_by_more_than_the_tolerance(golden, fill, mistaken, reduced, mistake):
    case, change = MISTAKES[mistake]
    spec = fill.load_spec(MODEL)["cases"][case]
    images = torch.from_numpy(fill.image(spec))
    backbone = load_model(
        MODEL,
        {**ENTRY, "arguments": {"embed_dim": 48, "depth": 3, "num_heads": 3}},
        checkpoint_root=reduced,
        input_size=images.shape[-1],
        device="cpu",
        ground_sample_distance=spec["input_res"][0] if change else 1.0,
    )
    if change:
        change(backbone.module)
    with torch.inference_mode():
        tokens = backbone.tokens(images, [1, 2, 3])
    expected = np.load(golden / MODEL / "cases.npz")
    found = {"patch": tokens.patch.numpy(), "cls": tokens.cls.numpy()}
    moved = max(float(np.abs(value - expected[f"{case}/{name}"]).max()) for name, value in found.items())
    mistaken(MODEL, mistake, moved, 1e-5)


def test_every_case_of_the_goldens_is_compared(fill):
    assert {*CASES, "full_digest"} == fill.load_spec(MODEL)["cases"].keys()
