"""Objective ``dino``: a student agrees with its moving average about other crops of the same image.

Caron et al., Emerging Properties in Self-Supervised Vision Transformers (2021), arXiv 2104.14294; loss and head are
those of lightly. Two full crops are seen by both, local crops by the student. Smaller than there: head, number of
outputs, number of local crops. Blur and solarisation are left out.
"""

import torch

from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch
from patchprobe.pretraining.self_distillation import HeadOptions, SelfDistilled


class Dino(SelfDistilled):
    """Cross-entropy between teacher and student on [CLS]; the teacher's network is the result."""

    options_type = HeadOptions

    def __init__(self, network: Network, classes: int, options: HeadOptions) -> None:
        super().__init__(network, options)

    def loss(self, batch: Batch) -> torch.Tensor:
        """See :meth:`patchprobe.pretraining.objective.Objective.loss`."""
        full = torch.cat(batch.full)
        with torch.no_grad():
            taught = self.distillation.teacher(full)[:, 0]
        return self.agree(batch, taught, self.network(full)[:, 0])


OBJECTIVE = Dino
