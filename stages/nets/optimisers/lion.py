"""Lion: the sign of a mean that looks at the newest gradient more than the one it keeps does.

Paper: Chen et al. 2023 (https://arxiv.org/abs/2302.06675). It is what Tiger (tiger.py) is made from, with b1 = b2.

    theta <- theta - rate (sign(b1 m + (1 - b1) g) + l theta),  m <- b2 m + (1 - b2) g
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from stages.nets.optimisers.rule import Rule, zeros


class Lion(Rule):
    """Lion with the paper's numbers."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay})

    def fresh(self, weight: torch.Tensor, group: dict[str, Any]) -> dict[str, torch.Tensor]:
        """m."""
        return {"mean": zeros(weight)}

    def update(
        self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor], states: list[dict]
    ) -> None:
        """One step of theta and m."""
        m = [state["mean"] for state in states]
        signs = torch._foreach_lerp(m, gradients, 1 - group["beta1"])
        torch._foreach_sign_(signs)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, signs, alpha=-group["lr"])
        torch._foreach_lerp_(m, gradients, 1 - group["beta2"])
