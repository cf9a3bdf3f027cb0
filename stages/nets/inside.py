"""Losses and metrics that a model registers inside itself, outputs of its parts, and a training that asks for no more.

Articles: https://kexue.fm/archives/6311 (losses and metrics), https://kexue.fm/archives/6575 (outputs of any part).

    class Autoencoder(Inside):
        def forward(self, x):
            z = self.encoder(x)
            self.add_loss("square", (self.decoder(z) - x).square().mean())
            self.add_metric("code", z.square().sum(1).mean())

    loss, metrics = registered(model, x)        loss = Σ weight loss, over all parts of the model that register any

Everything, targets too, goes in as input; there are outputs only where they are wanted. The number: fifty steps leave
the weights of the same loss computed outside, within 1e-12 in float64 (systems row `nets_theory`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from stages.core.errors import Refusal


@dataclass
class Metric:
    """A number that says how it adds up over batches."""

    value: torch.Tensor
    mode: str


class Inside(nn.Module):
    """A module that may register losses and metrics while it computes; what came of them: `registered`."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: dict[str, torch.Tensor] = {}
        self.metrics: dict[str, Metric] = {}

    def add_loss(self, name: str, value: torch.Tensor, weight: float = 1.0) -> None:
        """Add `weight` times `value`, a scalar, to what is minimised, and `value` to the metrics."""
        self.add_metric(name, value)
        if torch.is_grad_enabled() and not value.requires_grad:
            raise Refusal(f"the loss '{name}' depends on nothing that is trained: make it a metric, or mend its graph")
        self.losses[name] = weight * value

    def add_metric(self, name: str, value: torch.Tensor, mode: str = "mean") -> None:
        """Keep `value`, a scalar, apart from the graph; over batches it is a mean, the last, a sum or the largest."""
        if value.numel() != 1:
            raise Refusal(f"'{name}' is a tensor of shape {tuple(value.shape)}: losses and metrics are single numbers")
        if mode not in MODES:
            raise Refusal(f"the metric '{name}' has the mode '{mode}'; choices: {', '.join(MODES)}")
        self.metrics[name] = Metric(value.detach().reshape(()), mode)


def registered(model: nn.Module, *inputs: Any, **named: Any) -> tuple[torch.Tensor, dict[str, Metric]]:
    """The loss, a scalar, and the metrics that `model` registers on these inputs; what it had before is forgotten.

    A part's names follow its own, as in "encoder.code". Raises `Refusal` where no loss is registered.
    """
    parts = {name: part for name, part in model.named_modules() if isinstance(part, Inside)}
    for part in parts.values():
        part.losses, part.metrics = {}, {}
    model(*inputs, **named)
    losses = [loss for part in parts.values() for loss in part.losses.values()]
    if not losses:
        raise Refusal(f"{type(model).__name__} registered no loss: call add_loss in its forward")
    metrics = {f"{at}.{name}".lstrip("."): m for at, part in parts.items() for name, m in part.metrics.items()}
    loss = torch.stack([loss.reshape(()) for loss in losses]).sum()
    for part in parts.values():
        part.losses, part.metrics = {}, {}  # a graph that nobody needs any more must not stay
    return loss, metrics


def train_step(model: nn.Module, optimiser: torch.optim.Optimizer, *inputs: Any) -> dict[str, torch.Tensor]:
    """One step of training, as `training.fit` takes it: the loss and the metrics by name, on the device."""
    loss, metrics = registered(model, *inputs)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return {"loss": loss.detach()} | {name: metric.value for name, metric in metrics.items()}


def _mean(values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return values @ counts / counts.sum()


MODES = {
    "mean": _mean,
    "last": lambda values, counts: values[-1],
    "sum": lambda values, counts: values.sum(),
    "max": lambda values, counts: values.max(),
}
"""What becomes of the values of batches [n], given their numbers of samples [n]."""


@dataclass
class Averages:
    """Metrics over batches; nothing waits for the device before `result`."""

    values: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)

    def add(self, metrics: Mapping[str, Metric], count: int) -> None:
        """The metrics of a batch of `count` samples."""
        for name, metric in metrics.items():
            self.values.setdefault(name, []).append(metric.value)
            self.counts.setdefault(name, []).append(count)
            self.modes[name] = metric.mode

    def result(self) -> dict[str, float]:
        """A number a metric: means are weighted by the sizes of the batches."""
        found = {}
        for name, values in self.values.items():
            counts = torch.tensor(self.counts[name], dtype=torch.float64)
            found[name] = MODES[self.modes[name]](torch.stack(values).cpu().double(), counts).item()
        return found


@torch.no_grad()
def measured(model: nn.Module, batches: Iterable[Sequence[torch.Tensor]]) -> dict[str, float]:
    """The metrics of `model` over `batches`, each the inputs of one call; it is left as it was."""
    modes, averages = {part: part.training for part in model.modules()}, Averages()
    model.eval()
    for inputs in batches:
        averages.add(registered(model, *inputs)[1], len(inputs[0]))
    for part, mode in modes.items():
        part.training = mode
    return averages.result()


@contextmanager
def capture(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The newest outputs of the parts `names` ("encoder.0"), with their graphs, while the block lasts.

    Raises `Refusal` for a name that no part has. The hooks go with the block; what was captured, with the dictionary.
    """
    parts = dict(model.named_modules())
    if wrong := [name for name in names if name not in parts]:
        raise Refusal(f"the model has no part '{wrong[0]}' to capture; it has: {', '.join(filter(None, parts))}")
    found: dict[str, Any] = {}

    def keep(name: str) -> Any:
        return lambda part, inputs, output: found.__setitem__(name, output)

    handles = [part.register_forward_hook(keep(name)) for name, part in parts.items() if name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
