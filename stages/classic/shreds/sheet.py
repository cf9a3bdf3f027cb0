"""Pictures for people: the restored page, and the contact sheet with the names of pieces and the least sure joints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.classic.shreds.page import Restored
from stages.classic.shreds.pieces import Pieces

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

SHOWN = 20  # joints that are marked
Joint = tuple[float, int, int, int]
"""P of the joint, side of the page, row, and column of its left piece."""


def assemble(pieces: Pieces, table: np.ndarray) -> np.ndarray:
    """The page of a table [rows, columns] as grey 0..255, [height, width]."""
    page = np.concatenate([np.concatenate(list(pieces.ink[row]), axis=1) for row in table])
    return np.rint(255 * (1 - page)).astype(np.uint8)


def picture(pieces: Pieces, table: np.ndarray) -> Image.Image:
    """The restored page."""
    from PIL import Image

    return Image.fromarray(assemble(pieces, table))


def doubtful(restored: Restored, most: int = SHOWN) -> list[Joint]:
    """The least sure joints, the least sure first; on two-sided paper each once, as seen in front."""
    sure = restored.sure[0]
    return sorted((float(sure[r, c]), 0, int(r), int(c)) for r, c in np.ndindex(sure.shape))[:most]


def contact(pieces: Pieces, restored: Restored) -> Figure:
    """The front with the name on each piece, and red bars where a joint is among the least sure, told with its P."""
    from matplotlib.figure import Figure

    table = restored.sides[0]
    page = assemble(pieces, table)
    height, width = pieces.ink.shape[1:]
    figure = Figure(figsize=(8, 8 * page.shape[0] / page.shape[1]), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(page, cmap="gray", vmin=-400, vmax=255, interpolation="antialiased")
    for r, c in np.ndindex(table.shape):
        axes.text(
            (c + 0.5) * width, (r + 0.5) * height, pieces.names[table[r, c]], color="tab:blue", ha="center", size=6
        )
    for p, _, r, c in doubtful(restored):
        x = (c + 1) * width
        axes.plot([x, x], [r * height, (r + 1) * height], color="tab:red", linewidth=1.5, alpha=0.7)
        axes.text(x, (r + 0.95) * height, f"{p:.2f}", color="tab:red", ha="center", size=5)
    axes.set_axis_off()
    return figure
