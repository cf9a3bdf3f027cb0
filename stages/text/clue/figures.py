"""The scores of the tasks as bars, beside the baselines and the article's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

BARS = {"majority": "majority", "tfidf": "tf-idf, or a list", "ours": "ours", "article_roberta": "RoBERTa, article"}


def figure(scores: pa.Table) -> Figure:
    """A group of bars a task."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(5.5, 1.2 + 0.45 * len(scores)), layout="constrained")
    axes = drawn.subplots()
    places = np.arange(len(scores))
    for i, (column, name) in enumerate(BARS.items()):
        values = [value or 0.0 for value in scores[column].to_pylist()]
        axes.barh(places + 0.2 * (i - 1.5), values, 0.2, label=name)
    axes.set_yticks(places, scores["task"].to_pylist())
    axes.invert_yaxis()
    axes.set(xlabel="per cent; the article's are of CLUE's own test data")
    drawn.legend(fontsize="small", ncols=len(BARS), loc="outside upper center")
    return drawn
