"""What the shelves of the library are worth: entropy against its bounds, purity, the way to walk.

Article: https://kexue.fm/archives/6191; https://kexue.fm/archives/5476 and https://kexue.fm/archives/7006 for the two
other tools of the series.

    H(j|i) <= S < ln(N - 1)         S of a placement by its own cost; ln(N - 1) for all positions alike
    purity     share of the 10 nearest books (by distance) that are of a book's category
    walk       sum p(i, j) |v_i - v_j|, as a share of the same for a random permutation of the positions

The series' identities are measured on the same records: merging two books (merging.py), and the categories as modules
of the walk from book to book (mapequation.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core import files, tables
from stages.core.claims import Claim, check
from stages.core.systems import Findings, Inputs
from stages.words import mapequation, merging
from stages.words.library import COSTS, average

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

SERIES, MERGING, MODULES = 6191, 5476, 7006


@dataclass(frozen=True)
class EvaluateLibrary:
    """Params of the judging; the targets are those of the spec of the system."""

    data: str  # what the claims say it was measured on
    nearest: int  # books that count for the purity
    near: float  # S - H(j|i) at most, in the first of the dims, nats
    nearer: float  # and for the cost `dot` in the last
    purity: float
    walk: float
    collapsed: float  # |v| at most, without a norm
    spread: float  # root mean square distance from the middle at least, with one


def evaluate(model: Path, inputs: Inputs, params: EvaluateLibrary) -> Findings:
    """Measure the placements of `model`; needs no truth but the categories that lie beside them."""
    counts, categories = read(model)
    p = counts / counts.sum()
    low, high = conditional_entropy(p), float(np.log(len(p) - 1))
    settings = files.read_json(model / "model.json")["params"]
    rows = []
    for (cost, dim), v in places(model).items():
        rows.append({"cost": cost, "dim": dim, **measured(v, p, categories, cost, params.nearest)})
    metrics = {"conditional_entropy": low, "upper_bound": high}
    for row in rows:
        metrics |= {f"{row['cost']}_{row['dim']}_{name}": row[name] for name in ("s", "purity", "walk", "spread")}
    modules = mapequation.infomap(mapequation.flow(counts.astype(np.float64)), settings["seed"])
    metrics["modules"] = float(modules.max() + 1)
    metrics["modules_purity"] = purity_of(modules, categories)
    claims = [*_claims(rows, low, high, settings["dims"], params), *_series(counts, params)]
    claims.append(
        check(
            MODULES,
            "the map equation finds the categories without their number",
            "share of books whose module is mostly of their category",
            metrics["modules_purity"],
            params.purity,
            "at least",
            params.data,
        )
    )
    first = settings["dims"][0]
    figures = {"bounds": bounds(rows, low, high)}
    if first == 3:
        figures["shelves"] = scatter({cost: v for (cost, dim), v in places(model).items() if dim == 3}, categories)
    return Findings(metrics, claims, {"placements": _table(rows)}, figures)


def read(model: Path) -> tuple[np.ndarray, np.ndarray]:
    """How often two books were borrowed together, [books, books], and the category of each."""
    categories = tables.read(model / "books.parquet")["category"].to_numpy()
    found = tables.read(model / "pairs.parquet")
    counts = np.zeros((categories.size, categories.size), dtype=np.int64)
    counts[found["book"].to_numpy(), found["other"].to_numpy()] = found["count"].to_numpy()
    return counts, categories


def places(model: Path) -> dict[tuple[str, int], np.ndarray]:
    """Positions [books, dim] by cost and dim."""
    found: dict[tuple[str, int], list[list[float]]] = {}
    for row in tables.read(model / "places.parquet").to_pylist():
        found.setdefault((row["cost"], row["dim"]), []).append(row["position"])
    return {key: np.array(rows) for key, rows in found.items()}


def conditional_entropy(p: np.ndarray) -> float:
    """H(j|i) = - sum p(i, j) ln p(j|i), nats."""
    given = p / np.maximum(p.sum(axis=1, keepdims=True), 1e-300)
    there = p > 0
    return -float((p[there] * np.log(given[there])).sum())


def measured(v: np.ndarray, p: np.ndarray, categories: np.ndarray, cost: str, nearest: int) -> dict[str, float]:
    """S, purity, walk, spread and largest norm of positions v; books that nobody borrowed do not count for purity."""
    import torch

    far = np.sqrt(((v[:, None] - v[None]) ** 2).sum(axis=2))
    n, borrowed = len(v), p.sum(axis=1) > 0
    near = np.argsort(far + np.diag(np.full(n, np.inf)), axis=1)[:, :nearest]
    return {
        "s": float(average(COSTS[cost], torch.from_numpy(v), torch.from_numpy(p))),
        "purity": float((categories[near] == categories[:, None])[borrowed].mean()),
        "walk": float((p * far).sum() / max(far.sum() / (n * (n - 1)), 1e-300)),
        "spread": float(np.sqrt(((v - v.mean(axis=0)) ** 2).sum(axis=1).mean())),
        "norm": float(np.linalg.norm(v, axis=1).max()),
    }


def purity_of(modules: np.ndarray, categories: np.ndarray) -> float:
    """Share of books that are of the most frequent category of their module, where there are as many modules as
    categories or fewer; 0 where there are more, since single books are pure."""
    if modules.max() > categories.max():
        return 0.0
    table = np.zeros((modules.max() + 1, categories.max() + 1))
    np.add.at(table, (modules, categories), 1)
    return float(table.max(axis=0).sum() / categories.size)


def _claims(rows: list, low: float, high: float, dims: list[int], params: EvaluateLibrary) -> list[Claim]:
    found = []
    for row in rows:
        name = f"{row['cost']}, {row['dim']} numbers a book"
        if row["cost"] == "distance":
            claim, how = "without a norm the library collapses", "largest |v| of the bare distance cost"
            found.append(check(SERIES, claim, how, row["norm"], params.collapsed, "at most", params.data))
            continue
        claim, how = "with a norm the library does not collapse", f"root mean square distance from the middle: {name}"
        found.append(check(SERIES, claim, how, row["spread"], params.spread, "at least", params.data))
        claim, how = "H(j|i) <= S < ln(N - 1)", f"S inside its bounds: {name}"
        found.append(check(SERIES, claim, how, float(low <= row["s"] < high), 1.0, "equal", params.data))
        if row["dim"] == dims[0]:
            claim, how = "least cost is least entropy", f"S - H(j|i): {name}"
            found.append(check(SERIES, claim, how, row["s"] - low, params.near, "at most", params.data, "nats"))
            how = f"share of the {params.nearest} nearest books of a book's category: {name}"
            found.append(
                check(SERIES, "near are books of a kind", how, row["purity"], params.purity, "at least", params.data)
            )
            how = f"sum p |v_i - v_j| to that of permuted positions: {name}"
            found.append(check(SERIES, "the way is short", how, row["walk"], params.walk, "at most", params.data))
        if row["cost"] == "dot" and row["dim"] == dims[-1]:
            claim, how = "least cost is least entropy", f"S - H(j|i): {name}"
            found.append(check(SERIES, claim, how, row["s"] - low, params.nearer, "at most", params.data, "nats"))
    return found


def _series(counts: np.ndarray, params: EvaluateLibrary) -> list[Claim]:
    """Claims about merging, on a text of two books a sentence: every pair as often as it was borrowed."""
    book, other = np.nonzero(counts)
    ids = np.repeat(np.stack([book, other], axis=1), counts[book, other], axis=0).ravel()
    joined = np.arange(ids.size) % 2 == 0
    pair, gain = merging.best_pair(ids, joined)
    merged, _ = merging.merge(ids, joined, pair)
    lengths = np.append(np.ones(ids.max() + 1), 2)
    before = merging.per_character(np.bincount(ids), lengths[:-1])
    after = merging.per_character(np.bincount(merged), lengths)
    claim, how = "merging a, b lowers H / l by F_ab / l", "|L - L' - F_ab / l| for the pair of largest F_ab"
    difference = abs(before[2] - after[2] - gain / before[1])
    return [check(MERGING, claim, how, difference, 1e-9, "at most", params.data, "nats")]


def _table(rows: list) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows)


def bounds(rows: list, low: float, high: float) -> Figure:
    """S of each placement between its bounds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(ylabel="S, nats", title="Entropy of the placements between its bounds")
    shown = [row for row in rows if row["cost"] != "distance"]
    axes.bar([f"{row['cost']}\n{row['dim']}" for row in shown], [row["s"] for row in shown], color="C0")
    axes.axhline(low, color="C2", label="H(j|i)")
    axes.axhline(high, color="C3", label="ln(N - 1)")
    axes.set_ylim(0.9 * low, 1.05 * high)
    axes.legend()
    return figure


def scatter(placed: dict[str, np.ndarray], categories: np.ndarray) -> Figure:
    """The books in space, a colour a category, one picture a cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(placed), 4), layout="constrained")
    for i, (cost, v) in enumerate(placed.items(), start=1):
        axes = figure.add_subplot(1, len(placed), i, projection="3d", title=cost)
        axes.scatter(*v.T, c=categories, cmap="tab10", s=12)
    return figure
