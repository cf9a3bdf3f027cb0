"""What the articles say of losses on paper, computed: who comes to rest, what a critic's optimum is worth.

Articles: https://kexue.fm/archives/6583 (dynamics, dirac.py), https://kexue.fm/archives/6016 (f-GAN, divergences.py),
https://kexue.fm/archives/7210 (Designing GANs, designs.py).

The numbers: without a penalty the Dirac GAN circles and with a zero-centred one it comes to rest, though its mean over
time is near the target in any case; the dual of each f-divergence is tight at T = f'(p/q) for N(0, 1) and N(1, 1); the
best critic of each designed game lies at w(r).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from stages.core import tables
from stages.core.claims import Claim, check
from stages.core.params import choose
from stages.core.systems import Findings, Inputs
from stages.gan import designs, dirac, divergences
from stages.gan.losses import LOSSES
from stages.gan.penalties import PENALTIES
from stages.nets.threads import one_thread

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

DYNAMICS, F_GAN, DESIGNED = 6583, 6016, 7210
KEPT = 401  # points of a path that are kept

CLOSED = {  # D_f of N(0, 1) and N(1, 1); the others have no closed form
    "f_tv": math.erf(0.5 / math.sqrt(2)),
    "f_kl": 0.5,
    "f_reverse_kl": 0.5,
    "f_pearson": math.e - 1,
    "f_neyman": math.e - 1,
    "f_hellinger": 2 - 2 * math.exp(-1 / 8),
    "f_jeffreys": 1.0,
    "f_alpha": (math.exp(0.75 * (0.75 - 1) / 2) - 1) / (0.75 * (0.75 - 1)),
}


@dataclass(frozen=True)
class Game:
    """A game of the Dirac GAN."""

    name: str
    loss: str
    penalty: str  # of penalties.py, or none
    weight: float
    decay: float  # of the critic
    normalised: bool  # critic
    until: float  # time


@dataclass(frozen=True)
class Theory:
    """Params of the computation."""

    games: tuple[Game, ...]


@dataclass(frozen=True)
class EvaluateTheory:
    """Params of the evaluation: what the distances of the last quarter of the time are to be, least and largest."""

    circles: dict[str, tuple[float, float]]
    rests: dict[str, float]  # largest
    within: float  # of the distances of circles, as a share
    mean: float  # largest distance of the mean over time, of what circles
    tight: float  # of the dual, as a share
    argmax: float


def train(inputs: Inputs, params: Theory, out: Path) -> Findings:
    """Compute all three; writes `out`/{paths,divergences,designs}.parquet."""
    import pyarrow as pa

    with one_thread():
        paths = {game.name: path(game) for game in params.games}
    rows = {
        "game": np.repeat(list(paths), KEPT),
        "time": np.concatenate([np.linspace(0, game.until, KEPT) for game in params.games]),
        "x": np.concatenate([theta[:, 0] for theta in paths.values()]),
        "y": np.concatenate([theta[:, 1] for theta in paths.values()]),
    }
    tables.write(pa.table(rows), out / "paths.parquet")
    tables.write(pa.Table.from_pylist(duals()), out / "divergences.parquet")
    found = [{"design": name, **vars(designs.check(made))} for name, made in designs.DESIGNS.items()]
    tables.write(pa.Table.from_pylist(found), out / "designs.parquet")
    return Findings(metrics={"games": float(len(paths))})


def path(game: Game) -> np.ndarray:
    """theta of a game at KEPT even times, [KEPT, 2]."""
    penalty = None if game.penalty == "none" else choose(PENALTIES, game.penalty, "games.penalty")
    loss = choose(LOSSES, game.loss, "games.loss")
    found = dirac.flow(loss, game.until, penalty, game.weight, game.decay, game.normalised)
    return found[:: (len(found) - 1) // (KEPT - 1)]


def duals() -> list[dict[str, object]]:
    """Of each divergence of N(0, 1) and N(1, 1): its value, the dual at the best T, and at a T that is a little off."""
    x = torch.linspace(-9, 10, 20001, dtype=torch.float64)
    p, q = (torch.exp(-((x - mean) ** 2) / 2) / math.sqrt(2 * math.pi) for mean in (0.0, 1.0))
    found = []
    for name, one in divergences.DIVERGENCES.items():
        best = one.best(p / q)
        row = {"divergence": name, "value": divergences.value(one, p, q, x).item()}
        row["dual"] = divergences.bound(one, best, p, q, x).item()
        row["off"] = divergences.bound(one, one.best(p / q * 1.2), p, q, x).item()
        found.append(row)
    return found


def evaluate(model: Path, inputs: Inputs, params: EvaluateTheory) -> Findings:
    """Hold what was computed against the articles and closed forms."""
    paths = tables.read(model / "paths.parquet")
    dual = tables.read(model / "divergences.parquet")
    design = tables.read(model / "designs.parquet")
    games = _late(paths)
    claims = _of_games(games, params) + _of_duals(dual, params)
    worst = max(design["argmax"].to_pylist())
    how = f"largest distance of the best t from w(r), r in [0.01, 100], of {design.num_rows} games"
    claims.append(
        check(DESIGNED, "the critic of a design is best at w(q/p)", how, worst, params.argmax, "at most", "designs")
    )
    metrics = {f"{name}_{what}": value for name, row in games.items() for what, value in row.items()}
    found = {"divergences": dual, "designs": design}
    return Findings(metrics, claims, found, {"paths": _figure(paths)})


def _late(paths: pa.Table) -> dict[str, dict[str, float]]:
    """Least and largest distance in the last quarter of the time, and that of the mean over all of it, by game."""
    names = np.array(paths["game"].to_pylist())
    theta = np.stack([paths["x"].to_numpy(), paths["y"].to_numpy()], axis=1)
    found = {}
    for name in dict.fromkeys(names.tolist()):
        mine = theta[names == name]
        far = np.linalg.norm(mine[-(len(mine) // 4) :], axis=1)
        middle = float(np.linalg.norm(mine.mean(axis=0)))
        found[name] = {"least": float(far.min()), "most": float(far.max()), "mean": middle}
    return found


def _of_games(games: dict[str, dict[str, float]], params: EvaluateTheory) -> list[Claim]:
    found = []
    for name, (least, most) in params.circles.items():
        row = games[name]
        off = max(abs(row["least"] / least - 1), abs(row["most"] / most - 1))
        how = f"least and largest distance late, {row['least']:.3f} and {row['most']:.3f}, off those given, as a share"
        found.append(check(DYNAMICS, f"{name} does not come to rest", how, off, params.within, "at most", "Dirac GAN"))
        how, claim = f"{name}: distance of the mean over time", "the average comes to rest where the game does not"
        found.append(check(DYNAMICS, claim, how, row["mean"], params.mean, "at most", "Dirac GAN"))
    for name, most in params.rests.items():
        how = "largest distance late"
        found.append(check(DYNAMICS, f"{name} comes to rest", how, games[name]["most"], most, "at most", "Dirac GAN"))
    return found


def _of_duals(dual: pa.Table, params: EvaluateTheory) -> list[Claim]:
    rows = dual.to_pylist()
    gap = max(abs(row["dual"] / row["value"] - 1) for row in rows)
    closed = max(abs(row["value"] / CLOSED[row["divergence"]] - 1) for row in rows if row["divergence"] in CLOSED)
    below = max((row["off"] - row["value"]) / row["value"] for row in rows)
    data = "N(0, 1) and N(1, 1)"
    return [
        check(F_GAN, "the dual is tight at f'(p/q)", "largest share off D_f", gap, params.tight, "at most", data),
        check(F_GAN, "D_f is that of the closed form", "largest share off", closed, params.tight, "at most", data),
        check(F_GAN, "any other critic is worth less", "largest share above D_f", below, 0.0, "at most", data),
    ]


def _figure(paths: pa.Table) -> Figure:
    from matplotlib.figure import Figure

    names = np.array(paths["game"].to_pylist())
    games = list(dict.fromkeys(names.tolist()))
    columns = 5
    rows = -(-len(games) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.5 * rows), layout="constrained")
    for i, name in enumerate(games, 1):
        axes = figure.add_subplot(rows, columns, i, title=name)
        mine = names == name
        axes.plot(paths["x"].to_numpy()[mine], paths["y"].to_numpy()[mine], linewidth=0.7)
        axes.plot(0, 0, "+", color="C3")
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(labelsize=6)
    return figure
