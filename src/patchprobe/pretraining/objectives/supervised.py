"""Objective ``supervised``: which classes does the crop show? Image-level labels only, by binary cross-entropy."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch, Objective, Views


@dataclass(frozen=True)
class Options:
    """No options."""


class Supervised(Objective):
    """A linear classifier on the mean of the patch tokens, one independent yes or no per class.

    The mean and not [CLS], so that patch tokens learn from the classes directly, which short training needs.
    """

    views = Views(full=1, jitter=True, presence=True)
    options_type = Options
    recordable = True

    def __init__(self, network: Network, classes: int, options: Options) -> None:
        super().__init__(network)
        self.classifier = nn.Linear(network.features, classes)

    def loss(self, batch: Batch) -> torch.Tensor:
        """See :meth:`patchprobe.pretraining.objective.Objective.loss`."""
        logits = self.classifier(self.network(batch.full[0])[:, 1:].mean(dim=1))
        assert batch.presence is not None
        return F.binary_cross_entropy_with_logits(logits.float(), batch.presence)


OBJECTIVE = Supervised
