"""Pictures that corpora of several kinds show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


def by_rank(counts: np.ndarray, what: str, counted: str, colour: str) -> Figure:
    """How many `counted` each `what` has, by its rank, both axes logarithmic; `counts` largest first."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(np.arange(1, counts.size + 1), counts, color=colour, marker=".")
    axes.set(xlabel=f"rank of the {what}", ylabel=counted, title=f"{counted.capitalize()} per {what}")
    return figure
