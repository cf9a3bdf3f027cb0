"""How near what was written is to what was read, in characters of the same place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.special import gammaln, ive

from stages.nets.vmf import VonMisesFisher

REFERENCES = {(16, 8.0): 1.5335, (16, 32.0): 7.5821, (16, 64.0): 12.0026, (32, 32.0): 7.7747, (64, 64.0): 15.4734}
"""KL in nats of latent and kappa, https://kexue.fm/archives/8404; the cosine is of latent 16, kappa 32."""

COSINE, DRAWS = 0.7899, 100_000


def alike(read: Sequence[str], written: Sequence[str]) -> dict[str, float]:
    """characters: the share of characters that are the same at the same place; exact: of sentences that are.

    What is longer than the other has so many characters wrong.
    """
    right = sum(a == b for x, y in zip(read, written, strict=True) for a, b in zip(x, y, strict=False))
    whole = sum(max(len(x), len(y)) for x, y in zip(read, written, strict=True))
    return {"characters": right / whole, "exact": sum(map(str.__eq__, read, written)) / len(read)}


def divergence(d: int, kappa: float) -> float:
    """KL of a von Mises-Fisher law to the uniform one by Bessel functions, nats; kappa above 0, d not too large."""
    import math

    half, bessel = d / 2 - 1, math.log(ive(d / 2 - 1, kappa)) + kappa
    log_m = gammaln(d / 2) + half * math.log(2 / kappa) + bessel
    return float(kappa * ive(d / 2, kappa) / ive(half, kappa) - log_m)


def references_off() -> float:
    """How far the divergences of our tables are from the five reference values at most, nats."""
    return max(abs(VonMisesFisher(d, kappa).kl().item() - value) for (d, kappa), value in REFERENCES.items())


def cosine_off(chance: torch.Generator) -> float:
    """How far the mean cosine of many draws in 16 dimensions at kappa 32 is from the reference."""
    mu = torch.nn.functional.normalize(torch.ones(1, 16), dim=1)
    z = VonMisesFisher(16, 32.0).draw(mu, DRAWS, chance)[:, 0]
    return abs((z @ mu[0]).mean().item() - COSINE)
