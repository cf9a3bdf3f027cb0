"""The analytic classifier on dense data and on texts, against what scikit-learn has: accuracy, of few samples and many.

Article: https://kexue.fm/archives/8578. The data come with scikit-learn, but for the texts: sequences of hidden topics,
told by the pairs of symbols in them. Every split has the classes in their shares.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from stages.classic.logistic.analytic import fit
from stages.core import claims, files, tables
from stages.core.claims import Claim
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARCHIVE = 8578


def _analytic(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return fit(x, y).predict


def _plain(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return fit(x, y, shrinkage=0.0).predict


def _discriminant(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis().fit(x, y).predict


def _logistic(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(x, y).predict


METHODS: Choices = {"analytic": _analytic, "plain": _plain, "discriminant": _discriminant, "logistic": _logistic}
"""(samples, labels) to what predicts; the last two are scikit-learn's."""


@dataclass(frozen=True)
class Logistic:
    """Params of the comparison."""

    data: tuple[str, ...]  # of scikit-learn, as load_NAME, and `texts`, which are the row's input
    methods: tuple[str, ...]
    splits: int
    test: float  # share of the samples
    few: dict[str, tuple[int, ...]]  # further numbers of training samples of a data set; the rest is the test
    seed: int


@dataclass(frozen=True)
class EvaluateLogistic:
    """Params of the evaluation."""

    agreement: dict[str, float]  # least share of predictions shared by plain formula and discriminant analysis
    within: dict[str, float]  # most by which logistic regression may be better
    few: float  # least accuracy of the fewest digits


def train(inputs: Inputs, params: Logistic, out: Path) -> Findings:
    """Fit every method on every split; writes `out`/scores.parquet, a row a data set, size, method and split."""
    import pyarrow as pa
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # for problems as small as these
        rows = [row for name in params.data for row in _splits(name, *_data(name, inputs.input), params)]
    tables.write(pa.Table.from_pylist(rows), out / "scores.parquet")
    files.write_json({"splits": params.splits}, out / "model.json")
    return Findings()


def _splits(name: str, x: np.ndarray, y: np.ndarray, params: Logistic) -> Iterator[dict]:
    from sklearn.model_selection import StratifiedShuffleSplit

    for size in (int((1 - params.test) * len(y)), *params.few.get(name, ())):
        parts = StratifiedShuffleSplit(
            params.splits, train_size=size, test_size=len(y) - size, random_state=params.seed
        )
        for split, (train, test) in enumerate(parts.split(x, y)):
            found = {}
            for method in params.methods:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # scikit-learn tells of features that depend on one another
                    found[method] = choose(METHODS, method, "methods")(x[train], y[train])(x[test])
            same = float("nan")
            if {"plain", "discriminant"} <= set(found):
                same = float((found["plain"] == found["discriminant"]).mean())
            for method, predicted in found.items():
                right = float((predicted == y[test]).mean())
                yield {"data": name, "samples": size, "method": method, "split": split, "accuracy": right, "same": same}


def _data(name: str, source: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Samples [n, d] and labels [n]."""
    if name == "texts":
        return texts(source)
    from sklearn import datasets

    load = getattr(datasets, f"load_{name}", None)
    if load is None:
        raise Refusal(
            f"params.yaml: '{name}' is no data set of scikit-learn; there are digits, wine, breast_cancer, iris"
        )
    return load(return_X_y=True)


def texts(source: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Counts [n, pairs] of pairs of neighbours in the sequences of a data set, and labels; pairs that occur."""
    from safetensors.numpy import load_file

    if source is None:
        raise Refusal("params.yaml: texts need an `input`, a data set of sequences with labels")
    held = load_file(source / "sequences.safetensors")
    rows, labels = held["train"].astype(np.int64), held["train_labels"]
    most = int(rows.max()) + 1
    pairs = rows[:, :-1] * most + rows[:, 1:]  # [n, length - 1]
    cells = np.arange(len(rows))[:, None] * most**2 + pairs
    counts = np.bincount(cells[rows[:, 1:] > 0], minlength=len(rows) * most**2).reshape(len(rows), most**2)
    return counts[:, counts.any(0)].astype(np.float64), labels


def evaluate(model: Path, inputs: Inputs, params: EvaluateLogistic) -> Findings:
    """The mean accuracies, and what is claimed of them."""
    table = tables.read(model / "scores.parquet")
    groups: dict[tuple, list[dict]] = {}
    for row in table.to_pylist():
        groups.setdefault((row["data"], row["samples"], row["method"]), []).append(row)
    mean = {key: fmean(row["accuracy"] for row in rows) for key, rows in groups.items()}
    metrics = {f"{data}_{samples}.{method}": value for (data, samples, method), value in mean.items()}
    return Findings(
        metrics=metrics,
        claims=list(_claims(groups, mean, params)),
        tables={"accuracies": _table(groups, mean)},
        figures={"accuracies": _figure(mean)},
    )


def _claims(groups: dict, mean: dict[tuple, float], params: EvaluateLogistic) -> Iterator[Claim]:
    whole = {data: max(size for name, size, _ in groups if name == data) for data, *_ in groups}
    for data, target in params.agreement.items():
        same = [row["same"] for row in groups[data, whole[data], "plain"]]
        text = "predictions that are those of discriminant analysis"
        yield claims.check(ARCHIVE, text, f"mean over {len(same)} splits", same, target, "at least", data)
    for data, target in params.within.items():
        key = data, whole[data]
        gap = mean[*key, "logistic"] - mean[*key, "analytic"]
        text = "accuracy by which logistic regression is better"
        yield claims.check(ARCHIVE, text, "difference of the means over splits", gap, target, "at most", data)
    sizes = sorted({size for name, size, _ in groups if name == "digits"})
    found = [row["accuracy"] for row in groups["digits", sizes[0], "analytic"]]
    text = f"accuracy with {sizes[0]} digits"
    yield claims.check(ARCHIVE, text, f"mean over {len(found)} splits", found, params.few, "at least", "digits")
    others = [mean["digits", sizes[0], method] for method in ("plain", "logistic")]
    text = "the same, less the better of plain formula and logistic regression"
    yield claims.check(
        ARCHIVE,
        text,
        "difference of means",
        mean["digits", sizes[0], "analytic"] - max(others),
        0,
        "at least",
        "digits",
    )


def _table(groups: dict, mean: dict[tuple, float]) -> object:
    import pyarrow as pa

    methods = list(dict.fromkeys(method for *_, method in groups))
    keys = list(dict.fromkeys((data, size) for data, size, _ in groups))
    return pa.Table.from_pylist(
        [{"data": data, "samples": size, **{m: mean[data, size, m] for m in methods}} for data, size in keys]
    )


def _figure(mean: dict[tuple, float]) -> Figure:
    from matplotlib.figure import Figure

    keys = list(dict.fromkeys((data, size) for data, size, _ in mean))
    methods = list(dict.fromkeys(method for *_, method in mean))
    figure = Figure(figsize=(6.4, 0.9 + 0.3 * len(keys)), layout="constrained")
    axes = figure.add_subplot()
    for place, method in enumerate(methods):
        values = [mean[*key, method] for key in keys]
        axes.plot(values, range(len(keys)), "o", color=f"C{place}", label=method, markersize=6 - place, alpha=0.8)
    axes.set_yticks(range(len(keys)), [f"{data}, {size}" for data, size in keys])
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.grid(axis="x", linewidth=0.3)
    axes.set(xlabel="accuracy, mean over splits; samples to train on at the left")
    axes.legend(fontsize=7)
    return figure
