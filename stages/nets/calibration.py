"""What the metrics of a feature network say of images that no model made: by these its numbers are read.

Article: https://kexue.fm/archives/6163, for whose Frechet distances there is no such scale.

    half of the training set against the other half     the floor
    the test images                                     what a perfect model would get
    the training set without one class                  what a lost mode costs
    a Gaussian fitted to the pixels                     what a covariance knows; a model must be better
    pixels shuffled over images, blurred, noise         worse and worse

The unit of features is arbitrary: of networks of one shape and accuracy the Gaussian on the digits gets from 16 to 40,
but always some 20 times the floor. So distances are told over that of the Gaussian, too (`fd_of_gaussian`).
The number: the Gaussian 20 times the floor, and a lost class of the digits 0.45 of the Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import devices, tables
from stages.core.claims import Claim, Direction, check
from stages.core.systems import Findings, Inputs
from stages.nets import quality, references
from stages.nets.features import TASKS, Judge, accuracy, load
from stages.nets.images import grid, unit

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

ORDER = ("test", "without a class", "gaussian", "shuffled", "blurred", "noise")
"""From better to worse."""

SHOWN = 16
"""Images of each in the picture."""


@dataclass(frozen=True)
class EvaluateFeatures:
    """Params of the evaluation; a number that is None is not claimed."""

    data: str  # what the claims say they were measured on
    seed: int  # of the images that are drawn
    target_accuracy: float | None
    most_floor: float | None  # Frechet distance of half the training set to the other, and of the test images
    least_gaussian: float | None  # of a Gaussian fitted to the pixels, over that of the halves
    least_class: float | None  # of the training set without its class 0, over that of the Gaussian
    device: str


def evaluate(model: Path, inputs: Inputs, params: EvaluateFeatures) -> Findings:
    """The accuracy of the network in `model`, and the table of what its metrics say of images that no model made."""
    judge = load(model, devices.pick(params.device))
    sets = images(judge, params.seed)
    rows = {name: quality.measure(judge, made, params.seed) for name, made in sets.items()}
    halves = judge.reference[_shuffle(len(judge.rows), params.seed)].chunk(2)
    floor, right = quality.frechet(*halves), accuracy(judge) if judge.task in TASKS else None
    distance = {"half": floor, **{name: row["fd"] for name, row in rows.items()}}
    metrics = ({} if right is None else {"accuracy": right}) | {
        f"fd_{name.replace(' ', '_')}": value for name, value in distance.items()
    }
    table = _table([{"set": "half", "images": len(halves[1]), "fd": floor}], sets, rows)
    figures = {"distances": _figure(distance), "images": grid(_shown(sets), SHOWN)}
    return Findings(metrics, _claims(judge, distance, right, params), {"references": table}, figures)


def images(judge: Judge, seed: int) -> dict[str, torch.Tensor]:
    """The sets by name, in ORDER, each [n, channels, height, width] in [0, 1]; only those that the data set allows."""
    real, labels = unit(judge.images.train[judge.rows]), judge.images.train_labels[judge.rows]
    generator = torch.Generator(real.device).manual_seed(seed)
    found = {
        "test": unit(judge.images.test),
        "without a class": real[labels != 0] if judge.task == "labels" else real[:0],
        "gaussian": references.gaussian(real, len(real), generator),
        "shuffled": references.shuffled(real, len(real), generator),
        "blurred": references.blurred(real),
        "noise": references.noise(real, len(real), generator),
    }
    return {name: made for name, made in found.items() if len(made) > judge.train.shape[1]}


def _shuffle(n: int, seed: int) -> torch.Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def _claims(judge: Judge, distance: dict[str, float], right: float | None, params: EvaluateFeatures) -> list[Claim]:
    how = f"Frechet distance to {len(judge.rows)} training images"
    fitted = distance["gaussian"] / distance["half"]
    without = distance["without a class"] / distance["gaussian"] if "without a class" in distance else None
    known: list[tuple[str, str, float | None, float | None, Direction]] = [
        ("accuracy of the feature network", "test images", right, params.target_accuracy, "at least"),
        ("distance of half of the data to the other", how, distance["half"], params.most_floor, "at most"),
        ("distance of the test images", how, distance.get("test"), params.most_floor, "at most"),
        ("distance of a fitted Gaussian over that of the halves", how, fitted, params.least_gaussian, "at least"),
        ("distance without a class over that of the Gaussian", how, without, params.least_class, "at least"),
    ]
    claims = [
        check(6163, text, measured, value, target, direction, params.data)
        for text, measured, value, target, direction in known
        if value is not None and target is not None
    ]
    order = [distance[name] for name in ORDER if name in distance]
    kept = sum(a < b for a, b in pairwise(order))
    text = "neighbours in the order from test images to noise"
    return [*claims, check(6163, text, how, kept, len(order) - 1, "at least", params.data)]


def _table(rows: list[dict], sets: dict[str, torch.Tensor], measured: dict[str, dict[str, float]]) -> pa.Table:
    import pyarrow as pa

    rows = [*rows, *({"set": name, "images": len(sets[name]), **row} for name, row in measured.items())]
    names = list(dict.fromkeys(name for row in rows for name in row))
    comments = {"set": (pa.string(), "what was measured"), "images": (pa.int64(), "how many")}
    columns = {name: comments.get(name, (pa.float64(), "see stages/nets/quality.py")) for name in names}
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows], tables.schema(**columns))


def _shown(sets: dict[str, torch.Tensor]) -> torch.Tensor:
    """The first images of each set, one row a set."""
    return torch.cat([made[:SHOWN] for made in sets.values()])


def _figure(distance: dict[str, float]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(list(distance), list(distance.values()))
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="Frechet distance to the training set", title="Images that no model made")
    return figure
