"""Objective ``ibot``: DINO's agreement on [CLS], and on masked patches with what the teacher sees there.

Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer (2022), arXiv 2111.07832; losses, head and block-wise
masks are those of lightly. As there: one head for [CLS] and patches, half of the full crops masked, 10 to 50 % of their
patches, both losses with equal weight. The changes against DINO's paper are those of objective ``dino``.
"""

from dataclasses import dataclass

import torch
from lightly.loss import DINOLoss, IBOTPatchLoss
from lightly.models.utils import random_block_mask
from torch import nn

from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch, Objective, Views
from patchprobe.pretraining.self_distillation import SelfDistillation


@dataclass(frozen=True)
class Options:
    """The head's outputs and width, the teacher's temperature and its momentum at the start, and the masks."""

    outputs: int = 256
    hidden: int = 512
    bottleneck: int = 128
    teacher_temperature: float = 0.04
    momentum: float = 0.99
    masked_images: float = 0.5
    least_masked: float = 0.1
    most_masked: float = 0.5


class Ibot(Objective):
    """Cross-entropy between teacher and student on [CLS] and on masked patches; the teacher's network is the result."""

    views = Views(full=2, local=4, jitter=True)
    options_type = Options

    def __init__(self, network: Network, classes: int, options: Options) -> None:
        super().__init__(network)
        self.options = options
        self.mask_token = nn.Parameter(torch.zeros(1, 1, network.features))
        self.distillation = SelfDistillation(
            network,
            hidden=options.hidden,
            bottleneck=options.bottleneck,
            outputs=options.outputs,
            momentum=options.momentum,
        )
        self.agreement = DINOLoss(options.outputs, teacher_temp=options.teacher_temperature)
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
            taught, taught_patches = parts.teacher_head(seen[:, 0]), parts.teacher_head(seen[:, 1:][masked])
        tokens = self.network(full, masked, self.mask_token)
        learnt, learnt_patches = [parts.head(tokens[:, 0])], parts.head(tokens[:, 1:][masked])
        if batch.local:
            learnt.append(parts.head(self.network(torch.cat(batch.local))[:, 0]))
        size = len(batch.full[0])
        with torch.autocast(full.device.type, enabled=False):
            whole: torch.Tensor = self.agreement(
                list(taught.float().split(size)), list(torch.cat(learnt).float().split(size))
            )
            patches: torch.Tensor = self.patch_agreement(taught_patches.float(), learnt_patches.float(), mask)
        return whole + patches

    def before_step(self, step: int, steps: int) -> None:
        """Let the last layer of the head rest at first."""
        self.distillation.freeze_last_layer(step, steps)

    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher."""
        self.distillation.update_teacher(self.network, step, steps)

    def encoder(self) -> Network:
        """Return the teacher's network."""
        return self.distillation.teacher


OBJECTIVE = Ibot
