"""Optimisers against formulas, torch's own and large batches, in float64.

Articles: https://kexue.fm/archives/5879, https://kexue.fm/archives/6794, https://kexue.fm/archives/7302,
https://kexue.fm/archives/7387, https://kexue.fm/archives/9512. The formulas, step by step, hold the optimisers in
tests/nets/test_optimisers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import exp, log2

import torch
from torch import nn
from torch.nn import functional

from stages.nets.optimisers import (
    Accumulate,
    AdaFactor,
    AdaX,
    Heun,
    LayerAdaptive,
    Lazy,
    Lion,
    Lookahead,
    Tiger,
    WeightDecay,
    groups,
)
from stages.nets.optimisers import piecewise as schedule

SIZE, STEPS, PARTS, RATE = 12, 10, 4, 0.01
Make = Callable[[nn.Module], torch.optim.Optimizer]
MAKERS: tuple[Make, ...] = (
    lambda net: torch.optim.SGD(net.parameters(), RATE),  # tells sums from means, which Adam hides
    lambda net: torch.optim.SGD(net.parameters(), RATE, momentum=0.9, nesterov=True),
    lambda net: torch.optim.RMSprop(net.parameters(), RATE),
    lambda net: torch.optim.AdamW(net.parameters(), RATE),
    lambda net: AdaFactor(net.parameters(), RATE),
    lambda net: AdaX(net.parameters(), RATE),
    lambda net: Lion(net.parameters(), RATE),
    lambda net: Tiger(groups(net), RATE),
    lambda net: Lookahead(LayerAdaptive(torch.optim.AdamW(net.parameters(), RATE))),
)

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def measure(seed: int) -> dict[str, float]:
    """Largest differences by name, and the order of Heun's method."""
    data = _data(seed)
    return {
        "accumulated": max(accumulated(make, data, seed) for make in MAKERS),
        "uneven_by_count": uneven(data, seed, weighted=True),
        "uneven_by_mean": uneven(data, seed, weighted=False),
        "tiger_without_buffer": tiger(data, seed),
        "adax_of_ones": adax_of_ones(),
        "adafactor_of_rank_1": adafactor_of_rank_1(seed),
        "adafactor_against_torch": against(
            lambda p: AdaFactor(p, RATE), lambda p: torch.optim.Adafactor(p, RATE), seed
        ),
        "decay_against_adamw": against(
            lambda p: WeightDecay(torch.optim.Adam(p, RATE), 0.1),
            lambda p: torch.optim.AdamW(p, RATE, weight_decay=0.1),
            seed,
        ),
        "lazy_against_sparse_adam": lazy(seed),
        "heun_order": heun_order(),
        "schedule": max(
            abs(schedule({10: 1.0, 20: 0.5})(step) - factor)
            for step, factor in {0: 0.0, 5: 0.5, 10: 1.0, 15: 0.75, 20: 0.5, 30: 0.5}.items()
        ),
    }


def accumulated(make: Make, data: list[Batch], seed: int) -> float:
    """How far weights are from those of the large batch, after steps of PARTS micro-batches, dropout given."""
    return _from_large(make, lambda net: Accumulate(make(net), PARTS), data, seed, [SIZE // PARTS] * PARTS)


def uneven(data: list[Batch], seed: int, weighted: bool) -> float:
    """The same of micro-batches of 1, 8 and 3 samples, that count by their samples or alike."""

    def plain(net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(net.parameters(), 0.1)

    return _from_large(plain, lambda net: Accumulate(plain(net), 3), data, seed, [1, 8, 3], weighted)


def tiger(data: list[Batch], seed: int) -> float:
    """How far Tiger with micro-steps of its own is from Tiger with the large batch."""

    def made(net: nn.Module, k: int = 1) -> torch.optim.Optimizer:
        return Tiger(groups(net), RATE, k=k)

    return _from_large(made, lambda net: made(net, PARTS), data, seed, [SIZE // PARTS] * PARTS)


def _from_large(
    large: Make, small: Make, data: list[Batch], seed: int, sizes: list[int], weighted: bool = False
) -> float:
    """How far weights moved by `small`, by micro-batches of these `sizes`, are from those by `large`, by the whole."""
    one, two = _net(seed), _net(seed)
    whole, parts = large(one), small(two)
    for batch in data:
        _gradient(one, batch)
        whole.step()
        for part in zip(*(each.split(sizes) for each in batch), strict=True):
            _gradient(two, part)
            if weighted:
                parts.step(weight=len(part[0]))
            else:
                parts.step()
    return _apart(one, two)


def adax_of_ones() -> float:
    """How far AdaX's second moment of a constant gradient 1 is from 1, at most over 100 steps."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimiser, off = AdaX([weight]), 0.0
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        optimiser.step()
        off = max(off, (optimiser.state[weight]["square"] - 1).abs().item())
    return off


def adafactor_of_rank_1(seed: int) -> float:
    """How far R C / mean(R) is, relatively, from a g^2 of rank 1."""
    source = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(n, 1, generator=source, dtype=torch.float64) + 0.1 for n in (150, 130))
    weight = nn.Parameter(torch.zeros(150, 130, dtype=torch.float64))
    weight.grad = (a * b.T).sqrt()
    optimiser = AdaFactor([weight])
    optimiser.step()
    held = optimiser.state[weight]
    return ((held["row"] * held["column"] / held["row"].mean()) / weight.grad**2 - 1).abs().max().item()


def against(
    ours: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
    theirs: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
    seed: int,
) -> float:
    """How far two optimisers are apart after ten random gradients of a matrix."""
    ends = []
    for make in (ours, theirs):
        source = torch.Generator().manual_seed(seed)
        weight = nn.Parameter(torch.randn(150, 130, generator=source, dtype=torch.float64))
        optimiser = make([weight])
        for _ in range(STEPS):
            weight.grad = torch.randn(150, 130, generator=source, dtype=torch.float64)
            optimiser.step()
        ends.append(weight.detach())
    return (ends[0] - ends[1]).abs().max().item()


def lazy(seed: int) -> float:
    """How far Lazy around Adam is from torch's SparseAdam, on sparse gradients of an embedding."""
    ends = []
    for ours in (True, False):
        source = torch.Generator().manual_seed(seed)
        net = nn.Embedding(20, 3, _weight=torch.randn(20, 3, generator=source, dtype=torch.float64), sparse=True)
        kind = torch.optim.Adam if ours else torch.optim.SparseAdam
        optimiser = kind(net.parameters(), RATE, eps=1e-20)
        optimiser = Lazy(optimiser, net.parameters()) if ours else optimiser
        for _ in range(STEPS):
            optimiser.zero_grad()
            net(torch.randint(20, (5,), generator=source)).square().sum().backward()
            optimiser.step()
        ends.append(net.weight.detach())
    return (ends[0] - ends[1]).abs().max().item()


def heun_order() -> float:
    """log2 of what halving e divides the error by, for d theta / dt = -theta until t = 2."""
    errors = []
    for e in (0.1, 0.05):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimiser = Heun([weight], e)

        def closure(weight: nn.Parameter = weight, optimiser: Heun = optimiser) -> torch.Tensor:
            optimiser.zero_grad()
            loss = (weight**2).sum() / 2
            loss.backward()
            return loss

        for _ in range(round(2 / e)):
            optimiser.step(closure)
        errors.append(abs(weight.item() - exp(-2)))
    return log2(errors[0] / errors[1])


def _data(seed: int) -> list[Batch]:
    """Batches: samples, dropout masks and classes."""
    source = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(STEPS):
        x = torch.randn(SIZE, 5, generator=source, dtype=torch.float64)
        mask = torch.bernoulli(torch.full((SIZE, 8), 0.9, dtype=torch.float64), generator=source) / 0.9
        found.append((x, mask, torch.randint(3, (SIZE,), generator=source)))
    return found


def _net(seed: int) -> nn.ModuleList:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.ModuleList([nn.Linear(5, 8), nn.Linear(8, 3)]).double()


def _gradient(net: nn.ModuleList, batch: Batch) -> None:
    x, mask, classes = batch
    net.zero_grad()
    functional.cross_entropy(net[1](torch.tanh(net[0](x)) * mask), classes).backward()


def _apart(one: nn.Module, two: nn.Module) -> float:
    return max((a - b).abs().max().item() for a, b in zip(one.parameters(), two.parameters(), strict=True))
