"""Dropout against the laws of its mask, in standard errors; and what a layer that is not linear does to its mean.

Article: https://kexue.fm/archives/4521.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from stages.nets.dropout import dropout, masked

RATES = (0.1, 0.3, 0.5, 0.6, 0.9)
SIZE = 1_000_000
DRAWS = 4000


def measure(seed: int) -> dict[str, float]:
    """Standard errors between masks and their law, values that are kept, forms that differ, means of layers."""
    source = torch.Generator().manual_seed(seed)
    errors, kept_off = [], 0.0
    x = torch.randn(SIZE, generator=source)
    for p in RATES:
        m = dropout(torch.ones(SIZE), p, generator=source)
        share = math.sqrt(p * (1 - p) / SIZE)
        errors += [((m == 0).double().mean().item() - p) / share, (m.double().mean().item() - 1) * (1 - p) / share]
        kept_off = max(kept_off, (m[m > 0].double() - torch.tensor(1 / (1 - p)).double()).abs().max().item())
        squares = (dropout(x, p, generator=source) ** 2 - x**2 / (1 - p)).double()
        of_squares = (x.double() ** 4).mean().item() * ((1 - p) ** -3 - (1 - p) ** -2)  # variance of one of them
        errors.append(squares.mean().item() / math.sqrt(of_squares / SIZE))
    m = dropout(torch.ones(1000, 1000), 0.6, generator=source)
    kept = (torch.rand(1000, 1000, generator=source) >= 0.6).float()
    ours, theirs = masked(m, kept, 0.6).numpy(), masked(m.numpy(), kept.numpy(), 0.6)
    return {
        "standard_errors": max(map(abs, errors)),
        "kept_off": kept_off,
        "variance_at_06": m.double().var().item(),
        "forms_differ": float(np.count_nonzero(ours != theirs)),
        **_layers(source),
    }


def _layers(source: torch.Generator) -> dict[str, float]:
    """Means of a linear and a ReLU layer under dropout, p = 0.5, less what they give without, in standard errors."""
    x, weight = torch.randn(64, generator=source), torch.randn(32, 64, generator=source) / 8
    y = dropout(x.expand(DRAWS, -1), 0.5, generator=source) @ weight.T  # [draws, 32]
    linear, bent = (y - weight @ x).double(), (y.relu() - (weight @ x).relu()).double()
    deviations = [off.mean(0) / (off.std(0) / math.sqrt(DRAWS)) for off in (linear, bent)]
    return {
        "linear_standard_errors": deviations[0].abs().max().item(),
        "relu_shift": bent.mean().item(),
        "relu_least_standard_errors": deviations[1].min().item(),
    }
