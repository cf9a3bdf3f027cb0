"""Likelihoods q(x|z) of images in [0, 1]: what a decoder's numbers say, in nats summed over pixels.

Article: https://kexue.fm/archives/5343; papers: Kingma & Welling 2013 (https://arxiv.org/abs/1312.6114),
Kingma et al. 2016, appendix C (https://arxiv.org/abs/1606.04934).

    bernoulli         x log s(o) + (1 - x) log s(-o), for pixels 0 or 1
    gaussian          N(o, sigma^2) with sigma as given, or learned: one for all, or one a pixel
    logistic          s((x + 1/510 - o) / r) - s((x - 1/510 - o) / r); level 0 has all below it, level 255 all above
    categorical       softmax over the 256 levels

Gaussians are densities of x in [0, 1], the others probabilities of levels: their nats do not compare.
The number: over all levels the last two sum to 1 to 1e-5, wherever o lies (tests/vae/test_likelihoods.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import softplus

from stages.core.errors import Refusal
from stages.core.params import Choices, choose

LEVELS = 256
LEAST = 1 / LEVELS
"""The smallest sigma or r that is learned: a level. Pixels that never change would have none."""


@dataclass(frozen=True)
class Likelihood:
    """A decoder's likelihood."""

    kind: str
    sigma: float  # of the Gaussians: as it is, or where learning begins


class Bernoulli(nn.Module):
    """Pixels 0 or 1; grey ones count as that share of 1."""

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()

    def channels(self, c: int) -> int:
        """What the decoder must give for images of `c` channels."""
        return c

    def log_prob(self, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """[...] nats of `x` [n, c, h, w] by the decoder's `out` [..., n, channels, h, w]; [..., n]."""
        return _whole(x * out - softplus(out))

    def mean(self, out: torch.Tensor) -> torch.Tensor:
        """The image [..., c, h, w] in [0, 1] that `out` stands for."""
        return out.sigmoid()


class Normal(nn.Module):
    """N(out, sigma^2), sigma fixed."""

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        if not likelihood.sigma > LEAST:
            raise Refusal(f"params.yaml: likelihood.sigma is {likelihood.sigma}, but it must be above {LEAST:.4f}")
        self.sigma = likelihood.sigma

    def channels(self, c: int) -> int:
        """As in `Bernoulli`, and so below."""
        return c

    def scale(self, out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sigma."""
        return out, out.new_full((), self.sigma)

    def log_prob(self, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Nats."""
        mean, sigma = self.scale(out)
        return _whole(-((x - mean) / sigma).square() / 2 - sigma.log() - math.log(2 * math.pi) / 2)

    def mean(self, out: torch.Tensor) -> torch.Tensor:
        """The image."""
        return self.scale(out)[0].clamp(0, 1)


class NormalLearned(Normal):
    """One sigma for all pixels, learned."""

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__(likelihood)
        self.log_sigma = nn.Parameter(torch.tensor(math.log(likelihood.sigma - LEAST)))

    def scale(self, out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sigma."""
        return out, LEAST + self.log_sigma.exp()


class NormalByPixel(Normal):
    """A sigma for every pixel, from the decoder."""

    def channels(self, c: int) -> int:
        """Means and scales."""
        return 2 * c

    def scale(self, out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sigma."""
        mean, log_sigma = out.chunk(2, dim=-3)
        return mean, LEAST + (log_sigma + math.log(self.sigma)).exp()


class Logistic(nn.Module):
    """A logistic law cut into the 256 levels; with D the width of a level over r,

    log(s(a) - s(a - D)) = log s(a) + log s(D - a) + log(1 - exp(-D)), which never takes the logarithm of 0.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        if not likelihood.sigma > LEAST:
            raise Refusal(f"params.yaml: likelihood.sigma is {likelihood.sigma}, but it must be above {LEAST:.4f}")
        self.sigma = likelihood.sigma  # where r begins

    def channels(self, c: int) -> int:
        """Places and scales."""
        return 2 * c

    def log_prob(self, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Nats."""
        place, log_r = out.chunk(2, dim=-3)
        r = LEAST + (log_r + math.log(self.sigma)).exp()
        above = (x + 0.5 / (LEVELS - 1) - place) / r
        below = (x - 0.5 / (LEVELS - 1) - place) / r
        under, over = -softplus(-above), -softplus(below)  # log P of all up to the level, of all from it on
        inside = under + over + torch.log(-torch.expm1(below - above))
        level = (x * (LEVELS - 1)).round()
        return _whole(torch.where(level <= 0, under, torch.where(level >= LEVELS - 1, over, inside)))

    def mean(self, out: torch.Tensor) -> torch.Tensor:
        """The law's middle, cut to [0, 1]: its median."""
        return out.chunk(2, dim=-3)[0].clamp(0, 1)


class Categorical(nn.Module):
    """A probability for each of the 256 levels: dear, but of any shape."""

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()

    def channels(self, c: int) -> int:
        """A number a level."""
        return LEVELS * c

    def _logits(self, out: torch.Tensor) -> torch.Tensor:
        return out.unflatten(-3, (LEVELS, -1)).log_softmax(-4)  # [..., 256, c, h, w]

    def log_prob(self, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Nats."""
        logits = self._logits(out)
        level = (x * (LEVELS - 1)).round().long().unsqueeze(-4).expand(*logits.shape[:-4], 1, *x.shape[-3:])
        return _whole(logits.gather(-4, level).squeeze(-4))

    def mean(self, out: torch.Tensor) -> torch.Tensor:
        """The expected level."""
        levels = torch.linspace(0, 1, LEVELS, device=out.device, dtype=out.dtype)
        return torch.einsum("...lchw,l->...chw", self._logits(out).exp(), levels)


LIKELIHOODS: Choices = {
    "bernoulli": Bernoulli,
    "gaussian": Normal,
    "gaussian_learned": NormalLearned,
    "gaussian_pixel": NormalByPixel,
    "logistic": Logistic,
    "categorical": Categorical,
}


def make(likelihood: Likelihood) -> nn.Module:
    """The module of `likelihood`; raises `Refusal` for an unknown kind or a sigma below a level."""
    return choose(LIKELIHOODS, likelihood.kind, "likelihood.kind")(likelihood)


def _whole(pixels: torch.Tensor) -> torch.Tensor:
    """The sum over channels, height and width."""
    return pixels.sum((-3, -2, -1))
