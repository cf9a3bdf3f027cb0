"""How samples at one noise come about: recall and sharpness through the training.

Article: https://kexue.fm/archives/4540, whose pictures get clearer, then blurred for a while, then far more diverse.

    recall      share of the data within a ball of the samples, https://arxiv.org/abs/1904.06991
    sharpness   mean over pixels of |(d/dx, d/dy)|, over that of the data

A moment has few samples, and with few the balls are wide: recall here is to be read along the training, not beside
that of the final samples. The number: at the end recall is 0.1 above its minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from stages.nets import quality
from stages.nets.features import Judge
from stages.nets.images import unit

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure


def sharpness(x: torch.Tensor) -> float:
    """Mean length of the gradient (differences to the right and below) of `x` [n, channels, height, width]."""
    right, below = x[..., :-1, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, :-1]
    return (right.square() + below.square()).sqrt().mean(dtype=torch.float64).item()


def recall(real: torch.Tensor, fake: torch.Tensor) -> float:
    """The share of `real` [n, dim] within a ball of `fake` [m, dim] that reaches to its k-th nearest neighbour."""
    reach = quality.radii(fake, quality.K)
    return torch.cat([(d <= reach).any(1) for d in quality.distances(real, fake)]).double().mean().item()


def moments(judge: Judge, grids: torch.Tensor) -> list[dict[str, float]]:
    """recall and sharpness of each moment of `grids` [moments, n, channels, height, width] in [0, 1]."""
    real, of_real = judge.standardised(judge.reference), sharpness(unit(judge.images.train[judge.rows]))
    return [
        {
            "recall": recall(real, judge.standardised(judge.features(x))),
            "sharpness": sharpness(x) / of_real,
        }
        for x in grids
    ]


def summary(found: list[dict[str, float]]) -> dict[str, float]:
    """recall_rise: that of the end over the least on the way; sharpness, of the end, and sharpness_least."""
    recalled, sharp = ([moment[name] for moment in found] for name in ("recall", "sharpness"))
    return {"recall_rise": recalled[-1] - min(recalled), "sharpness": sharp[-1], "sharpness_least": min(sharp)}


def table(rows: dict[int, list[dict[str, float]]], steps: int) -> pa.Table:
    """The moments of every seed, evenly spread over `steps`."""
    import pyarrow as pa

    told = [
        {"seed": seed, "step": steps * (i + 1) // len(found), **moment}
        for seed, found in rows.items()
        for i, moment in enumerate(found)
    ]
    return pa.Table.from_pylist(told)


def curve(rows: pa.Table) -> Figure:
    """The table as a picture: recall and sharpness by step, a line a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    seeds, steps = rows["seed"].to_numpy(), rows["step"].to_numpy()
    for axes, name in zip(figure.subplots(1, 2), ("recall", "sharpness"), strict=True):
        for seed in sorted(set(seeds.tolist())):
            axes.plot(steps[seeds == seed], rows[name].to_numpy()[seeds == seed], marker=".", label=f"seed {seed}")
        axes.set(title=name, xlabel="step", ylim=(0, None))
    return figure
