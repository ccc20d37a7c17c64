"""What DINO and iBOT share: a student with a projection head, and a teacher that is its moving average."""

import copy

import torch
from lightly.models.modules import DINOProjectionHead
from lightly.models.utils import update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import nn

from patchprobe.pretraining.network import Network

# As in DINO's code: the last layer rests at first, here for this share of the steps rather than one epoch.
_FROZEN_SHARE = 0.03


class SelfDistillation(nn.Module):
    """The projection head of a student network, and copies of both as the teacher.

    ``momentum`` is the weight of the teacher's own past at the first step; it goes to 1 along a cosine, as in Caron et
    al., Emerging Properties in Self-Supervised Vision Transformers (2021), arXiv 2104.14294, section 3.1.
    """

    def __init__(self, network: Network, *, hidden: int, bottleneck: int, outputs: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.head = DINOProjectionHead(network.features, hidden, bottleneck, outputs)
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self.teacher_head = _copy(self.head, DINOProjectionHead(network.features, hidden, bottleneck, outputs))

    def freeze_last_layer(self, step: int, steps: int) -> None:
        """Drop the gradients of the head's last layer in the first steps, which steadies the start."""
        self.head.freeze_last_layer = round(_FROZEN_SHARE * steps)
        self.head.cancel_last_layer_gradients(step)

    @torch.no_grad()
    def update_teacher(self, network: Network, step: int, steps: int) -> None:
        """Move the teacher: ``m * teacher + (1 - m) * student``."""
        momentum = cosine_schedule(step, steps, self.momentum, 1.0)
        update_momentum(network, self.teacher, momentum)
        update_momentum(self.head, self.teacher_head, momentum)


def _copy(head: DINOProjectionHead, into: DINOProjectionHead) -> DINOProjectionHead:
    # A weight-normed layer cannot be copied by copy.deepcopy.
    into.load_state_dict(head.state_dict())
    return into.requires_grad_(False)
