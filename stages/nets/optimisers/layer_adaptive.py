"""Steps as large as the layer: each weight moves by a share of its own norm.

Paper: You et al. 2020 (https://arxiv.org/abs/1904.00962): around Adam, with its decay, this is LAMB.

    theta <- theta - rate (|theta| / |h|) h        ratio 1 where either norm is 0

h is what the optimiser inside makes of the gradient; it shows as (theta - theta') / rate. The number: around AdamW
steps are those of LAMB's formula to 1e-12 in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from stages.nets.optimisers.decorator import Decorator, evaluated


class LayerAdaptive(Decorator):
    """`base` with the step of each weight of two dims or more scaled to its norm; biases and norms step as ever."""

    LEVEL = 2

    def __init__(self, base: torch.optim.Optimizer) -> None:
        super().__init__(base)
        self._before: dict[torch.Tensor, torch.Tensor] = {}  # room, not state

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """A step of the optimiser inside, rescaled."""
        loss = evaluated(closure)
        rate = {weight: group["lr"] for group in self.param_groups for weight in group["params"]}
        weights = [weight for weight in rate if weight.grad is not None and weight.dim() > 1 and rate[weight]]
        if not weights:
            self.base.step()
            return loss
        before = [self._before.setdefault(weight, torch.empty_like(weight)) for weight in weights]
        torch._foreach_copy_(before, weights)
        norms = torch.stack(torch._foreach_norm(weights))
        self.base.step()
        torch._foreach_sub_(weights, before)  # -rate h
        steps = torch.stack(torch._foreach_norm(weights))
        rates = norms.new_tensor([rate[weight] for weight in weights])
        able = (norms > 0) & (steps > 0)
        ratios = torch.where(able, rates * norms / torch.where(able, steps, 1), 1)
        torch._foreach_mul_(weights, list(ratios))
        torch._foreach_add_(weights, before)
        return loss
