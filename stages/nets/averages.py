"""The average of weights over a training, for evaluation.

Article: https://kexue.fm/archives/6575; paper: Polyak & Juditsky 1992 (https://doi.org/10.1137/0330046).

    w <- a w + (1 - a) w_now,    from the w that the training starts with;  after n steps
    w = a^n w_0 + Σ (1 - a) a^(n - i) w_i

The training does not notice. The number: equal to the sum within 1e-12 in float64 (systems row `nets_theory`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from stages.core.params import choose

Tensors = list[torch.Tensor]


def _copied(own: Tensors, now: Tensors, rate: float | torch.Tensor) -> None:
    torch._foreach_copy_(own, now)


def _averaged(own: Tensors, now: Tensors, rate: float | torch.Tensor) -> None:
    """Those that are real numbers; counts are copied."""
    for numbers in (True, False):
        pairs = [(a, b) for a, b in zip(own, now, strict=True) if a.is_floating_point() == numbers]
        if pairs:
            (_moved if numbers else _copied)(*map(list, zip(*pairs, strict=True)), rate)


def _moved(own: Tensors, now: Tensors, rate: float | torch.Tensor) -> None:
    """own + rate (now - own)."""
    if isinstance(rate, float):
        torch._foreach_lerp_(own, now, rate)
    else:
        steps = torch._foreach_sub(now, own)
        torch._foreach_mul_(steps, rate)
        torch._foreach_add_(own, steps)


BUFFERS = {"copied": _copied, "averaged": _averaged}
"""What becomes of buffers, such as the statistics of batch norm."""


class Average(nn.Module):
    """A copy of a module whose weights follow it as an exponential moving average.

    With `warm` the decay is min(a, (1 + t) / (10 + t)) at step t: young averages forget the start faster. The state,
    the count of steps included, is that of a module.
    """

    def __init__(self, module: nn.Module, decay: float, buffers: str = "copied", warm: bool = False) -> None:
        super().__init__()
        self.module, self.decay = copy.deepcopy(module).requires_grad_(False).eval(), decay
        self.of_buffers = choose(BUFFERS, buffers, "buffers of an average")
        device = next(module.parameters()).device
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64, device=device) if warm else None)

    def _rate(self) -> float | torch.Tensor:
        """1 - a of this step; on the device where it changes, so that nothing waits."""
        if self.steps is None:
            return 1 - self.decay
        self.steps += 1
        return 1 - ((1 + self.steps) / (10 + self.steps)).clamp(max=self.decay)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards `module`, after each step of its optimiser."""
        rate = self._rate()
        _moved(list(self.module.parameters()), list(module.parameters()), rate)
        if buffers := list(self.module.buffers()):
            self.of_buffers(buffers, list(module.buffers()), rate)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """`module` with the averaged weights and buffers while the block lasts, then with its own, bit by bit."""
        with torch.no_grad():
            own = [tensor for part in (module.parameters(), module.buffers()) for tensor in part]
            kept = [tensor.clone() for tensor in own]
            torch._foreach_copy_(own, [*self.module.parameters(), *self.module.buffers()])
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(own, kept)

    def train(self, mode: bool = True) -> Average:
        """Stays as in evaluation."""
        return self

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """What the averaged module makes of `inputs`."""
        return self.module(*inputs)
