"""How right classifiers of images are, how sure they are, and what they take for what.

Article: https://kexue.fm/archives/4540.

    ECE = sum over bins of the share of samples * |accuracy - mean confidence|

with 15 equal bins of the confidence, the largest probability (Guo et al. 2017, https://arxiv.org/abs/1706.04599,
equation 3). The part held back from training, `validation`, is there to choose by; the test part decides nothing.
The number: a classifier that judges imitations of Fashion-MNIST is to have an ECE of 0.03 at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import nn

from stages.core import devices, files
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged
from stages.nets import images, trials
from stages.nets.board import Board
from stages.nets.classify import Model, contestant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARCHIVE = 4540
BINS = 15


@dataclass(frozen=True)
class EvaluateClassify:
    """Params of the evaluation."""

    data: str  # what the claims say they were measured on
    targets: tuple[Target, ...]
    device: str


def evaluate(model: Path, inputs: Inputs, params: EvaluateClassify) -> Findings:
    """Accuracy of the test and validation parts, and calibration, of every model; `inputs.truth` is the data set."""
    import pyarrow as pa

    task = trials.pictures(inputs.truth, devices.pick(params.device))
    told = files.read_json(model / "model.json")
    names = files.read_json(inputs.truth / "dataset.json")["names"]
    held = slice(len(task.train) - told["validation"], None)
    boards, seeds, figures = [], {}, {}
    for name in told["models"]:
        settings = typed(Model, files.read_json(model / name / "model.json")["params"], f"{model}: {name}")
        net, accuracy = contestant(settings, task).net().to(task.test.device), []
        for place, trained in enumerate(trials.trained(model / name, name, net)):
            p = probabilities(trained, task.test)
            row = {"accuracy": right(p, task.test_targets), "ece": calibration_error(p, task.test_targets)}
            if told["validation"]:
                row["validation"] = right(probabilities(trained, task.train[held]), task.targets[held])
            seeds.setdefault(place, {}).update({f"{key}.{name}": value for key, value in row.items()})
            accuracy.append(row["accuracy"])
        figures[f"confusion_{name}"] = confusion(p.argmax(1), task.test_targets, names)
        boards.append(trials.board(model / name, {name: accuracy}))
    whole = Board(
        {name: values for board in boards for name, values in board.accuracy.items()},
        {name: cost for board in boards for name, cost in board.costs.items()},
        pa.concat_tables([board.history for board in boards]),
    )
    found = whole.findings(judged(seeds, params.targets, ARCHIVE, params.data))
    means = {key: fmean(row[key] for row in seeds.values()) for key in seeds[0]}
    return replace(found, metrics=means | found.metrics, figures=found.figures | figures)


@torch.no_grad()
def probabilities(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Of the classes, [n, classes] float64, for the bytes x [n, channels, height, width]."""
    return torch.cat([net(images.unit(part)).double().softmax(1) for part in x.split(trials.AT_ONCE)])


def right(p: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of samples whose most probable class, of `p` [n, classes], is their label [n]."""
    return (p.argmax(1) == labels).double().mean().item()


def calibration_error(p: torch.Tensor, labels: torch.Tensor) -> float:
    """The expected calibration error of probabilities `p` [n, classes] about `labels` [n]."""
    confidence, found = p.max(1)
    place = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # a bin holds its upper end
    gap = (found == labels).double() - confidence
    return (torch.zeros(BINS, dtype=gap.dtype, device=p.device).index_add(0, place, gap).abs().sum() / len(p)).item()


def confusion(found: torch.Tensor, labels: torch.Tensor, names: Sequence[str]) -> Figure:
    """What images of each class [n] were taken for, in per cent of it."""
    from matplotlib.figure import Figure

    classes = len(names)
    counts = torch.bincount(labels * classes + found, minlength=classes**2).reshape(classes, classes)
    share = (100 * counts / counts.sum(1, keepdim=True).clamp(min=1)).cpu()
    figure = Figure(figsize=(0.9 + 0.4 * classes, 0.9 + 0.4 * classes), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share.sqrt(), cmap="Blues")  # its root, so that rare mistakes are seen
    for i in range(classes):
        for j in range(classes):
            if counts[i, j]:
                colour = "white" if share[i, j] > 50 else "black"
                axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(classes), names, rotation=90)
    axes.set_yticks(range(classes), names)
    axes.set(xlabel="taken for", ylabel="class, its images in per cent")
    return figure
