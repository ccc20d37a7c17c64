"""MSN ViT-B/16: the target encoder."""

from official import COMMON, Family, Mistake

FAMILY = Family(
    "msn_vitb16",
    {"architecture": "vit_base_patch16_224", "layout": "msn"},
    cases=("native", "small_112", "lowvar"),
    digests=("full_digest", "full_digest_448"),
    mistakes={
        **COMMON,
        "the student": Mistake(file=lambda content: {**content, "target_encoder": content["encoder"]}),
        "positions as DINO's": Mistake("small_112", {"position_embedding": "dino"}),
        "positions as timm's": Mistake("small_112", {"position_embedding": "timm"}),
    },
)
