"""The gradient cache against the gradient of the whole batch, and the article's h~ against that of its loss.

Article: https://kexue.fm/archives/8471.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from stages.nets.contrast import info_nce, weights_of_others
from stages.nets.gradient_cache import cached_step

BATCH, CHUNK = 24, 5
LOSS = partial(info_nce, temperature=0.1)


def measure(seed: int) -> dict[str, float]:
    """Relative distances from the gradient of the whole batch, and the largest distance of h~ from its own."""
    exact = _net(seed, 0.0).double()
    dropped = _net(seed, 0.1)
    source = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(BATCH, 6, generator=source, dtype=torch.float64) for _ in range(2))
    whole, wet = _whole(exact, x, y, seed), _whole(dropped, x.float(), y.float(), seed)
    return {
        "cached": _off(_cached(exact, x, y, seed), whole),
        "cached_with_dropout": _off(_cached(dropped, x.float(), y.float(), seed), wet),
        "other_dropout": _off(_whole(dropped, x.float(), y.float(), seed + 1), wet),
        "small_batches": _off(_summed(exact, x, y), whole),
        "h_tilde": h_tilde(x),
    }


def h_tilde(h: torch.Tensor) -> float:
    """How far (p + p' - 2 t) h is from the gradient of the article's loss of inner products."""
    h = h.clone().requires_grad_()
    partner = torch.arange(len(h), device=h.device).roll(len(h) // 2)
    scores = h @ h.T
    itself = torch.eye(len(h), dtype=torch.bool, device=h.device)
    functional.cross_entropy(scores.masked_fill(itself, -torch.inf), partner, reduction="sum").backward()
    return (weights_of_others(scores.detach(), partner) @ h.detach() - h.grad).abs().max().item()


def _net(seed: int, dropout: float) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 5))


def _whole(net: nn.Module, x: torch.Tensor, y: torch.Tensor, seed: int) -> torch.Tensor:
    """The gradient of the whole batch, its chunks encoded in order so that dropout is drawn as with the cache."""
    net.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LOSS(*(torch.cat([net(part) for part in rows.split(CHUNK)]) for rows in (x, y))).backward()
    return _gradient(net)


def _cached(net: nn.Module, x: torch.Tensor, y: torch.Tensor, seed: int) -> torch.Tensor:
    net.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cached_step([net, net], [x, y], LOSS, CHUNK)
    return _gradient(net)


def _summed(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean gradient of the losses of chunks, which is another thing."""
    net.zero_grad()
    for a, b in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        (LOSS(net(a), net(b)) * len(a) / len(x)).backward()
    return _gradient(net)


def _gradient(net: nn.Module) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in net.parameters()])


def _off(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()
