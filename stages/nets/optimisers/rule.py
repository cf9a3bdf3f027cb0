"""What our own optimisers have in common: a file holds the formula of one, and this is the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from stages.core.errors import Refusal

CACHED = 2**16  # numbers of a weight


class Rule(torch.optim.Optimizer):
    """An optimiser that is one formula over lists of tensors: a child has `fresh` and `update`.

    Each weight's state holds `step`, the gradients it has had. Raises `Refusal` for a rate below 0 and for a sparse
    gradient, which needs the decorator `Lazy`.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        for name in ("lr", "weight_decay"):
            if not defaults.get(name, 0.0) >= 0:
                raise Refusal(f"{name} of {type(self).__name__} is {defaults[name]}: it must be 0 or more")
        for name, value in defaults.items():
            if name.startswith("beta") and not 0 <= value < 1:
                raise Refusal(f"{name} of {type(self).__name__} is {value}: it must lie in 0..1, below 1")
        super().__init__(params, defaults)

    def fresh(self, weight: torch.Tensor, group: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The state of a weight before its first step."""
        raise NotImplementedError

    def update(
        self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor], states: list[dict]
    ) -> None:
        """Move `weights` in place; `states` are theirs, with `step` from 1 on."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """One step of all weights that have a gradient; returns what `closure`, called first, gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if any(weight.grad.is_sparse for weight in weights):
                raise Refusal(f"{type(self).__name__} takes no sparse gradients: put it into Lazy")
            for weight in weights:
                state = self.state[weight]
                if not state:
                    state.update(self.fresh(weight, group), step=0)
                state["step"] = int(state["step"]) + 1
            for part in _apart(weights):
                self.update(group, part, [weight.grad for weight in part], [self.state[weight] for weight in part])
        return loss


def _apart(weights: list[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """All at once on a GPU, where calls cost; on the CPU as many as its cache holds until they are done."""
    part, size = [], 0
    for weight in weights:
        if part and weight.is_cpu and size + weight.numel() > CACHED:
            yield part
            part, size = [], 0
        part.append(weight)
        size += weight.numel()
    if part:
        yield part


def zeros(weight: torch.Tensor) -> torch.Tensor:
    """Zeros that lie in memory as `weight` does."""
    return torch.zeros_like(weight, memory_format=torch.preserve_format)
