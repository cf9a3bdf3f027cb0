"""The claims of an essay on networks and deep learning, each as a small experiment.

Article: https://kexue.fm/archives/3331. The perceptron is written by hand (perceptron.py); what one and two units can
say is enumerated (logic.py); features that are given and that are found are in fits.py and features.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from stages.classic.essay import features, fits, logic
from stages.classic.essay.perceptron import Perceptron, Shape, Training, fit, one_hot
from stages.core import files, tables
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

ARCHIVE = 3331

SHAPES = (
    (Shape((5, 3), "relu"), "squared"),
    (Shape((5, 8, 3), "sigmoid", k=3.0), "cross_entropy"),
    (Shape((5, 8, 8, 3), "tanh", norm=True), "cross_entropy"),
    (Shape((5, 8, 6, 3), "gelu"), "squared"),
    (Shape((5, 8, 8, 8, 3), "relu", norm=True), "cross_entropy"),
)
"""Whose gradients are held against autograd's."""


@dataclass(frozen=True)
class Essay:
    """Params of the experiments."""

    codes: tuple[int, ...]  # sizes of the digits' code
    digits: Training
    backgrounds: tuple[int, ...]  # how many the letters have
    code: int  # size of the letters'
    letters: Training
    draws: int  # of the noisy sine
    steep: tuple[float, ...]  # k that a net of sigmoids is read with
    seed: int


@dataclass(frozen=True)
class EvaluateEssay:
    """Params of the evaluation."""

    targets: tuple[Target, ...]


def train(inputs: Inputs, params: Essay, out: Path) -> Findings:
    """Do the experiments; writes what they measured to `out`/measured.parquet, and the letters of the last one."""
    import pyarrow as pa
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # for products of small matrices
        found = gradients(params.seed) | logics() | steepened(params.steep, params.seed)
        found |= {f"parabola.{key}": value for key, value in fits.parabola(params.seed).items()}
        found |= sines(params.draws)
        found |= digits(params)
        for many in params.backgrounds:
            told = features.letter_probes(params.code, many, params.letters, params.seed)
            found |= {f"letters_{many}.{key}": value for key, value in told.items()}
    tables.write(pa.table({"metric": list(found), "value": list(map(float, found.values()))}), out / "measured.parquet")
    files.write_json({"experiments": len(found)}, out / "model.json")
    return Findings()


def evaluate(model: Path, inputs: Inputs, params: EvaluateEssay) -> Findings:
    """The metrics, what is claimed of them, and pictures of the curves and letters."""
    import pyarrow as pa

    found = dict(zip(*tables.read(model / "measured.parquet").to_pydict().values(), strict=True))
    claims = judged({0: found}, params.targets, ARCHIVE, "made data and scikit-learn's digits")
    codes = sorted({int(key.split(".")[0].removeprefix("code_")) for key in found if key.startswith("code_")})
    rows = [{"code": code, **_of(found, f"code_{code}.")} for code in codes]
    return Findings(found, claims, {"codes": pa.Table.from_pylist(rows)}, {"letters": _letters(), "sine": _sine()})


def _of(found: Mapping[str, float], head: str) -> dict[str, float]:
    return {key.removeprefix(head): value for key, value in found.items() if key.startswith(head)}


def gradients(seed: int) -> dict[str, float]:
    """The largest relative error of a gradient by hand against autograd, over SHAPES."""
    import torch

    worst = 0.0
    for shape, loss in SHAPES:
        chance = np.random.default_rng(seed)
        net, x = Perceptron(shape, chance), chance.normal(size=(7, shape.sizes[0]))
        target = one_hot(chance.integers(shape.sizes[-1], size=7), shape.sizes[-1])
        _, mine = net.gradient(x, target, loss)
        weights = [torch.tensor(weight, requires_grad=True) for weight in net.weights]
        _twin(weights, shape, loss, torch.tensor(x), torch.tensor(target)).backward()
        for weight, g in zip(weights, mine, strict=True):
            assert weight.grad is not None
            true = weight.grad.numpy()
            worst = max(worst, float(np.abs(g - true).max() / max(np.abs(true).max(), 1e-12)))
    return {"gradient_off": worst}


def _twin(weights: list[torch.Tensor], shape: Shape, loss: str, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    import torch
    from torch.nn import functional

    acts = {"relu": torch.relu, "tanh": torch.tanh, "gelu": functional.gelu}
    acts["sigmoid"] = lambda z: torch.sigmoid(shape.k * z)
    last = len(weights) // 2 - 1
    for layer, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        x = x @ w + b
        if layer < last:
            x = acts[shape.activation](functional.layer_norm(x, x.shape[1:]) if shape.norm else x)
    return functional.mse_loss(x, target) if loss == "squared" else functional.cross_entropy(x, target)


def logics() -> dict[str, float]:
    """Whether one unit says AND, OR and XOR (1 or 0), and two hidden ones XOR."""
    said = {name: float(logic.unit_says(getattr(logic, name.upper()))) for name in ("and", "or", "xor")}
    found = {f"one_unit.{name}": value for name, value in said.items()}
    return found | {"two_units.xor": float(logic.two_hidden_say(logic.XOR))}


def steepened(steep: tuple[float, ...], seed: int) -> dict[str, float]:
    """Accuracy on two rings of a net of sigmoids trained with k = 1 and read with others; and of steps, its limit."""
    chance = np.random.default_rng(seed)
    r = np.repeat([0.5, 1.5], 500)[:, None] + 0.15 * chance.normal(size=(1000, 1))
    angle = chance.uniform(0, 2 * np.pi, (1000, 1))
    x, y = r * np.concatenate([np.cos(angle), np.sin(angle)], 1), np.repeat([0, 1], 500)
    net = Perceptron(Shape((2, 12, 2), "sigmoid"), chance)
    fit(net, x, one_hot(y, 2), "cross_entropy", Training(150, 50, 5e-2), chance)
    found = {}
    for k in (*steep, None):
        shape = asdict(net.shape) | ({"activation": "step"} if k is None else {"k": k})
        read = Perceptron(Shape(**shape), chance)
        read.weights = net.weights
        name = "step" if k is None else f"k_{k:g}"
        found[f"steep.{name}"] = float((read.forward(x).argmax(1) == y).mean())
    return found


def sines(draws: int) -> dict[str, float]:
    """Medians over draws of the errors, and how many perceptrons stay below 0.1; degrees that got worse outside."""
    each = [fits.noisy_sine(seed) for seed in range(draws)]
    found = {f"sine.{key}": float(np.median([one[key] for one in each])) for key in each[0]}
    better = [
        all(one[f"degree_{a}_train"] > one[f"degree_{b}_train"] for a, b in pairwise(fits.DEGREES)) for one in each
    ]
    worse = [one[f"degree_{fits.DEGREES[-1]}_test"] > 10 * one[f"degree_{fits.DEGREES[0]}_test"] for one in each]
    found |= {"sine.train_falls": fmean(better), "sine.test_explodes": fmean(worse)}
    return found | {"sine.mlp_below": fmean(one["mlp_test"] < 0.1 for one in each)}


def digits(params: Essay) -> dict[str, float]:
    """Codes of several sizes by autoencoder and by principal components, on a fifth of the digits."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(params.seed).permutation(len(x))
    test, learn = order[: len(x) // 5], order[len(x) // 5 :]
    found = {}
    for code in params.codes:
        told = features.compared(x[learn] / 16, y[learn], x[test] / 16, y[test], code, params.digits, params.seed)
        found |= {f"code_{code}.{key}": value for key, value in told.items()}
        found[f"code_{code}.mse_ratio"] = told["autoencoder_mse"] / told["pca_mse"]
    return found


def _letters() -> Figure:
    from matplotlib.figure import Figure

    x, _, _ = features.letters(24, 3, 1)
    figure = Figure(figsize=(6, 2), layout="constrained")
    for place, picture in enumerate(x.reshape(-1, features.SIDE, features.SIDE)):
        axes = figure.add_subplot(3, 8, place + 1)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
    return figure


def _sine() -> Figure:
    from matplotlib.figure import Figure

    x, y = fits.draw(np.random.default_rng(0))
    new = np.linspace(0, 1, 400)
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(new, np.sin(2 * np.pi * new), "k:", label="without noise")
    for degree in fits.DEGREES:
        axes.plot(new, fits.polynomial(x, y, degree)(new), label=f"degree {degree}")
    axes.plot(x, y, "ko", markersize=4)
    axes.set(ylim=(-2, 2), xlabel="x")
    axes.legend(fontsize=7)
    return figure
