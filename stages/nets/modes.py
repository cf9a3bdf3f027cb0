"""Where modes can be counted: Gaussians in a ring and on a grid, and digits stacked as three channels.

Setting: Kumar et al. 2019 (https://arxiv.org/abs/1901.08508) and its code; https://kexue.fm/archives/6331.

    ring   8 centres on a circle of radius 2, deviation 0.02, all / 1.414
    grid   5 x 5 centres 2 apart, deviation 0.05, all / 2.828
    stack  three digits drawn at random: 1000 modes, one for each triple
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from stages.core.params import Choices, choose
from stages.nets.quality import distances

if TYPE_CHECKING:
    from stages.nets.features import Judge

NEAR = 0.1  # of a centre
HIT = 0.002  # least share of samples near a centre


@dataclass(frozen=True)
class Mixture:
    """Equal normals at `centres` [modes, 2] with standard deviation `deviation`."""

    centres: torch.Tensor
    deviation: float


def ring() -> Mixture:
    """The first centre to the right, the others counterclockwise."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    return Mixture(2 * torch.stack([angle.cos(), angle.sin()], 1) / 1.414, 0.02 / 1.414)


def square() -> Mixture:
    """The 25 centres row by row."""
    side = torch.arange(-4.0, 5.0, 2.0)
    return Mixture(torch.cartesian_prod(side, side) / 2.828, 0.05 / 2.828)


MIXTURES: Choices = {"ring": ring, "grid": square}


def centres(name: str) -> torch.Tensor:
    """The centres [modes, 2] of a mixture; raises `Refusal` that lists the names."""
    return choose(MIXTURES, name, "mixture")().centres


def draw(name: str, n: int, generator: torch.Generator) -> torch.Tensor:
    """`n` points [n, 2] of a mixture, on the generator's device."""
    mixture, device = choose(MIXTURES, name, "mixture")(), generator.device
    at = mixture.centres.to(device)
    rows = torch.randint(len(at), (n,), generator=generator, device=device)
    return at[rows] + mixture.deviation * torch.randn(n, 2, generator=generator, device=device)


def scores(name: str, samples: torch.Tensor, fresh: torch.Tensor) -> dict[str, float]:
    """How `samples` [n, 2] cover a mixture of which `fresh` [m, 2] are true draws.

    modes: centres with more than 0.2 % of all samples within 0.1; hq, hq3s: share of samples within 0.1 and within
    3 deviations of a centre; mode_kl: of the histogram of nearest centres to the uniform one, nats; energy_distance.
    """
    mixture = choose(MIXTURES, name, "mixture")()
    at = mixture.centres.to(samples)
    distance, nearest = (samples[:, None] - at).norm(dim=2).min(1)  # [n]
    near = torch.bincount(nearest[distance <= NEAR], minlength=len(at)) / len(samples)
    return {
        "modes": float((near > HIT).sum()),
        "hq": (distance <= NEAR).double().mean().item(),
        "hq3s": (distance <= 3 * mixture.deviation).double().mean().item(),
        "mode_kl": _to_uniform(torch.bincount(nearest, minlength=len(at))),
        "energy_distance": energy_distance(samples, fresh),
    }


def energy_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| of samples [n, d] and [m, d], unbiased: near 0 for the same law, or below."""

    def mean(a: torch.Tensor, b: torch.Tensor, pairs: int) -> torch.Tensor:
        return torch.stack([d.sum(dtype=torch.float64) for d in distances(a, b)]).sum() / pairs

    n, m = len(x), len(y)
    return (2 * mean(x, y, n * m) - mean(x, x, n * (n - 1)) - mean(y, y, m * (m - 1))).item()


def stacked(images: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
    """`n` images [n, 3, height, width], each channel one of grey `images` [m, 1, height, width] at random."""
    rows = torch.randint(len(images), (3 * n,), generator=generator, device=images.device)
    return images[rows].reshape(n, 3, *images.shape[2:])


def triples(judge: Judge, fakes: torch.Tensor) -> dict[str, float]:
    """How `fakes` [n, 3, height, width] in [0, 1] cover the triples of the classes that `judge` sees in the channels.

    triples: how many there are; triple_kl: of their histogram to the uniform one, nats. Of perfect samples the latter
    is about (modes - 1) / 2n, not 0: 0.02 for 1000 modes and 25,600 samples.
    """
    probabilities = judge.probabilities(fakes.flatten(0, 1)[:, None])  # [3 n, classes]
    size = probabilities.shape[1]
    first, second, third = probabilities.argmax(1).reshape(-1, 3).unbind(1)
    counts = torch.bincount((first * size + second) * size + third, minlength=size**3)
    return {"triples": float((counts > 0).sum()), "triple_kl": _to_uniform(counts)}


def _to_uniform(counts: torch.Tensor) -> float:
    """KL in nats of the histogram `counts` [modes] to the uniform one: log modes less its entropy."""
    share = counts.double() / counts.sum()
    return math.log(len(counts)) + torch.xlogy(share, share).sum().item()
