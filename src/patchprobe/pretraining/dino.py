"""Objective ``dino``: a student agrees with its moving average about other crops of the same image.

Caron et al., Emerging Properties in Self-Supervised Vision Transformers (2021), arXiv 2104.14294; loss and head are
those of lightly. Two full crops are seen by both, local crops by the student. Smaller than there: head, number of
outputs, number of local crops. Blur and solarisation are left out.
"""

from dataclasses import dataclass

import torch
from lightly.loss import DINOLoss

from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch, Objective, Views
from patchprobe.pretraining.self_distillation import SelfDistillation


@dataclass(frozen=True)
class Options:
    """The head's outputs and width, the teacher's temperature and its momentum at the start."""

    outputs: int = 256
    hidden: int = 512
    bottleneck: int = 128
    teacher_temperature: float = 0.04
    momentum: float = 0.99


class Dino(Objective):
    """Cross-entropy between teacher and student on [CLS]; the teacher's network is the result."""

    views = Views(full=2, local=4, jitter=True)
    options_type = Options

    def __init__(self, network: Network, classes: int, options: Options) -> None:
        super().__init__(network)
        self.distillation = SelfDistillation(
            network,
            hidden=options.hidden,
            bottleneck=options.bottleneck,
            outputs=options.outputs,
            momentum=options.momentum,
        )
        self.agreement = DINOLoss(options.outputs, teacher_temp=options.teacher_temperature)

    def loss(self, batch: Batch) -> torch.Tensor:
        """See :meth:`patchprobe.pretraining.objective.Objective.loss`."""
        parts, full = self.distillation, torch.cat(batch.full)
        with torch.no_grad():
            taught = parts.teacher_head(parts.teacher(full)[:, 0])
        learnt = [parts.head(self.network(full)[:, 0])]
        if batch.local:
            learnt.append(parts.head(self.network(torch.cat(batch.local))[:, 0]))
        size = len(batch.full[0])
        with torch.autocast(full.device.type, enabled=False):
            agreement: torch.Tensor = self.agreement(
                list(taught.float().split(size)), list(torch.cat(learnt).float().split(size))
            )
        return agreement

    def before_step(self, step: int, steps: int) -> None:
        """Let the last layer of the head rest at first."""
        self.distillation.freeze_last_layer(step, steps)

    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher."""
        self.distillation.update_teacher(self.network, step, steps)

    def encoder(self) -> Network:
        """Return the teacher's network, the better one (section 5.1 of the paper)."""
        return self.distillation.teacher


OBJECTIVE = Dino
