"""Functions of weights, and holding weights to them after each update of an optimiser.

Article: https://kexue.fm/archives/6311; papers: Qiao et al. 2019 (standardisation, https://arxiv.org/abs/1903.10520),
Hinton et al. 2012 (largest norm, https://arxiv.org/abs/1207.0580).

    θ <- f(θ - rate gradient)

The same functions act before use, inside the graph, in weights.py. `axis` is that of outputs (filters), 0 but for
transposed convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from stages.core.params import Choices


def matrix(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """`weight` as [outputs, all else]; a vector is one row."""
    return weight[None] if weight.dim() == 1 else weight.movedim(axis, 0).flatten(1)


def unit(weight: torch.Tensor, axis: int = 0) -> torch.Tensor:
    """Every filter over its L2 norm, zeros where that is 0."""
    return weight / nonzero(norms(weight, axis))


def standardised(weight: torch.Tensor, axis: int = 0) -> torch.Tensor:
    """Every filter with mean 0 and variance 1, zeros where all its numbers are one."""
    others = _others(weight, axis)
    centred = weight - weight.mean(others, keepdim=True)
    size = math.prod(weight.shape[i] for i in others)
    return math.sqrt(size) * unit(centred, axis)


def capped(weight: torch.Tensor, axis: int = 0, most: float = 1.0) -> torch.Tensor:
    """Every filter with an L2 norm of at most `most`."""
    return weight * (most / nonzero(norms(weight, axis))).clamp(max=1)


def clipped(weight: torch.Tensor, axis: int = 0, most: float = 0.01) -> torch.Tensor:
    """Every number within -`most` and `most`."""
    return weight.clamp(-most, most)


def non_negative(weight: torch.Tensor, axis: int = 0) -> torch.Tensor:
    """Every number at least 0."""
    return weight.clamp(min=0)


def within_spectral(weight: torch.Tensor, axis: int = 0, most: float = 1.0) -> torch.Tensor:
    """The whole with a largest singular value of at most `most`, by singular value decomposition."""
    return weight * (most / nonzero(torch.linalg.matrix_norm(matrix(weight, axis), 2))).clamp(max=1)


def norms(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """The L2 norm of every filter, shaped to broadcast; of a vector the norm of the whole."""
    return torch.linalg.vector_norm(weight, dim=_others(weight, axis), keepdim=True)


def _others(weight: torch.Tensor, axis: int) -> list[int]:
    """The axes of one filter; a vector is one."""
    return [i for i in range(weight.dim()) if i != axis or weight.dim() == 1]


def nonzero(x: torch.Tensor) -> torch.Tensor:
    """`x` with 1 for 0: a divisor of what is 0 too."""
    return torch.where(x == 0, 1.0, x)


CONSTRAINTS: Choices = {
    "unit": unit,
    "standardised": standardised,
    "capped": capped,
    "clipped": clipped,
    "non_negative": non_negative,
    "within_spectral": within_spectral,
}


def after(
    optimiser: torch.optim.Optimizer, weights: Iterable[torch.Tensor], project: Callable[[torch.Tensor], torch.Tensor]
) -> RemovableHandle:
    """Replace each of `weights` by what `project` makes of it after every step of `optimiser`; the handle ends it."""
    held = list(weights)

    @torch.no_grad()
    def hook(*_: Any) -> None:
        for weight in held:
            weight.copy_(project(weight))

    return optimiser.register_step_post_hook(hook)
