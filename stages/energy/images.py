"""An energy of images: what its samples are worth, what it thinks of strangers, and what it fills in.

Article: https://kexue.fm/archives/6612 (implicit.py has the equations).
Samples of the buffer are old; a chain from fresh noise may stay in a pit near where it began.
Both are measured. The number: Frechet distance 3.6 where a Gaussian fitted to the pixels has 26 (systems row `igebm`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import devices, tables, targets
from stages.core.errors import Refusal
from stages.core.params import choose
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.energy import model as models
from stages.energy.figures import completions, histograms
from stages.energy.implicit import Implicit, uniform
from stages.energy.inpaint import HIDDEN, inpaint
from stages.energy.model import Model
from stages.nets import curves, features, outliers, quality
from stages.nets.images import Images, grid, load, unit
from stages.nets.langevin import descend
from stages.nets.training import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 10  # images a row


@dataclass(frozen=True)
class OfImages:
    """Params of the training."""

    without: tuple[int, ...]  # classes that are left out, to be strangers in the evaluation
    learning: Implicit


@dataclass(frozen=True)
class EvaluateOfImages:
    """Params of the evaluation."""

    samples: int  # of the buffer
    fresh: int  # chains from uniform noise
    fresh_steps: int  # of those, and of inpainting
    hidden: str  # lower, left, middle: what inpainting has to fill in
    seed: int
    device: str
    data: str  # what the claims say they were measured on
    targets: tuple[Target, ...]


def train(inputs: Inputs, params: OfImages, out: Path) -> Findings:
    """Energies of the images of `inputs.input`, one a seed; `out` as in model.py."""
    if inputs.input is None:
        raise Refusal("params.yaml: an energy of images needs an `input`, a data set of images")
    data = load(inputs.input, devices.pick(params.learning.device))
    chosen = data.train[among(data.train_labels, params.without)]

    def reals(source: torch.Generator) -> torch.Tensor:
        return unit(draw(chosen, params.learning.batch, source))

    return models.train(reals, data.shape, params, inputs.spool, out)


def evaluate(model: Path, inputs: Inputs, params: EvaluateOfImages) -> Findings:
    """Samples, energies and completions of each seed, judged by the feature network `inputs.truth`."""
    if inputs.truth is None:
        raise Refusal("params.yaml: samples are judged by a `truth`, the model of a row of kind features")
    device = devices.pick(params.device)
    judge = features.load(inputs.truth, device)
    made, found = models.load(model, OfImages, device)
    how = made.learning
    rows, figures = {}, {}
    for seed, one in found.items():
        source = torch.Generator(device).manual_seed(params.seed)
        begin = uniform(params.fresh, judge.images.shape, how.descent, source)
        fresh = descend(one.u, begin, replace(how.descent, steps=params.fresh_steps), source)
        filled, shown = _filled(one, how, params, judge, source)
        rows[seed] = {
            **_sampled(one, fresh, judge, params),
            **energies(one, judge.images, made.without, params.seed),
            **filled,
            "temperature": how.descent.temperature,
        }
        if seed == how.seeds[0]:
            figures = _figures(one, fresh, shown, judge.images, params)
    figures["curves"] = curves.curves(tables.read(model / "history.parquet"))
    return Findings(
        targets.summary(rows), targets.judged(rows, params.targets, models.ARTICLE, params.data), figures=figures
    )


def among(labels: torch.Tensor, without: tuple[int, ...]) -> torch.Tensor:
    """Which of `labels` [n] are none of `without`; [n] bool."""
    return ~torch.isin(labels, torch.tensor(without, dtype=labels.dtype, device=labels.device))


def _sampled(one: Model, fresh: torch.Tensor, judge: features.Judge, params: EvaluateOfImages) -> dict[str, float]:
    """The quality of the buffer's samples, and how far fresh chains stay behind."""
    found = quality.measure(judge, one.buffer[: params.samples], params.seed)
    fd = quality.frechet(judge.reference, judge.features(fresh))
    return {f"buffer_{name}": value for name, value in found.items()} | {"fresh_fd": fd}


@torch.no_grad()
def energies(one: Model, images: Images, without: tuple[int, ...], seed: int) -> dict[str, float]:
    """AUROC of strangers against test images, and the gap: how much higher the test's energies are than the train's.

    `gap_share` is the gap in standard deviations of the train's energies; auroc_unseen is of the classes left out.
    """
    inside, seen = among(images.test_labels, without), among(images.train_labels, without)
    test, train = one.u(unit(images.test[inside])), one.u(unit(images.train[seen]))
    gap = (test.mean() - train.mean()).item()
    found = outliers.aurocs(one.u, images.test[inside], unit, seed)
    if without:
        found["auroc_unseen"] = outliers.auroc(test, one.u(unit(images.test[~inside])))
    return found | {"gap": abs(gap), "gap_share": abs(gap) / train.std().item(), "energy_train": train.mean().item()}


def _filled(
    one: Model, how: Implicit, params: EvaluateOfImages, judge: features.Judge, source: torch.Generator
) -> tuple[dict[str, float], torch.Tensor]:
    """How well test images are filled in: the square error of hidden pixels, of the mean image, of another test image.

    A sample of the right law has up to twice the error of the mean. inpaint_same: the share that keeps the class
    which the judge saw in the whole image.
    """
    x = unit(judge.images.test)
    known = choose(HIDDEN, params.hidden, "hidden")(*x.shape[2:]).to(x.device)
    found = inpaint(one.u, x, known, replace(how.descent, steps=params.fresh_steps), source)
    hidden = ~known.expand_as(x)
    mean = unit(judge.images.train).mean(0).expand_as(x)
    before, after = (judge.probabilities(y).argmax(1) for y in (x, found))
    metrics = {
        "inpaint_error": (found - x)[hidden].square().mean().item(),
        "inpaint_error_of_mean": (mean - x)[hidden].square().mean().item(),
        "inpaint_error_of_another": (x.roll(1, 0) - x)[hidden].square().mean().item(),
    }
    if judge.task == "labels":
        metrics["inpaint_same"] = (before == after).double().mean().item()
    return metrics, torch.stack([x, torch.where(known, x, 0.5), found])[:, :SHOWN]


def _figures(
    one: Model, fresh: torch.Tensor, filled: torch.Tensor, images: Images, params: EvaluateOfImages
) -> dict[str, Figure]:
    strangers = outliers.strangers(images.test, params.seed)
    kinds = {"train": images.train, "test": images.test, **strangers}
    with torch.no_grad():
        levels = {kind: one.u(unit(x)) for kind, x in kinds.items()}
    return {
        "buffer": grid(one.buffer[: SHOWN**2], SHOWN),
        "fresh": grid(fresh[: SHOWN**2], SHOWN),
        "energies": histograms(levels),
        "inpainting": completions(filled),
    }
