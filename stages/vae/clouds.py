"""The cloud that codes make: how round and how filled it is, and what to draw from where no prior holds it.

Article: https://kexue.fm/archives/7725. Codes of an autoencoder are points that may lie anyhow, those of a VAE
are ellipses that fill the unit ball.

    moment        mean over x and j of mu_j^2 + sigma_j^2, 1 for a VAE
    correlation   mean over i < j of |corr(mu_i, mu_j)|, 0 for a VAE
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from stages.nets.codes import Gaussian
from stages.nets.posteriors import Head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

SHOWN = 200  # ellipses


def correlation(mu: torch.Tensor) -> float:
    """The mean of |correlation| of two numbers of codes `mu` [n, latent]; nan for one number."""
    if mu.shape[1] == 1:
        return math.nan
    each = torch.corrcoef(mu.double().T).abs()
    rows, columns = torch.triu_indices(*each.shape, offset=1)
    return each[rows, columns].nanmean().item()  # an idle number that is the same for all correlates with none


def moment(code: Gaussian) -> float:
    """The mean of mu_j^2 + sigma_j^2."""
    return (code.mu.square() + code.sigma.square()).double().mean().item()


def draws(head: Head, regulariser: str, mu: torch.Tensor, n: int, source: torch.Generator) -> torch.Tensor:
    """`n` draws [n, latent] of the prior of `head`.

    With regulariser none, which holds codes to no prior, of normal laws with the mean and the deviation of each number
    of the codes `mu` [m, latent].
    """
    z = head.prior(n, source)
    return mu.mean(0) + mu.std(0) * z if regulariser == "none" else z


def ellipses(codes: Mapping[str, Gaussian]) -> Figure:
    """mu +- sigma of some codes in their first two numbers, over the unit circle, a panel a name."""
    from matplotlib.collections import EllipseCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    figure = Figure(figsize=(3 * len(codes), 3), layout="constrained")
    for axes, (name, code) in zip(figure.subplots(1, len(codes), squeeze=False)[0], codes.items(), strict=True):
        mu, sigma = (part[:SHOWN, :2].float().cpu().numpy() for part in (code.mu, code.sigma))
        style = {"facecolors": "none", "edgecolors": "C0", "linewidths": 0.5, "units": "xy"}
        place = {"offsets": mu, "transOffset": axes.transData}
        axes.add_collection(EllipseCollection(2 * sigma[:, 0], 2 * sigma[:, 1], 0, **style, **place))
        axes.plot(mu[:, 0], mu[:, 1], ".", markersize=2, color="C0")
        axes.add_patch(Circle((0, 0), 1, fill=False, color="C3"))
        axes.set(title=name)
        axes.set_aspect("equal", adjustable="datalim")
    return figure
