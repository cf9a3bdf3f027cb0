"""AdaFactor: the second moment of a matrix kept as that of its rows and of its columns.

Article: https://kexue.fm/archives/7302; paper: Shazeer and Stern 2018 (https://arxiv.org/abs/1804.04235).

    R <- b R + (1 - b) mean over columns of (g^2 + e1),  C likewise over rows,  V = R C / mean(R),  b = 1 - t^-0.8
    u = g / sqrt V,  u <- u / max(1, RMS(u) / d),  theta <- theta - rate max(e2, RMS(theta)) u

The numbers: V is g^2 to 1e-12 where that has rank 1, and the state of an r x c matrix is r + c numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from stages.nets.optimisers.rule import Rule, zeros


class AdaFactor(Rule):
    """Weights whose two largest dims are `factored` or more are factored over these; others keep V whole.

    `lr` is the largest rate: with `relative` step t has min(lr, 1 / sqrt t). `beta1` above 0 keeps a mean of u too.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        relative: bool = True,
        beta1: float = 0.0,
        decay: float = 0.8,
        e1: float = 1e-30,
        e2: float = 1e-3,
        d: float = 1.0,
        factored: int = 128,
    ) -> None:
        names = {"lr": lr, "relative": relative, "beta1": beta1, "decay": decay, "e1": e1, "e2": e2, "d": d}
        super().__init__(params, {**names, "factored": factored})

    def fresh(self, weight: torch.Tensor, group: dict[str, Any]) -> dict[str, torch.Tensor]:
        """R, with 1 in the place of columns, and C, or V; and the mean of u where it is wanted."""
        mean = {"mean": zeros(weight)} if group["beta1"] else {}
        if axes := _axes(weight, group["factored"]):
            row, column = (
                weight.new_zeros([1 if i == axis else n for i, n in enumerate(weight.shape)]) for axis in axes
            )
            return {"row": row, "column": column, **mean}
        return {"square": zeros(weight), **mean}

    def update(
        self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor], states: list[dict]
    ) -> None:
        """One step of R, C, V, u and theta."""
        ones = [state["step"] ** -group["decay"] for state in states]  # 1 - b
        u = [
            _scaled(weight, g, state, one, group)
            for weight, g, state, one in zip(weights, gradients, states, ones, strict=True)
        ]
        shrink = torch._foreach_div(_rms(u), group["d"])
        torch._foreach_clamp_min_(shrink, 1.0)
        sizes = _rms(weights)
        torch._foreach_clamp_min_(sizes, group["e2"])
        relative = [-min(group["lr"], state["step"] ** -0.5) if group["relative"] else -group["lr"] for state in states]
        torch._foreach_mul_(sizes, relative)
        if group["beta1"]:
            torch._foreach_div_(u, shrink)
            mean = [state["mean"] for state in states]
            torch._foreach_lerp_(mean, u, 1 - group["beta1"])
            u = mean
        else:
            torch._foreach_div_(sizes, shrink)
        torch._foreach_addcmul_(weights, u, sizes)


def _axes(weight: torch.Tensor, least: int) -> tuple[int, int] | None:
    """The axes that R and C are means over, the largest ones; None where the smaller is below `least`."""
    if weight.dim() < 2:
        return None
    *_, row, column = sorted(range(weight.dim()), key=lambda axis: (weight.shape[axis], axis))
    return (column, row) if weight.shape[row] >= least else None


def _scaled(weight: torch.Tensor, g: torch.Tensor, state: dict, one: float, group: dict[str, Any]) -> torch.Tensor:
    """g / sqrt V, V having taken in g^2 by `one`."""
    axes = _axes(weight, group["factored"])
    square = g * g + group["e1"]
    if not axes:
        return g * state["square"].lerp_(square, one).rsqrt()
    row = state["row"].lerp_(square.mean(axes[0], keepdim=True), one)  # [..., r, 1]
    column = state["column"].lerp_(square.mean(axes[1], keepdim=True), one)  # [..., 1, c]
    return (g * (row / row.mean(axes[1], keepdim=True)).rsqrt()).mul_(column.rsqrt())


def _rms(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The root of the mean square of each."""
    return list(torch._foreach_div(torch._foreach_norm(tensors), [each.numel() ** 0.5 for each in tensors]))
