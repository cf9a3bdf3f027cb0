"""The chain of classical learners on small tables, all on the same folds.

Article: https://kexue.fm/archives/4271. Naive Bayes counts, logistic regression fits the same log-odds, trees ask,
ensembles add, a perceptron trains what it adds together. Features are standardised inside the fold where a model needs
it. The data come with scikit-learn; every model is ours, held against scikit-learn's in tests/classic/test_suite.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from stages.classic.suite.folds import corrected, scores, stratified
from stages.classic.suite.models import MODELS, predicted
from stages.core import files, tables
from stages.core.errors import Refusal
from stages.core.params import choose
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

ARCHIVE = 4271
DATA = ("iris", "wine", "breast_cancer", "digits")


@dataclass(frozen=True)
class Suite:
    """Params of the comparison."""

    data: tuple[str, ...]  # of DATA
    models: tuple[str, ...]  # of MODELS
    folds: int
    repeats: int
    seed: int


@dataclass(frozen=True)
class EvaluateSuite:
    """Params of the evaluation."""

    targets: tuple[Target, ...]  # of metrics MODEL.DATA.SCORE


def train(inputs: Inputs, params: Suite, out: Path) -> Findings:
    """Fit every model on every fold; writes `out`/scores.parquet, a row a data set, model, repeat and fold."""
    import pyarrow as pa
    from threadpoolctl import threadpool_limits

    rows, seconds = [], {}
    with threadpool_limits(1):  # for problems as small as these
        for name in params.data:
            x, y = load(name)
            for model in params.models:
                begin = time.perf_counter()
                rows += [{"data": name, "model": model, **row} for row in measured(model, x, y, params)]
                seconds[f"seconds.{model}.{name}"] = time.perf_counter() - begin
    tables.write(pa.Table.from_pylist(rows), out / "scores.parquet")
    files.write_json({"folds": params.folds, "models": list(params.models)}, out / "model.json")
    return Findings(facts=seconds)


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples float64 [n, d] and classes int64 [n]. Raises `Refusal` for a name that is not in DATA."""
    if name not in DATA:
        raise Refusal(f"params.yaml: '{name}' is no data set of the suite; there are {', '.join(DATA)}")
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x.astype(np.float64), y.astype(np.int64)


def measured(model: str, x: np.ndarray, y: np.ndarray, params: Suite) -> Iterator[dict]:
    """repeat, fold, size and scores of one model on every fold."""
    fit = choose(MODELS, model, "models")
    for repeat in range(params.repeats):
        for fold, (train, test) in enumerate(stratified(y, params.folds, params.seed + repeat)):
            found, p = predicted(fit, x[train], y[train], x[test], int(y.max()) + 1)
            yield {"repeat": repeat, "fold": fold, "size": found.size, **scores(p, y[test])}


def evaluate(model: Path, inputs: Inputs, params: EvaluateSuite) -> Findings:
    """Means over folds, average ranks, and which models differ from the best by more than chance."""
    rows = tables.read(model / "scores.parquet").to_pylist()
    told = files.read_json(model / "model.json")
    cells: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for data, name in dict.fromkeys((row["data"], row["model"]) for row in rows):
        mine = [row for row in rows if (row["data"], row["model"]) == (data, name)]
        cells[data, name] = {score: np.array([row[score] for row in mine]) for score in mine[0] if score not in KEYS}
    metrics = {
        f"{name}.{data}.{score}": float(values.mean())
        for (data, name), found in cells.items()
        for score, values in found.items()
    }
    claims = judged({0: metrics}, params.targets, ARCHIVE, "data sets of scikit-learn")
    found = {"accuracies": _accuracies(cells), "calibration": _scores(cells), "differences": _differences(cells, told)}
    return Findings(metrics, claims, found, {"ranks": _ranks_figure(cells)})


KEYS = ("data", "model", "repeat", "fold")
Cells = dict[tuple[str, str], dict[str, np.ndarray]]


def _names(cells: Cells) -> tuple[list[str], list[str]]:
    return list(dict.fromkeys(data for data, _ in cells)), list(dict.fromkeys(name for _, name in cells))


def ranks(cells: Cells) -> dict[str, float]:
    """The average rank of each model by accuracy over data sets, 1 for the best, ties shared."""
    data, names = _names(cells)
    table = np.array([[-cells[d, name]["accuracy"].mean() for name in names] for d in data])
    mean = stats.rankdata(table.round(12), axis=1).mean(0)
    return dict(zip(names, mean.tolist(), strict=True))


def _accuracies(cells: Cells) -> pa.Table:
    import pyarrow as pa

    data, names = _names(cells)
    rank = ranks(cells)
    rows = [
        {"model": name, **{d: float(cells[d, name]["accuracy"].mean()) for d in data}, "rank": rank[name]}
        for name in names
    ]
    return pa.Table.from_pylist(rows)


def _scores(cells: Cells) -> pa.Table:
    """Everything of the last data set, the largest."""
    import pyarrow as pa

    data, names = _names(cells)
    rows = [
        {"model": name, "data": data[-1], **{score: float(v.mean()) for score, v in cells[data[-1], name].items()}}
        for name in names
    ]
    return pa.Table.from_pylist(rows)


def _differences(cells: Cells, told: dict) -> pa.Table:
    """Neighbours in rank: on each data set the difference of accuracies and the corrected p-value."""
    import pyarrow as pa

    data, names = _names(cells)
    rank = ranks(cells)
    best = sorted(names, key=lambda name: (rank[name], name))
    rows = [
        {
            "data": d,
            "better": a,
            "worse": b,
            "difference": float((cells[d, a]["accuracy"] - cells[d, b]["accuracy"]).mean()),
            "p": corrected(cells[d, a]["accuracy"], cells[d, b]["accuracy"], 1 / told["folds"]),
        }
        for d in data
        for a, b in combinations(best[:4], 2)
    ]
    return pa.Table.from_pylist(rows)


def _ranks_figure(cells: Cells) -> Figure:
    from matplotlib.figure import Figure

    rank = ranks(cells)
    names = sorted(rank, key=lambda name: (rank[name], name))
    figure = Figure(figsize=(5, 0.8 + 0.3 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(names, [rank[name] for name in names])
    axes.invert_yaxis()
    axes.set(xlabel="average rank by accuracy, 1 for the best")
    return figure
