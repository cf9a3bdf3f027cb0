"""Pictures of a discovered vocabulary (archive 6920): Zipf's law, what makes a word firm, F1 by size of dictionary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP = 5_000  # words in the scatter


def rank(words: pa.Table) -> Figure:
    """Count of each word by its rank, both axes logarithmic."""
    figure, axes = _axes("rank", "count", "Words by frequency")
    counts = words["count"].to_numpy()
    axes.loglog(np.arange(1, counts.size + 1), counts, color="C0")
    return figure


def solidity_entropy(words: pa.Table) -> Figure:
    """Solidity against the smaller neighbour entropy, for the most frequent words of 2 or more characters."""
    figure, axes = _axes("solidity s(w), nats", "smaller neighbour entropy, nats", f"The {TOP:,} most frequent words")
    words = words.filter(words["solidity"].is_valid()).slice(0, TOP)
    entropy = np.minimum(words["left_entropy"].to_numpy(), words["right_entropy"].to_numpy())
    axes.scatter(words["solidity"].to_numpy(), entropy, s=3, alpha=0.4, linewidths=0)
    return figure


def f1_by_top(scores: dict[int, tuple[float, float, float]]) -> Figure:
    """Recall, precision and F1 by the number of words in the dictionary."""
    figure, axes = _axes("words in the dictionary", "score", "Segmentation with the discovered words")
    tops = sorted(scores)
    for i, name in enumerate(("recall", "precision", "F1")):
        axes.plot(tops, [scores[top][i] for top in tops], marker="o", label=name)
    axes.set_xscale("log")
    axes.legend()
    return figure


def _axes(x: str, y: str, title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y, title=title)
    return figure, axes
