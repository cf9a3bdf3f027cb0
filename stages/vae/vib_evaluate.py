"""The curve of a bottleneck: what it knows and what it holds, against lambda.

Article: https://kexue.fm/archives/6181. All is of the test images: accuracy at z = mu, NLL of the mean probability of
12 draws, rate in nats. The best lambda is that of the best mean accuracy over seeds, found on the test images
themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import torch

from stages.core import devices, files, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import images
from stages.vae.vib import Bottleneck, Vib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = {"accuracy": "at z = mu", "nll": "of the mean of draws, nats", "rate": "nats"}


@dataclass(frozen=True)
class EvaluateVib:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    draws: int  # of z for each image
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateVib) -> Findings:
    """Metrics NAME_LAMBDA of every lambda, and these:

    gain, accuracy of the best lambda less that of the control; best, which it is; nll_share, the least NLL over the
    control's; rate_step, the largest share that a rate is of the one before: the rate falls where it is below 1.
    Raises `Refusal` where there are no test images, and for a target of a metric that there is none of.
    """
    import pyarrow as pa

    if inputs.truth is None:
        raise Refusal("params.yaml: a bottleneck is judged by a `truth`, the data set whose test images it is to know")
    device = devices.pick(params.device)
    data = images.load(inputs.truth, device)
    how, models = load(model, device)
    x, y = images.unit(data.test), data.test_labels
    table = [
        {"seed": seed, "lambda": at, **measured(models[seed, at], at, x, y, params.draws, seed)}
        for seed in how.seeds
        for at in how.lambdas
    ]
    rows = compared(table)
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, {"curve": pa.Table.from_pylist(table)}, {"curve": figure(table)})


def load(model: Path, device: torch.device | str) -> tuple[Vib, dict[tuple[int, float], Bottleneck]]:
    """The params of the training in `model` and, by seed and lambda, what it made."""
    from safetensors.torch import load_file

    made = files.read_json(model / "model.json")
    how, weights = typed(Vib, made["params"], str(model / "model.json")), load_file(model / "weights.safetensors")
    found = {}
    for i, seed in enumerate(how.seeds):
        for j, at in enumerate(how.lambdas):
            one = Bottleneck(how, tuple(made["image"]), made["classes"], seed)
            one.load_state_dict({name: value[i, j] for name, value in weights.items()})
            found[seed, at] = one.eval().requires_grad_(False).to(device)
    return how, found


def measured(model: Bottleneck, at: float, x: torch.Tensor, y: torch.Tensor, draws: int, seed: int) -> dict[str, float]:
    """accuracy, nll and rate of a model of lambda `at` on images `x` [n, c, h, w] in [0, 1] with labels `y` [n]."""
    code, source = model.encode(x), torch.Generator(x.device).manual_seed(1000 + seed)
    z = code.draw(source, draws) if at > 0 else code.mu[None]  # [draws, n, latent]
    each = model.reader(z).log_softmax(-1).gather(-1, y.expand(len(z), -1)[..., None])[..., 0]  # log p(y|z)
    mean = each.double().exp().mean(0).clamp(min=1e-300).log()
    return {
        "accuracy": (model.reader(code.mu).argmax(1) == y).double().mean().item(),
        "nll": -mean.mean().item(),
        "rate": code.kl().double().mean().item(),
    }


def compared(table: list[dict[str, float]]) -> dict[int, dict[str, float]]:
    """The metrics of every seed, of `table` with a row for each seed and lambda, lambdas rising from the control's."""
    at = {(int(row["seed"]), row["lambda"]): row for row in table}
    seeds, (control, *lambdas) = sorted({seed for seed, _ in at}), sorted({one for _, one in at})

    def mean(name: str, one: float) -> float:
        return fmean(at[seed, one][name] for seed in seeds)

    best = max(lambdas, key=lambda one: mean("accuracy", one))
    surest = min(lambdas, key=lambda one: mean("nll", one))
    return {
        seed: {
            "gain": at[seed, best]["accuracy"] - at[seed, control]["accuracy"],
            "best": best,
            "nll_share": at[seed, surest]["nll"] / at[seed, control]["nll"],
            "rate_step": max(at[seed, b]["rate"] / at[seed, a]["rate"] for a, b in pairwise(lambdas)),
        }
        | {f"{name}_{one:g}": at[seed, one][name] for name in MEASURES for one in (control, *lambdas)}
        for seed in seeds
    }


def figure(table: list[dict[str, float]]) -> Figure:
    """Accuracy, NLL and rate against lambda, a line a seed, the control as a dashed one."""
    from matplotlib.figure import Figure

    found = Figure(figsize=(9, 2.8), layout="constrained")
    for axes, (name, what) in zip(found.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
        for i, seed in enumerate(sorted({row["seed"] for row in table})):
            mine = [row for row in table if row["seed"] == seed]
            axes.plot(
                [row["lambda"] for row in mine[1:]], [row[name] for row in mine[1:]], "o-", markersize=3, color=f"C{i}"
            )
            axes.axhline(mine[0][name], color=f"C{i}", linestyle="--", linewidth=0.7)
        axes.set(
            title=name, xlabel="lambda", ylabel=what, xscale="log", yscale="log" if name != "accuracy" else "linear"
        )
    return found
