"""Perception Encoder PE-Spatial B/16: absolute and rotary positions, no final norm."""

from official import COMMON, Family, Mistake, other_final_norm, wrong_eps


def rotary_scaled(module):
    module.rope.ref_feat_shape = (32, 32)
    module.rope.init_non_persistent_buffers()


def rotary_from_zero(module):
    module.rope.grid_offset = 0.0
    module.rope.init_non_persistent_buffers()


def rows_first(module):
    module.rope.grid_indexing = "ij"
    module.rope.init_non_persistent_buffers()


FAMILY = Family(
    "pe_spatial_vitb16",
    {"architecture": "vit_pe_spatial_base_patch16_512", "layout": "pe"},
    cases=("native", "lowvar", "img_224", "rect_128x192"),
    mistakes={
        **{name: COMMON[name] for name in ("gelu", "no class token")},
        "eps": Mistake("lowvar", module=wrong_eps(1e-6)),
        "a final norm": Mistake("lowvar", module=other_final_norm),
        "rotary positions scaled": Mistake("img_224", module=rotary_scaled),
        "rotary positions from zero": Mistake("img_224", module=rotary_from_zero),
        "rotary positions rows first": Mistake("rect_128x192", module=rows_first),
        "positions as timm": Mistake("img_224", {"position_embedding": "timm"}),
        "positions antialiased": Mistake("img_224", {"position_embedding": "bilinear-antialiased"}),
    },
)
