"""The check of noise-contrastive estimation: a density whose normaliser is known by integration.

Article: https://kexue.fm/archives/5617.

    p(x) = exp(-a x^2 - b x^4) / Z(a, b),    Z by the trapezoid rule

(a, b) and log Z are estimated by NCE with uniform noise (many data; few data with k = 1 and more), by NCE with normal
noise in the proper and in the article's plain form, and by maximum likelihood with the integrated Z.
The number: log Z = 0.444742 at a = 1, b = 0.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import numpy as np
import torch

from stages.core import files
from stages.core.claims import Claim, Direction, check
from stages.core.systems import Findings, Inputs
from stages.nets import nce
from stages.nets.threads import one_thread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FAR, POINTS = 6.0, 4001  # the grid of integration: exp(-FAR^2) is 2e-16


@dataclass(frozen=True)
class Quartic:
    """Params of the estimation."""

    a: float
    b: float
    edge: float  # uniform noise is on [-edge, edge]
    scale: float  # standard deviation of the normal noise
    negatives: int  # k
    data: int  # of the estimate with most data
    few: int  # of those that compare k = 1 and k, and of those with normal noise
    seeds: int  # of each of those


@dataclass(frozen=True)
class EvaluateQuartic:
    """Params of the evaluation: how far the estimates may be from the truth."""

    within_a: float
    within_b: float
    within_log_z: float
    deviations: float  # of the normal noise's estimates, in standard deviations over seeds
    plain_off: float  # least error of a by the plain form
    data: str  # what the claims say they were measured on


def energy(x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """G(x) = -a x^2 - b x^4 of points [n, 1] and theta = (a, b); [n]."""
    square = x[:, 0].square()
    return -theta[0] * square - theta[1] * square.square()


def log_normaliser(theta: torch.Tensor) -> torch.Tensor:
    """log Z(a, b), differentiable."""
    x = torch.linspace(-FAR, FAR, POINTS, dtype=theta.dtype)
    return torch.trapezoid(torch.exp(energy(x[:, None], theta)), x).log()


def draw(n: int, theta: Sequence[float], seed: int) -> torch.Tensor:
    """`n` points of p by the inverse of its integrated distribution; [n, 1] float64."""
    x = np.linspace(-FAR, FAR, 40 * POINTS)
    density = np.exp(-theta[0] * x**2 - theta[1] * x**4)
    uniform = np.random.default_rng(seed).random(n)
    below = np.cumsum(density) - density / 2
    return torch.from_numpy(np.interp(uniform, below / density.sum(), x))[:, None]


def by_nce(data: torch.Tensor, noise: nce.Noise, k: int, seed: int, form: str = "proper") -> dict[str, float]:
    """a, b and log Z by noise-contrastive estimation, with the overlaps."""
    theta = torch.zeros(2, dtype=data.dtype, requires_grad=True)
    found = nce.estimate(lambda x: energy(x, theta), [theta], data, noise, k, seed, form)
    a, b = theta.tolist()
    return {"a": a, "b": b, "log_z": found.log_z, "on_data": found.on_data, "on_noise": found.on_noise}


def by_likelihood(data: torch.Tensor) -> dict[str, float]:
    """a, b and log Z by maximum likelihood: of mean G(x) - log Z."""
    theta = torch.tensor([0.5, 0.1], dtype=data.dtype, requires_grad=True)
    moments = torch.stack([-data.square().mean(), -data.pow(4).mean()])
    optimiser = torch.optim.LBFGS([theta], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = log_normaliser(theta) - theta @ moments
        value.backward()
        return value

    optimiser.step(closure)
    a, b = theta.tolist()
    return {"a": a, "b": b, "log_z": log_normaliser(theta).item()}


def train(inputs: Inputs, params: Quartic, out: Path) -> Findings:
    """Make all the estimates, in `out`/model.json: {"many": {...}, "likelihood": {...}, "one": [a row a seed], ...}."""
    truth, k = (params.a, params.b), params.negatives
    box = nce.Uniform(*(torch.tensor([side * params.edge], dtype=torch.float64) for side in (-1, 1)))
    normal = nce.Normal(*(torch.tensor([value], dtype=torch.float64) for value in (0.0, params.scale)))
    many = draw(params.data, truth, 0)
    few = {seed: draw(params.few, truth, seed) for seed in range(1, params.seeds + 1)}
    with one_thread():
        found = {
            "many": by_nce(many, box, k, 0),
            "likelihood": by_likelihood(many),
            "one": [by_nce(data, box, 1, seed) for seed, data in few.items()],
            "more": [by_nce(data, box, k, seed) for seed, data in few.items()],
            "normal": [by_nce(data, normal, k, seed) for seed, data in few.items()],
            "plain": [by_nce(data, normal, 1, seed, "plain") for seed, data in few.items()],
        }
    files.write_json({"params": asdict(params), "estimates": found}, out / "model.json")
    return Findings(metrics={name: found["many"][name] for name in ("a", "b", "log_z")})


def evaluate(model: Path, inputs: Inputs, params: EvaluateQuartic) -> Findings:
    """Hold the estimates against the truth."""
    made = files.read_json(Path(model) / "model.json")
    settings, found = made["params"], made["estimates"]
    truth = {name: settings[name] for name in ("a", "b")}
    truth["log_z"] = log_normaliser(torch.tensor([truth["a"], truth["b"]], dtype=torch.float64)).item()
    many, likelihood, more = found["many"], found["likelihood"], f"k = {settings['negatives']}"
    runs = {name: Runs.of(found[name]) for name in ("one", "more", "normal", "plain")}
    within = {"a": params.within_a, "b": params.within_b, "log_z": params.within_log_z}

    def claim(text: str, how: str, value: float, target: float, direction: Direction = "at most") -> Claim:
        return check(5617, text, how, value, target, direction, params.data)

    claims = []
    for key, most in within.items():
        how = f"{settings['data']} data, uniform noise, {more}"
        claims.append(claim(f"error of {key} by NCE", how, abs(many[key] - truth[key]), most))
        text = f"difference of {key} by NCE and by maximum likelihood"
        claims.append(claim(text, how, abs(many[key] - likelihood[key]), most))
    how = f"{settings['seeds']} seeds of {settings['few']} data"
    ratio = runs["more"].deviation["log_z"] / runs["one"].deviation["log_z"]
    claims.append(claim(f"deviation of log Z with {more} over that with k = 1", how, ratio, 1.0))
    for key in ("a", "b"):
        off = abs(runs["normal"].mean[key] - truth[key]) / runs["normal"].deviation[key]
        claims.append(
            claim(f"error of {key} with normal noise, in deviations", f"mean of {how}", off, params.deviations)
        )
    off = abs(runs["plain"].mean["a"] - truth["a"])
    claims.append(
        claim("error of a without log k U(x)", f"mean of {how}, normal noise", off, params.plain_off, "at least")
    )
    metrics = {"log_z_true": truth["log_z"]} | {f"nce_{key}": value for key, value in many.items()}
    metrics |= {f"likelihood_{key}": value for key, value in likelihood.items()}
    metrics |= {f"deviation_{key}_{name}": run.deviation[key] for name, run in runs.items() for key in truth}
    return Findings(metrics, claims, figures={"density": _figure(truth, many, runs["plain"].mean)})


@dataclass(frozen=True)
class Runs:
    """Mean and standard deviation over seeds of a, b and log_z."""

    mean: dict[str, float]
    deviation: dict[str, float]

    @classmethod
    def of(cls, rows: list[dict[str, float]]) -> Runs:
        """Of the estimates `rows`, one a seed."""
        columns = {key: [row[key] for row in rows] for key in ("a", "b", "log_z")}
        return cls({k: fmean(v) for k, v in columns.items()}, {k: stdev(v) for k, v in columns.items()})


def _figure(truth: dict[str, float], proper: dict[str, float], plain: dict[str, float]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    x = np.linspace(-3, 3, 301)
    for name, law, line in (("true", truth, "-"), ("NCE", proper, "--"), ("without log k U", plain, ":")):
        axes.plot(x, np.exp(-law["a"] * x**2 - law["b"] * x**4 - law["log_z"]), line, label=name)
    axes.set(xlabel="x", ylabel="exp(G(x) - log Z)", title="A density from data and noise")
    axes.legend()
    return figure
