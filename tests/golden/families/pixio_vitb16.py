"""Pixio ViT-B/16: eight class tokens."""

from official import COMMON, Family, Mistake, Run, registers_at_zero, tokens_of


def tokens_without_norm(run: Run):
    """The last block has the final norm in every setting of the public loader, so its own output is taken of the module."""
    raw = tokens_of(run.load(norm="none"), run.images).patch.clone()
    last = run.backbone.module.forward_intermediates(run.images, indices=1, norm=False, output_fmt="NLC")[1]
    raw[-1] = last[0].detach()
    return raw[:, :, :8]


FAMILY = Family(
    "pixio_vitb16",
    {"architecture": "vit_base_patch16_224", "arguments": {"reg_tokens": 7}, "layout": "pixio"},
    cases=("native", "rect_128x192", "lowvar"),
    digests=("full_digest", "full_digest_512"),
    outputs={"patch_raw_first8": tokens_without_norm},
    mistakes={
        **COMMON,
        "seven class tokens at zero": Mistake(module=registers_at_zero),
        "positions as DINO's": Mistake("rect_128x192", {"position_embedding": "dino"}),
        "positions as timm's": Mistake("rect_128x192", {"position_embedding": "timm"}),
    },
)
