"""Lookahead: slow weights that go part of the way to where fast ones have got.

Paper: Zhang et al. 2019 (https://arxiv.org/abs/1907.08610); the author's: https://github.com/bojone/keras_lookahead.

    every k steps:  Theta <- Theta + a (theta - Theta),  theta <- Theta

The number: after 5 n steps with k = 5 the weights are those of this recursion, exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from stages.core.errors import Refusal
from stages.nets.optimisers.decorator import Decorator


class Lookahead(Decorator):
    """`base` with slow weights, that begin where the weights are at the first step."""

    LEVEL = 5

    def __init__(self, base: torch.optim.Optimizer, k: int = 5, a: float = 0.5) -> None:
        if k < 1 or not 0 < a <= 1:
            raise Refusal(f"Lookahead with k = {k} and a = {a}: k is a whole number from 1, a lies in 0..1")
        super().__init__(base)
        self.k, self.a, self.counts = k, a, {"steps": 0}

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """A step of the optimiser inside, and after every k-th one the slow weights'."""
        for weight in self.weights:
            if "slow" not in self.own[weight]:
                self.own[weight]["slow"] = weight.clone()
        loss = self.base.step(closure)
        self.counts["steps"] += 1
        if self.counts["steps"] % self.k == 0:
            weights, slow = self.weights, [self.own[weight]["slow"] for weight in self.weights]
            torch._foreach_lerp_(slow, weights, self.a)
            torch._foreach_copy_(weights, slow)
        return loss
