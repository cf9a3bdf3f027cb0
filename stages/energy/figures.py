"""Pictures of energies: their histograms, completed images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from stages.nets.images import grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 60


def histograms(levels: dict[str, torch.Tensor]) -> Figure:
    """The energies of several kinds of images, [n] each, in one picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="U(x)", ylabel="density", title="Energies of data and of strangers")
    whole = torch.cat(list(levels.values()))
    low, high = whole.min().item(), whole.max().item()
    for kind, values in levels.items():
        axes.hist(values.cpu().numpy(), bins=BINS, range=(low, high), density=True, histtype="step", label=kind)
    axes.legend()
    return figure


def completions(shown: torch.Tensor) -> Figure:
    """Rows of images [rows, n, channels, height, width]: whole, hidden, filled in."""
    return grid(shown.flatten(0, 1), shown.shape[1])
