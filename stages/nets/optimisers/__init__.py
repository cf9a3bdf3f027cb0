"""Optimisers by name, each `(net, rate) -> torch.optim.Optimizer` with its numbers as its paper or torch has them.

A new one is one entry of OPTIMISERS (and a file with its formula, if torch has none): the benchmark and the tests of
what holds for all take it from there. What stands around an optimiser (Accumulate, Lookahead, Lazy, Scheduled,
WeightDecay, LayerAdaptive: see decorator.py) is an optimiser itself. Heun needs a closure and is not in the table.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from stages.core.params import Choices
from stages.nets.optimisers.accumulate import Accumulate
from stages.nets.optimisers.adafactor import AdaFactor
from stages.nets.optimisers.adax import AdaX
from stages.nets.optimisers.decay import WeightDecay, decayed
from stages.nets.optimisers.decorator import Decorator
from stages.nets.optimisers.heun import Heun
from stages.nets.optimisers.layer_adaptive import LayerAdaptive
from stages.nets.optimisers.lazy import Lazy
from stages.nets.optimisers.lion import Lion
from stages.nets.optimisers.lookahead import Lookahead
from stages.nets.optimisers.rule import Rule
from stages.nets.optimisers.schedule import Scheduled, piecewise
from stages.nets.optimisers.tiger import Tiger, groups

__all__ = [
    "OPTIMISERS", "Accumulate", "AdaFactor", "AdaX", "Decorator", "Heun", "LayerAdaptive", "Lazy", "Lion", "Lookahead",
    "Rule", "Scheduled", "Tiger", "WeightDecay", "decayed", "groups", "piecewise",
]  # fmt: skip

Make = Callable[[nn.Module, float], torch.optim.Optimizer]

DECAY = 0.01  # torch's default of AdamW, for all that have a decay


def _sgd(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), rate)


def _momentum(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), rate, momentum=0.9)


def _nesterov(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), rate, momentum=0.9, nesterov=True)


def _rmsprop(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(net.parameters(), rate)


def _adam(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), rate)


def _adamw(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(decayed(net, DECAY), rate)


def _adafactor(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return AdaFactor(net.parameters(), rate)


def _adax(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return AdaX(net.parameters(), rate)


def _lion(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return Lion(decayed(net, DECAY), rate)


def _tiger(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return Tiger(groups(net, DECAY), rate)


def _lamb(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return LayerAdaptive(torch.optim.AdamW(decayed(net, DECAY), rate, fused=True))


def _lookahead(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return Lookahead(torch.optim.Adam(net.parameters(), rate))


def _warm(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    return Scheduled(torch.optim.Adam(net.parameters(), rate), {100: 1.0})


OPTIMISERS: Choices = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adamw,
    "adafactor": _adafactor,
    "adax": _adax,
    "lion": _lion,
    "tiger": _tiger,
    "lamb": _lamb,
    "lookahead": _lookahead,
    "warm": _warm,
}
