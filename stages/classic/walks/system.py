"""Random walks and path integrals, each estimate against its closed form.

Articles: https://kexue.fm/archives/2573, https://kexue.fm/archives/2609, https://kexue.fm/archives/3750. Every estimate
is told with its standard error, and counts as right within four of them; orders of convergence are fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from stages.classic.walks import convergence, diffusion, exact, lattice
from stages.classic.walks.estimate import Estimate, estimate
from stages.core import claims, files, tables
from stages.core.claims import Claim
from stages.core.systems import Findings, Inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LATTICE, INTEGRAL, DRIFT = 2573, 2609, 3750
SHOWN = 40  # walks in the picture


@dataclass(frozen=True)
class Walks:
    """Params of the simulations."""

    walkers: int
    steps: int  # of a lattice walk
    slices: int  # steps of time of a path integral by walkers
    seed: int


@dataclass(frozen=True)
class EvaluateWalks:
    """Params of the evaluation."""

    most_z: float
    data: str


Estimates = Iterator[tuple[int, str, Estimate, float]]
"""(article, what, estimate, closed form)."""


def train(inputs: Inputs, params: Walks, out: Path) -> Findings:
    """Estimate all; writes `out`/estimates.parquet and `out`/{orders,ends,paths,wells}.parquet."""
    import pyarrow as pa

    def generator(place: int) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64([params.seed, place]))

    rows = [
        {
            "archive": archive,
            "what": what,
            "estimate": found.mean,
            "error": found.error,
            "exact": true,
            "z": found.z(true),
        }
        for place, part in enumerate((_lattice, _drifted, _weighted))
        for archive, what, found, true in part(params, generator(place))
    ]
    tables.write(pa.Table.from_pylist(rows), out / "estimates.parquet")
    orders = [
        {"what": what, "value": value, "target": target, "within": within}
        for what, value, target, within in convergence.orders()
    ]
    tables.write(pa.Table.from_pylist(orders), out / "orders.parquet")
    places, p = exact.law(params.steps)
    ends = lattice.packed(params.steps, 10 * params.walkers, generator(3))
    counts = np.bincount((ends + params.steps) // 2, minlength=params.steps + 1)
    tables.write(pa.table({"place": places, "count": counts, "expected": p * len(ends)}), out / "ends.parquet")
    shown = lattice.paths(params.steps, SHOWN, generator(4))
    tables.write(pa.table({f"walk_{i}": shown[:, i].astype(np.int32) for i in range(SHOWN)}), out / "paths.parquet")
    tables.write(pa.table(convergence.wells(20 * params.walkers, generator(5))), out / "wells.parquet")
    files.write_json({"walkers": params.walkers, "steps": params.steps}, out / "model.json")
    return Findings()


def _lattice(params: Walks, generator: np.random.Generator) -> Estimates:
    n, walkers = params.steps, params.walkers
    a = n // 10
    yield (
        LATTICE,
        f"reaches {a} within {n} steps",
        estimate(lattice.highest(n, walkers, generator) >= a),
        exact.reached(n, a),
    )
    won, after = lattice.ruined(0.55, 7, 5, walkers, generator)
    yield LATTICE, "hits 7 before -5, up with 0.55", estimate(won), exact.ruin(0.55, 7, 5)
    won, after = lattice.ruined(0.5, 7, 5, walkers, generator)
    yield LATTICE, "hits 7 before -5, up with 0.5", estimate(won), exact.ruin(0.5, 7, 5)
    yield LATTICE, "steps until 7 or -5", estimate(after), exact.ruin_time(7, 5)
    yield (
        LATTICE,
        "is back after 20 steps",
        estimate(lattice.endpoints(20, walkers, generator) == 0),
        exact.returned(20),
    )
    above = lattice.positive_time(40, walkers, generator)
    yield LATTICE, "40 steps all on the positive side", estimate(above == 40), exact.arcsine(20)[20]
    yield LATTICE, "10 of 40 steps on the positive side", estimate(above == 10), exact.arcsine(20)[5]


def _drifted(params: Walks, generator: np.random.Generator) -> Estimates:
    def back(x: np.ndarray) -> np.ndarray:
        return -x

    ends = diffusion.walk(np.ones(params.walkers), 1.0, 0.05, 0.5, back, generator)
    mean, variance = exact.ornstein_uhlenbeck(1.0, 1.0, 1.0, 0.5)
    # on the lattice each step takes 1 - dt of the mean, dt = 0.005: the closed form of the walk itself
    steps, dt = 200, 0.005
    yield DRIFT, "mean of a walk that is drawn back", estimate(ends), (1 - dt) ** steps
    late, _ = diffusion.euler(np.ones(params.walkers), 1.0, 400, 0.5, back, generator)
    yield DRIFT, "mean of Ornstein and Uhlenbeck's process", estimate(late), mean
    yield DRIFT, "its variance", estimate((late - mean) ** 2), variance
    drift, variance = exact.geometric(1.0, 0.1, 0.3)
    logs, _ = diffusion.euler(np.zeros(params.walkers), 1.0, 1, 0.09, lambda x: np.full_like(x, drift), generator)
    yield DRIFT, "mean logarithm of geometric motion", estimate(logs), drift
    yield DRIFT, "variance of that logarithm", estimate((logs - drift) ** 2), variance
    _, alive = diffusion.euler(
        np.full(params.walkers, 0.5), 1.0, 4, 1.0, diffusion.nowhere, generator, diffusion.Ends(low=0.0)
    )
    yield INTEGRAL, "is never below 0 until 1, from 0.5", estimate(alive), 2 * float(stats.norm.cdf(0.5)) - 1


def _weighted(params: Walks, generator: np.random.Generator) -> Estimates:
    def found(x: float, t: float, potential: Callable[[np.ndarray], np.ndarray], alpha: float, steps: int) -> Estimate:
        return diffusion.feynman_kac(x, t, steps, params.walkers, alpha, potential, generator)

    n = params.slices
    yield (
        INTEGRAL,
        "harmonic weight",
        found(0.7, 1.0, lambda x: 1.125 * x * x, 1.0, n),
        exact.harmonic(0.7, 1.0, 1.5, 1.0),
    )
    yield (
        INTEGRAL,
        "harmonic weight, α = 0.5",
        found(0.7, 1.0, lambda x: 1.125 * x * x, 0.5, n),
        exact.harmonic(0.7, 1.0, 1.5, 0.5),
    )
    yield INTEGRAL, "linear weight", found(0.3, 1.0, lambda x: 0.8 * x, 1.0, 4 * n), exact.linear(0.3, 1.0, 0.8, 1.0)
    yield (
        INTEGRAL,
        "time spent above 0",
        found(0.0, 1.0, lambda x: 2.0 * (x > 0), 1.0, 16 * n),
        exact.occupation(1.0, 2.0),
    )


def evaluate(model: Path, inputs: Inputs, params: EvaluateWalks) -> Findings:
    """Every estimate by its errors, the law of the ends by chi-square, orders, and three ways to one density."""
    from scipy import stats

    rows, orders = tables.read(model / "estimates.parquet"), tables.read(model / "orders.parquet")
    ends, wells = tables.read(model / "ends.parquet"), tables.read(model / "wells.parquet")
    found = [
        claims.check(
            row["archive"],
            row["what"],
            "standard errors off the closed form",
            abs(row["z"]),
            params.most_z,
            "at most",
            params.data,
        )
        for row in rows.to_pylist()
    ]
    found += [
        claims.check(
            INTEGRAL,
            row["what"],
            f"off {row['target']:g}",
            abs(row["value"] - row["target"]),
            row["within"],
            "at most",
            params.data,
        )
        for row in orders.to_pylist()
    ]
    counts, expected = ends["count"].to_numpy(), ends["expected"].to_numpy()
    enough = expected >= 5
    tail = (counts[~enough].sum(), expected[~enough].sum())
    p = stats.chisquare(np.append(counts[enough], tail[0]), np.append(expected[enough], tail[1])).pvalue
    found.append(
        claims.check(LATTICE, "the law of the ends", "p of chi-square", float(p), 1e-3, "at least", params.data)
    )
    found += list(_wells(wells, params))
    return Findings(
        metrics={"worst_z": max(abs(z) for z in rows["z"].to_pylist()), "p": float(p)},
        claims=found,
        tables={"estimates": rows, "orders": orders},
        figures={"walks": _walks(tables.read(model / "paths.parquet"), ends), "wells": _densities(wells)},
    )


def _wells(wells: object, params: EvaluateWalks) -> Iterator[Claim]:
    truth = wells["differences"].to_numpy()
    for name in ("walk", "slices"):
        off = float(np.abs(wells[name].to_numpy() - truth).sum())
        text = f"shares in a double well by {name}, off those by differences"
        yield claims.check(DRIFT, text, "L1", off, 0.01, "at most", params.data)


def _walks(paths: object, ends: object) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    for name in paths.column_names:
        left.plot(paths[name].to_numpy(), linewidth=0.4)
    left.set(xlabel="step", ylabel="place")
    place = ends["place"].to_numpy()
    right.barh(place, ends["count"].to_numpy(), height=1.6, color="lightgrey")
    right.plot(ends["expected"].to_numpy(), place, linewidth=0.8)
    right.set(xlabel="walkers; line: binomial", xticks=[])
    return figure


def _densities(wells: object) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    x = wells["x"].to_numpy()
    axes.errorbar(x, wells["walk"].to_numpy(), wells["error"].to_numpy(), fmt=".", markersize=3, label="walkers")
    for name, style in (("differences", "-"), ("slices", "--")):
        axes.plot(x, wells[name].to_numpy(), style, linewidth=1, label=name)
    axes.set(xlabel="x", ylabel="share", title="A double well, from the top between")
    axes.legend()
    return figure
