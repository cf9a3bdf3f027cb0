"""Weight decay beside the gradient, and what is left out of it.

Paper: Loshchilov and Hutter 2019 (https://arxiv.org/abs/1711.05101).

    theta <- theta - rate h - rate l theta

For plain gradient descent that is the gradient of l theta^2 / 2 added to h; for Adam it is not. The number: around
torch's Adam it is torch's AdamW, to 1e-12 in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets.optimisers.decorator import Decorator, evaluated


class WeightDecay(Decorator):
    """`base`, and every weight with a gradient shrunk by `decay` times its group's rate; a group's own `decay` wins."""

    LEVEL = 1

    def __init__(self, base: torch.optim.Optimizer, decay: float) -> None:
        if not decay >= 0:
            raise Refusal(f"a weight decay of {decay}: it must be 0 or more")
        super().__init__(base)
        self.decay = decay

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Shrink, then step: the same as the sum of both, as the gradient is known before."""
        loss = evaluated(closure)
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights and (decay := group.get("decay", self.decay)):
                torch._foreach_mul_(weights, 1 - group["lr"] * decay)
        self.base.step()
        return loss


def decayed(net: nn.Module, decay: float) -> list[dict[str, Any]]:
    """The weights of `net` in two groups for any optimiser: matrices with `weight_decay`, biases and norms without."""
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
