"""An energy of points in the plane, where the normaliser is a sum over a grid and the likelihood is exact.

Article: https://kexue.fm/archives/6612 (implicit.py has the equations).

    log Z = log sum_grid exp(-U) + log cell,    NLL = E_data U + log Z
    mass of a mode = integral of p over the points nearest to its centre, times the number of modes: 1 is its share

The number: on a ring of 8, NLL -0.5 nats where the uniform law on the box has 2.77, and no mode below 0.7 of its share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import targets
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.energy import model as models
from stages.energy.implicit import Implicit, uniform
from stages.energy.model import Model
from stages.nets import modes
from stages.nets.outliers import auroc

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINT = (2, 1, 1)  # a point as an image


@dataclass(frozen=True)
class Points:
    """Params of the training."""

    mixture: str  # of nets/modes.py
    learning: Implicit


@dataclass(frozen=True)
class EvaluatePoints:
    """Params of the evaluation."""

    grid: int  # points a side
    drawn: int  # fresh data
    seed: int
    data: str  # what the claims say they were measured on
    targets: tuple[Target, ...]


def train(inputs: Inputs, params: Points, out: Path) -> Findings:
    """Energies of a mixture, one a seed, from points drawn anew for every step; `out` as in model.py."""
    batch = params.learning.batch

    def reals(source: torch.Generator) -> torch.Tensor:
        return modes.draw(params.mixture, batch, source).view(batch, *POINT)

    return models.train(reals, POINT, params, inputs.spool, out)


def evaluate(model: Path, inputs: Inputs, params: EvaluatePoints) -> Findings:
    """Likelihood, masses of the modes and AUROC against the uniform law, for each seed."""
    made, found = models.load(model, Points)
    how = made.learning
    source = torch.Generator().manual_seed(params.seed)
    data = modes.draw(made.mixture, params.drawn, source).view(-1, *POINT)
    noise = uniform(params.drawn, POINT, how.descent, source)
    side = torch.linspace(how.descent.low, how.descent.high, params.grid)
    rows, densities = {}, {}
    for seed, one in found.items():
        log_p, log_z = density(one, side)
        with torch.no_grad():
            low, high = one.u(data), one.u(noise)
        least = masses(log_p, side, modes.centres(made.mixture)).min().item()
        rows[seed] = {
            "nll": low.mean().item() + log_z,
            "least_mass": least,
            "auroc_uniform": auroc(low, high),
            "nll_uniform": 2 * math.log(how.descent.high - how.descent.low),
            "temperature": how.descent.temperature,
        }
        densities[seed] = log_p
    first = how.seeds[0]
    figures = {"density": _figure(densities[first], side, found[first].buffer.flatten(1))}
    return Findings(
        targets.summary(rows), targets.judged(rows, params.targets, models.ARTICLE, params.data), figures=figures
    )


@torch.no_grad()
def density(one: Model, side: torch.Tensor) -> tuple[torch.Tensor, float]:
    """log p at all points of the square grid with coordinates `side` [n], as [n, n] by x and y; and log Z."""
    n = len(side)
    log = torch.cat([-one.u(part.view(-1, *POINT)) for part in torch.cartesian_prod(side, side).split(2**16)])
    log_z = torch.logsumexp(log.double(), 0).item() + 2 * math.log(side[1] - side[0])
    return (log - log_z).view(n, n), log_z


def masses(log_p: torch.Tensor, side: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """The mass around each of `centres` [modes, 2] of the density `log_p` [n, n], times modes; [modes]."""
    nearest = torch.cdist(torch.cartesian_prod(side, side), centres).argmin(1)
    mass = torch.zeros(len(centres)).scatter_add_(0, nearest, log_p.flatten().softmax(0))
    return mass * len(centres)


def _figure(log_p: torch.Tensor, side: torch.Tensor, samples: torch.Tensor) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    low, high = side[0].item(), side[-1].item()
    left, right = figure.subplots(1, 2)
    drawn = left.imshow(log_p.T.clamp(min=-10).numpy(), origin="lower", extent=(low, high, low, high))
    figure.colorbar(drawn, ax=left)
    left.set_title("log p, cut at -10")
    right.scatter(*samples.T.numpy(), s=1)
    right.set(title="samples in the buffer", xlim=(low, high), ylim=(low, high), aspect="equal")
    return figure
