"""AdaX: Adam with a second moment whose memory grows longer with every step.

Article: https://kexue.fm/archives/7387; paper: Li et al. 2020 (https://arxiv.org/abs/2004.09740).

    m <- b1 m + (1 - b1) g,  v <- (1 + b2) v + b2 g^2,  theta <- theta - rate m / (sqrt(v / ((1 + b2)^t - 1)) + e)

v itself outgrows float32 after 900 thousand steps. What is kept is w = v / ((1 + b2)^t - 1), which the rule makes a
mean: w <- w + s (g^2 - w), s = b2 / ((1 + b2)^t - 1). The number: for a constant g = 1 it is 1 within 1e-12. The
author's code adds e before the division by the growth of v, not after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import expm1, log1p
from typing import Any

import torch

from stages.core.errors import Refusal
from stages.nets.optimisers.rule import Rule, zeros

FULL = 700.0  # exp of more is no float64


class AdaX(Rule):
    """AdaX with the paper's numbers; `weight_decay` is beside the gradient, as in AdamW."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        beta1: float = 0.9,
        b2: float = 1e-4,
        e: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not b2 > 0:
            raise Refusal(f"b2 of AdaX is {b2}: it must be above 0")
        super().__init__(params, {"lr": lr, "beta1": beta1, "b2": b2, "e": e, "weight_decay": weight_decay})

    def fresh(self, weight: torch.Tensor, group: dict[str, Any]) -> dict[str, torch.Tensor]:
        """m and w."""
        return {"mean": zeros(weight), "square": zeros(weight)}

    def update(
        self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor], states: list[dict]
    ) -> None:
        """One step of m, w and theta."""
        shares = [group["b2"] / expm1(min(state["step"] * log1p(group["b2"]), FULL)) for state in states]
        m, w = [state["mean"] for state in states], [state["square"] for state in states]
        torch._foreach_lerp_(m, gradients, 1 - group["beta1"])
        torch._foreach_mul_(w, [1 - share for share in shares])
        torch._foreach_addcmul_(w, gradients, gradients, shares)
        below = torch._foreach_sqrt(w)
        torch._foreach_add_(below, group["e"])
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_addcdiv_(weights, m, below, -group["lr"])
