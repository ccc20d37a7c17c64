"""Objective ``ibot``: DINO's agreement on [CLS], and on masked patches with what the teacher sees there.

Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer (2022), arXiv 2111.07832; losses, head and block-wise
masks are those of lightly. As there: one head for [CLS] and patches, both losses with equal weight. The changes against
DINO's paper are those of objective ``dino``. Every full crop is masked, 30 to 70 % of its patches, where the paper masks
half of them and 10 to 50 %: on scenes that are told apart by their light, agreement on whole crops alone teaches tokens
little about what a patch shows.
"""

from dataclasses import dataclass

import torch
from lightly.loss import IBOTPatchLoss
from lightly.models.utils import random_block_mask
from torch import nn

from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch
from patchprobe.pretraining.self_distillation import HeadOptions, SelfDistilled


@dataclass(frozen=True)
class Options(HeadOptions):
    """Those of the head, and the masks: the share of full crops, and the least and most of their patches."""

    momentum: float = 0.996
    masked_images: float = 1.0
    least_masked: float = 0.3
    most_masked: float = 0.7


class Ibot(SelfDistilled):
    """Cross-entropy between teacher and student on [CLS] and on masked patches; the teacher's network is the result."""

    options_type = Options

    def __init__(self, network: Network, classes: int, options: Options) -> None:
        super().__init__(network, options)
        self.options = options
        self.mask_token = nn.Parameter(torch.zeros(1, 1, network.features))
        self.patch_agreement = IBOTPatchLoss(options.outputs, teacher_temp=options.teacher_temperature)

    def loss(self, batch: Batch) -> torch.Tensor:
        """See :meth:`patchprobe.pretraining.objective.Objective.loss`."""
        parts, full, options = self.distillation, torch.cat(batch.full), self.options
        mask = random_block_mask(
            (len(full), self.network.grid, self.network.grid),
            batch_mask_ratio=options.masked_images,
            min_image_mask_ratio=options.least_masked,
            max_image_mask_ratio=options.most_masked,
        ).to(full.device)
        masked = mask.flatten(1)
        with torch.no_grad():
            seen = parts.teacher(full)
            taught = parts.teacher_head(seen[:, 1:][masked])
        tokens = self.network(full, masked, self.mask_token)
        learnt = parts.head(tokens[:, 1:][masked])
        whole = self.agree(batch, seen[:, 0], tokens[:, 0])
        with torch.autocast(full.device.type, enabled=False):
            patches: torch.Tensor = self.patch_agreement(taught.float(), learnt.float(), mask)
        return whole + patches


OBJECTIVE = Ibot
