"""Pictures of a corpus of questions (archive 5067): how many tags a question has, and how common tags are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


def tags_per_question(sizes: np.ndarray) -> Figure:
    """Number of questions by how many tags they have; `sizes[n]` questions have n."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(np.arange(sizes.size), sizes, color="C0")
    axes.set(xlabel="tags", ylabel="questions", title="Tags per question", xticks=np.arange(sizes.size))
    return figure
