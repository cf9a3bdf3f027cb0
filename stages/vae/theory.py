"""What is known of VAEs on paper, held against the parts of this family: exact likelihoods, divergences, the sphere.

Articles: https://kexue.fm/archives/5343, https://kexue.fm/archives/7381, https://kexue.fm/archives/8404.

    linear VAE      its best ELBO is the likelihood of probabilistic PCA (linear.py)
    IWAE            with many draws is log q(x), also where the encoder is wrong
    KL(p || q)      each formula is the integral of p log(p / q)

The numbers: the trained likelihood is within 0.01 nats of PCA's and the axes within 2 degrees; E w and KL of von
Mises-Fisher laws are those of quadrature to 1e-6, and the mean of a million draws to 0.001.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import integrate, linalg, special

from stages.core import tables
from stages.core.claims import Claim, check
from stages.core.systems import Findings, Inputs
from stages.nets import posteriors
from stages.nets.posteriors import Posterior
from stages.nets.threads import one_thread
from stages.nets.vmf import VonMisesFisher
from stages.vae import bounds
from stages.vae.linear import Linear, learn, principal

if TYPE_CHECKING:
    import pyarrow as pa

VAE, BN, SPHERE = 5343, 7381, 8404
FEATURES = 64  # random features a head's KL is taken of


@dataclass(frozen=True)
class Law:
    """A von Mises-Fisher law."""

    d: int
    kappa: float


@dataclass(frozen=True)
class Theory:
    """Params of the computation."""

    points: int
    dims: int
    latent: int
    sigma: float  # of the noise in the data
    steps: int
    rate: float  # falls to 0
    draws: int  # of a step, for each point
    importance: tuple[int, ...]  # numbers of draws of IWAE
    posteriors: tuple[Posterior, ...]
    laws: tuple[Law, ...]
    drawn: int
    seed: int


@dataclass(frozen=True)
class EvaluateTheory:
    """Params of the evaluation: how near is near, and what the specification says of laws, as (d, kappa, value)."""

    within_nats: float
    degrees: float
    within_kl: float
    within_quadrature: float
    within_table: float
    kls: tuple[tuple[int, float, float], ...]
    means: tuple[tuple[int, float, float], ...]


def train(inputs: Inputs, params: Theory, out: Path) -> Findings:
    """Compute all of it; writes `out`/{linear,importance,divergences,laws}.parquet."""
    import pyarrow as pa

    with one_thread():
        linear, importance = _linear(params)
        tables.write(pa.table({"name": list(linear), "value": list(linear.values())}), out / "linear.parquet")
        tables.write(importance, out / "importance.parquet")
        gaps = [{"posterior": how.kind, "off": divergence_off(how, params.seed)} for how in params.posteriors]
        tables.write(pa.Table.from_pylist(gaps), out / "divergences.parquet")
        tables.write(pa.Table.from_pylist([_law(law, params) for law in params.laws]), out / "laws.parquet")
    return Findings(metrics=linear)


def _linear(params: Theory) -> tuple[dict[str, float], pa.Table]:
    """A linear VAE trained on points of a linear-Gaussian model, against probabilistic PCA."""
    import pyarrow as pa

    source = torch.Generator().manual_seed(params.seed)
    axes = torch.randn(params.latent, params.dims, generator=source)
    noise = params.sigma * torch.randn(params.points, params.dims, generator=source)
    x = (torch.randn(params.points, params.latent, generator=source) @ axes + noise)[..., None, None]
    model = Linear(params.dims, params.latent, source)
    learn(model, x, params.steps, params.rate, params.draws, source)
    likelihood, directions = principal(x.flatten(1).double().numpy(), params.latent)
    angles = linalg.subspace_angles(directions, model.decoder.weight.detach().double().numpy())
    exact, elbo = model.exact(x), bounds.elbo(model, x, 100, source).mean().item()
    found = {"pca": likelihood, "exact": exact, "elbo": elbo, "degrees": float(np.degrees(angles.max()))}
    model.wrong[: params.latent], model.wrong[params.latent :] = 0.2, 0.7
    rows = []
    for k in params.importance:
        each = bounds.iwae(model, x, k, source)
        rows.append({"k": k, "bound": each.double().mean().item(), "exact": exact})
    return found, pa.Table.from_pylist(rows)


def divergence_off(how: Posterior, seed: int) -> float:
    """The largest distance of a head's KL from the integral of p log(p / q), over random features and dimensions."""
    head = posteriors.make(how)
    source = torch.Generator().manual_seed(seed)
    code = head(torch.randn(FEATURES, head.size, generator=source, dtype=torch.float64))
    each = code.kl_each()
    if each is None:
        return abs(code.kl()[0].item() - of_sphere(how.latent, how.terms["kappa"])[0])
    sigma = code.sigma.detach().double()
    line = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None, None]
    z = code.mu.detach().double() + sigma * line
    p, q = torch.distributions.Normal(code.mu.detach().double(), sigma), torch.distributions.Normal(0.0, 1.0)
    ratio = p.log_prob(z) - q.log_prob(z)
    found = torch.trapezoid(p.log_prob(z).exp() * ratio * sigma, line, dim=0)
    return (found - each.detach()).abs().max().item()


def of_sphere(d: int, kappa: float) -> tuple[float, float]:
    """KL to the uniform law and E w of a von Mises-Fisher law, by adaptive quadrature over t, w = cos t."""
    middle = np.arccos((np.hypot(d - 2, 2 * kappa) - (d - 2)) / (2 * kappa))  # where the density is highest
    top = _log_density(middle, d, kappa)

    def integral(f: Callable[[float], float]) -> float:
        return integrate.quad(f, 0, np.pi, points=[middle], limit=500, epsabs=0, epsrel=1e-10)[0]

    mass = integral(lambda t: np.exp(_log_density(t, d, kappa) - top))
    mean = integral(lambda t: np.cos(t) * np.exp(_log_density(t, d, kappa) - top)) / mass
    uniform = integral(lambda t: np.exp(_log_density(t, d, 0.0)))
    return float(kappa * mean - top - np.log(mass / uniform)), float(mean)


def _log_density(t: float, d: int, kappa: float) -> float:
    return kappa * np.cos(t) + special.xlogy(d - 2, np.sin(t))


def _law(law: Law, params: Theory) -> dict[str, float]:
    ours = VonMisesFisher(law.d, law.kappa)
    kl, mean = of_sphere(law.d, law.kappa)
    t = ours.angles((params.drawn,), torch.Generator().manual_seed(params.seed))
    found = {"kl": ours.kl().item(), "kl_quadrature": kl, "mean": ours.mean_w().item(), "mean_quadrature": mean}
    return {"d": law.d, "kappa": law.kappa, **found, "mean_drawn": t.cos().mean().item()}


def evaluate(model: Path, inputs: Inputs, params: EvaluateTheory) -> Findings:
    """Hold what was computed against closed forms."""
    pairs = tables.read(model / "linear.parquet").to_pylist()
    found = {row["name"]: row["value"] for row in pairs}
    importance, gaps, laws = (tables.read(model / f"{name}.parquet") for name in ("importance", "divergences", "laws"))
    claims = _of_linear(found, importance.to_pylist(), params) + _of_laws(laws.to_pylist(), params)
    for row in gaps.to_pylist():
        name, archive = row["posterior"], {"gauss": VAE, "vmf": SPHERE}.get(row["posterior"], BN)
        how = f"largest distance from the integral, {FEATURES} random features"
        claims.append(
            check(archive, f"{name}: the KL formula", how, row["off"], params.within_kl, "at most", "integrals")
        )
    return Findings(found, claims, {"importance": importance, "divergences": gaps, "laws": laws})


def _of_linear(found: dict[str, float], importance: list[dict[str, float]], params: EvaluateTheory) -> list[Claim]:
    data, rows = "points of a linear-Gaussian model", [row["bound"] for row in importance]
    fall = max(a - b for a, b in pairwise(rows))
    off = {
        "a linear VAE learns probabilistic PCA": abs(found["exact"] - found["pca"]),
        "its ELBO is its likelihood": abs(found["exact"] - found["elbo"]),
        f"IWAE of {importance[-1]['k']} draws is the likelihood": abs(rows[-1] - importance[-1]["exact"]),
    }
    made = [
        check(VAE, claim, "nats off", value, params.within_nats, "at most", data, "nats")
        for claim, value in off.items()
    ]
    degrees, how = found["degrees"], "largest angle of the decoder's axes to PCA's"
    made.append(check(VAE, "and its axes", how, degrees, params.degrees, "at most", data, "degrees"))
    return [*made, check(VAE, "IWAE rises with the draws", "largest fall", fall, 0.0, "at most", data, "nats")]


def _of_laws(laws: list[dict[str, float]], params: EvaluateTheory) -> list[Claim]:
    at = {(row["d"], row["kappa"]): row for row in laws}
    off = {
        "kl": (max(abs(row["kl"] - row["kl_quadrature"]) for row in laws), params.within_quadrature),
        "E w": (max(abs(row["mean"] - row["mean_quadrature"]) for row in laws), params.within_quadrature),
        "mean of drawn w": (max(abs(row["mean"] - row["mean_drawn"]) for row in laws), params.within_table),
        "kl of the table": (max(abs(at[d, k]["kl"] - kl) for d, k, kl in params.kls), params.within_table),
        "E w of the table": (max(abs(at[d, k]["mean"] - w) for d, k, w in params.means), params.within_table),
    }
    how = f"largest distance, {len(laws)} laws"
    return [check(SPHERE, name, how, value, most, "at most", "von Mises-Fisher") for name, (value, most) in off.items()]
