"""What a VAE of sequences is worth: its bounds, whether its decoder looks at the code, and sequences to read.

A code that nobody looks at shows in the KL, in the active units, and in what it costs to be given the code of another
sequence; it does not show in a probe, which has no scale. Bounds are of the test part of the data set `truth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import devices, files, tables, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves
from stages.nets.sequences import Sequences, load
from stages.vae import bounds, probes
from stages.vae.evaluate import recorded
from stages.vae.sequences import Sequencer, SequenceVae, build

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

SHOWN = 8  # sequences of each sort
FRAMES = 5  # of a way from one code to another


@dataclass(frozen=True)
class EvaluateSequences:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    draws: int  # of the ELBO
    importance: int  # draws of IWAE
    temperatures: tuple[float, ...]  # of samples; 0 for the likeliest symbols
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateSequences) -> Findings:
    """Metrics of each seed's model, and the promises held against them.

    Raises `Refusal` where there is no data set, and for a target of a metric that there is none of.
    """
    from safetensors.torch import load_file

    if inputs.truth is None:
        raise Refusal("params.yaml: a VAE of sequences is judged on a `truth`, its data set")
    data = load(inputs.truth, devices.pick(params.device))
    how = typed(SequenceVae, files.read_json(model / "model.json")["params"], str(model / "model.json"))
    history, models = tables.read(model / "history.parquet"), {}
    for seed in how.seeds:
        models[seed] = build(how, data, seed, data.test.device)
        models[seed].load_state_dict(load_file(model / f"seed_{seed}.safetensors"))
        models[seed].eval().requires_grad_(False)
    rows = {seed: measured(one, data, seed, params) | recorded(history, seed) for seed, one in models.items()}
    return Findings(
        targets.summary(rows),
        targets.judged(rows, params.targets, params.archive, params.data),
        {"sequences": sequences(models[how.seeds[0]], data, params.temperatures)},
        {"kl": kl_figure(history, models[how.seeds[0]].head.bound().item()), "curves": curves.curves(history)},
    )


@torch.no_grad()
def measured(model: Sequencer, data: Sequences, seed: int, params: EvaluateSequences) -> dict[str, float]:
    """All metrics of one model.

    Beside those of `bounds`: reconstruction, -E log q(x|z); shuffled_rise, by how much that grows where every sequence
    is given the code of another; above_NAME, what -ELBO is above each entropy that is known, nats; symbols_again.
    """
    x = data.test
    source = torch.Generator(x.device).manual_seed(1000 + seed)
    elbo = bounds.elbo(model, x, params.draws, source)
    code = model.encode(x)
    z = code.draw(source)
    own, other = (-model.log_prob(x, codes).mean().item() for codes in (z, z.roll(1, 1)))
    found = bounds.nats(elbo, "minus_elbo")
    found |= bounds.nats(bounds.iwae(model, x, params.importance, source), "nll")
    found |= bounds.codes(model, data.train[: len(x)], source)
    found |= {"kl_test": code.kl().mean().item(), "bound": model.head.bound().item()}
    found |= {"reconstruction": own, "shuffled_rise": other - own}
    found["symbols_again"] = again(model, x, code.mode(), source)
    found |= {f"above_{name}": found["minus_elbo"] - value for name, value in data.entropies.items()}
    if int(data.test_labels.min()) >= 0:
        known = model.encode(data.train[: 2 * len(x)]).mode()
        found |= probes.classes(known, data.train_labels[: len(known)], code.mode(), data.test_labels)
    return found


def again(model: Sequencer, x: torch.Tensor, z: torch.Tensor, source: torch.Generator) -> float:
    """The share of the symbols of `x` [n, length] that the likeliest sequence of their codes `z` has in their place."""
    there = x > 0
    return ((model.sample(z, 0.0, source) == x) & there).sum().item() / there.sum().item()


def sequences(model: Sequencer, data: Sequences, temperatures: Sequence[float]) -> pa.Table:
    """Sequences to read: samples of the prior, some of the test with what their codes give back, and ways between."""
    import pyarrow as pa

    source = torch.Generator(data.test.device).manual_seed(0)
    rows = []
    for temperature in temperatures:
        drawn = model.sample(model.head.prior(SHOWN, source), temperature, source)
        rows += [("sample", f"temperature {temperature:g}", text) for text in texts(drawn, data.symbols)]
    x = data.test[:SHOWN]
    code = model.encode(x).mode()
    back = texts(model.sample(code, 0.0, source), data.symbols)
    rows += [("reconstruction", old, new) for old, new in zip(texts(x, data.symbols), back, strict=True)]
    ways = probes.slerp(code[:2], code[2:4], FRAMES).transpose(0, 1)  # [2, frames, latent]
    for i, way in enumerate(ways):
        shown = texts(model.sample(way, 0.0, source), data.symbols)
        rows += [("way", f"{i + 1}: step {step}", text) for step, text in enumerate(shown)]
    names = ("sort", "of", "sequence")
    return pa.table({name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


def texts(x: torch.Tensor, symbols: Sequence[str]) -> list[str]:
    """The symbols of `x` [n, length], joined."""
    return ["".join(symbols[i] for i in row) for row in x.tolist()]


def kl_figure(history: pa.Table, bound: float) -> Figure:
    """The KL of the batches through the training of the first seed, and what it cannot fall below."""
    from matplotlib.figure import Figure

    kl = history["kl"].to_numpy()[history["seed"].to_numpy() == history["seed"][0].as_py()]
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(kl) + 1), kl, linewidth=0.8, label="KL of a batch")
    axes.axhline(bound, color="black", linestyle="--", linewidth=0.8, label="its bound")
    axes.set(xlabel="step", ylabel="nats", ylim=(0, max(8.0, bound * 1.2)))
    axes.legend()
    return figure
