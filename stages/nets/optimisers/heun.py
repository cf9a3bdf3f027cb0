"""Heun's method: training as the differential equation d theta / dt = -g, solved to the second order.

Article: https://kexue.fm/archives/5879, whose author finds that such methods "do not work well" as optimisers.

    theta' = theta - e g(theta),  theta <- theta' - (e / 2) (g(theta') - g(theta))       both g of one batch

The number: on d theta / dt = -(theta + sin(theta) / 2) halving e divides the error by 4, where gradient descent,
which is Euler's method, divides it by 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from stages.core.errors import Refusal
from stages.nets.optimisers.rule import Rule


class Heun(Rule):
    """Heun's method; `step` needs a closure that clears gradients, computes the loss of one batch and its gradients."""

    def __init__(self, params: Iterable[Any], lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor:
        """Two gradients and one step; returns the loss at its begin."""
        if closure is None:
            raise Refusal("Heun's method takes two gradients of one batch: give step a closure that computes them")
        loss = closure()
        begun = [
            (group, weight) for group in self.param_groups for weight in group["params"] if weight.grad is not None
        ]
        first = [weight.grad.clone() for _, weight in begun]
        with torch.no_grad():
            for (group, weight), g in zip(begun, first, strict=True):
                weight.sub_(g, alpha=group["lr"])
        closure()
        with torch.no_grad():
            for (group, weight), g in zip(begun, first, strict=True):
                weight.sub_(weight.grad - g, alpha=group["lr"] / 2)
        return loss
