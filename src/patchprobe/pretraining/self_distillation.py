"""What DINO and iBOT share: a student with a projection head, and a teacher that is its moving average."""

import copy
from dataclasses import dataclass

import torch
from lightly.loss import DINOLoss
from lightly.models.modules import DINOProjectionHead
from lightly.models.utils import update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import nn

from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch, Objective, Views

# As in DINO's code: the last layer rests at first, here for this share of the steps rather than one epoch.
_FROZEN_SHARE = 0.03


@dataclass(frozen=True)
class HeadOptions:
    """The head's outputs and width, the teacher's temperature and its momentum at the start."""

    outputs: int = 256
    hidden: int = 512
    bottleneck: int = 128
    teacher_temperature: float = 0.04
    momentum: float = 0.99


class SelfDistillation(nn.Module):
    """The projection head of a student network, and copies of both as the teacher.

    ``momentum`` is the weight of the teacher's own past at the first step; it goes to 1 along a cosine, as in Caron et
    al., Emerging Properties in Self-Supervised Vision Transformers (2021), arXiv 2104.14294, section 3.1.
    """

    def __init__(self, network: Network, options: HeadOptions) -> None:
        super().__init__()
        self.momentum = options.momentum
        sizes = (network.features, options.hidden, options.bottleneck, options.outputs)
        self.head = DINOProjectionHead(*sizes)
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self.teacher_head = _copy(self.head, DINOProjectionHead(*sizes))

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


class SelfDistilled(Objective):
    """An objective whose student agrees with its teacher on [CLS]; the teacher's network is the result."""

    views = Views(full=2, local=4, jitter=True)

    def __init__(self, network: Network, options: HeadOptions) -> None:
        super().__init__(network)
        self.distillation = SelfDistillation(network, options)
        self.agreement = DINOLoss(options.outputs, teacher_temp=options.teacher_temperature)

    def agree(self, batch: Batch, taught: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy between teacher and student on [CLS], a float32 scalar.

        ``taught`` and ``learnt`` are [CLS] tokens (views * B, features) of the full crops; local ones are seen here.
        """
        parts = self.distillation
        with torch.no_grad():
            aims = parts.teacher_head(taught)
        found = [parts.head(learnt)]
        if batch.local:
            found.append(parts.head(self.network(torch.cat(batch.local))[:, 0]))
        size = len(batch.full[0])
        with torch.autocast(taught.device.type, enabled=False):
            agreement: torch.Tensor = self.agreement(
                list(aims.float().split(size)), list(torch.cat(found).float().split(size))
            )
        return agreement

    def before_step(self, step: int, steps: int) -> None:
        """Let the last layer of the head rest at first."""
        self.distillation.freeze_last_layer(step, steps)

    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher."""
        self.distillation.update_teacher(self.network, step, steps)

    def encoder(self) -> Network:
        """Return the teacher's network, the better one (Caron et al. 2021, arXiv 2104.14294, section 5.1)."""
        return self.distillation.teacher


def _copy(head: DINOProjectionHead, into: DINOProjectionHead) -> DINOProjectionHead:
    # A weight-normed layer cannot be copied by copy.deepcopy.
    into.load_state_dict(head.state_dict())
    return into.requires_grad_(False)
