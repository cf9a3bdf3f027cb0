"""Pictures of a table of triples (archive 4359): what attributes it has, and how much it says of a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


def per_subject(sizes: np.ndarray) -> Figure:
    """Number of subjects by how many triples they have; `sizes` are triples of each subject."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    shown = np.bincount(np.minimum(sizes, 40))
    axes.bar(np.arange(shown.size), shown, color="C1")
    axes.set(xlabel="triples (40 and more as 40)", ylabel="subjects", title="Triples per subject")
    return figure
