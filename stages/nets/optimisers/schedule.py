"""Learning rates that go along straight lines between points.

The author's form (https://github.com/bojone/bert4keras), where {1000: 1} is a warm-up.

    {10: 1, 20: 0.5}:  0, 0.5, 1, 0.75, 0.5, 0.5  at steps 0, 5, 10, 15, 20, 30
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping

import torch

from stages.core.errors import Refusal
from stages.nets.optimisers.decorator import Decorator


def piecewise(points: Mapping[int, float]) -> Callable[[int], float]:
    """The factor of each step: linear between `points` (step: factor), from 0 at step 0 on, constant after the last.

    It suits torch.optim.lr_scheduler.LambdaLR too. Raises `Refusal` for steps below 0 or out of order and factors
    below 0.
    """
    steps = list(points)
    if not steps or steps[0] < 0 or steps != sorted(set(steps)):
        raise Refusal(f"a schedule at steps {steps}: give whole numbers from 0, each larger than the last")
    if min(points.values()) < 0:
        raise Refusal(f"a schedule of factors {list(points.values())}: give numbers from 0")
    whole = dict(points) if 0 in points else {0: 0.0, **points}
    steps, factors = list(whole), list(whole.values())

    def factor(step: int) -> float:
        last = bisect_right(steps, step) - 1
        if last == len(steps) - 1:
            return factors[last]
        share = (step - steps[last]) / (steps[last + 1] - steps[last])
        return factors[last] + share * (factors[last + 1] - factors[last])

    return factor


class Scheduled(Decorator):
    """`base` with rates that are `points`' factors of its groups', counted by its own steps.

    Inside Accumulate it goes on once a window. The groups show the rates as they were given, so that what changes
    them (a rollback, a fading) and this multiply.
    """

    LEVEL = 4

    def __init__(self, base: torch.optim.Optimizer, points: Mapping[int, float]) -> None:
        super().__init__(base)
        self.factor, self.counts = piecewise(points), {"steps": 0}

    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """A step of the optimiser inside at this step's rates."""
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = group["lr"] * self.factor(int(self.counts["steps"]))
        try:
            loss = self.base.step(closure)
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate
        self.counts["steps"] += 1
        return loss
