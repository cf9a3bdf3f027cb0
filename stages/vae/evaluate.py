"""What a trained VAE is worth: its bounds, its codes, its samples and reconstructions, and its sense of strangers.

Samples are judged as the GANs' are, by the feature network of the data set that `truth` names, for each seed; metrics
are means over seeds, with the deviation beside them. Bounds are of the test images as the model sees them (binary:
by one fixed draw where pixels are drawn).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import devices, files, tables, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves, features, outliers, quality
from stages.nets.codes import Gaussian
from stages.vae import bounds, clouds, figures, probes
from stages.vae.model import Autoencoder, load
from stages.vae.settings import Vae

if TYPE_CHECKING:
    import pyarrow as pa

WAYS = 250  # paths from one test image to another, at most


@dataclass(frozen=True)
class EvaluateVae:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    samples: int  # of the prior; and as many training images at most for codes
    draws: int  # of the ELBO
    importance: int  # draws of IWAE
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateVae) -> Findings:
    """Metrics of each seed's model, and the promises held against them.

    Raises `Refusal` where there is no feature network, and for a target of a metric that there is none of.
    """
    if inputs.truth is None:
        raise Refusal("params.yaml: a VAE is judged by a `truth`, the model of a row of kind features")
    device = devices.pick(params.device)
    judge = features.load(inputs.truth, device)
    made = files.read_json(model / "model.json")
    how = typed(Vae, made["params"], str(model / "model.json"))
    history = tables.read(model / "history.parquet")
    models = {seed: load(model, how, tuple(made["image"]), seed, device) for seed in how.seeds}
    rows = {seed: measured(one, how, judge, seed, params) | recorded(history, seed) for seed, one in models.items()}
    first = models[how.seeds[0]]
    x = seen(judge.images.test[: max(figures.PAIRS, figures.WAYS * 2)], first)
    kls = _places(bounds.kl_by_dimension(first, seen(judge.images.test, first)))
    shown = figures.all_of(first, x) | {"curves": curves.curves(history)}
    code = first.encode(seen(judge.images.test, first))
    if isinstance(code, Gaussian) and how.posterior.latent == 2:
        shown["ellipses"] = clouds.ellipses({"codes": code})
    found = {"seeds": targets.table(rows), "kl_by_dimension": kls}
    return Findings(
        targets.summary(rows), targets.judged(rows, params.targets, params.archive, params.data), found, shown
    )


def seen(pixels: torch.Tensor, model: Autoencoder) -> torch.Tensor:
    """Bytes as the model is given them, the same at every call."""
    return model.look(pixels, torch.Generator(pixels.device).manual_seed(0))


@torch.no_grad()
def measured(model: Autoencoder, how: Vae, judge: features.Judge, seed: int, params: EvaluateVae) -> dict[str, float]:
    """All metrics of one model."""
    source = torch.Generator(judge.images.test.device).manual_seed(1000 + seed)
    rows = judge.rows[: params.samples]
    known = seen(judge.images.train[rows], model)
    codes = model.encode(known)
    z = clouds.draws(model.head, how.regulariser, codes.mean(), params.samples, source)
    found = quality.measure(judge, model.images(z), seed)
    found["correlation"] = clouds.correlation(codes.mean())
    if isinstance(codes, Gaussian):
        found["moment"] = clouds.moment(codes)
    x = seen(judge.images.test, model)
    code = model.encode(x)
    again = model.images(code.mode())
    compared = quality.compare(judge, judge.reference, judge.features(again), seed)
    found |= {f"reconstruction_{name}": value for name, value in compared.items()}
    found["pixel_mse"] = (again - x).square().mean().item()
    if how.regulariser != "none":  # without one there is no bound
        elbo = bounds.elbo(model, x, params.draws, source)
        found |= bounds.nats(elbo, "minus_elbo")
        found |= bounds.nats(bounds.iwae(model, x, params.importance, source), "nll")
        found |= bounds.codes(model, known, source)
        found["kl_test"] = code.kl().mean().item()
        found["bound"] = model.head.bound().item()
        found |= strangers(model, judge, seed)
    if judge.task == "labels":
        labels, truth = judge.images.train_labels[rows], judge.images.test_labels
        found |= probes.classes(codes.mode(), labels, code.mode(), truth)
    size = min(WAYS, len(x) // 2)
    ways = probes.slerp(code.mode()[:size], code.mode()[size : 2 * size], probes.FRAMES)
    return found | probes.paths(model.images(ways), judge)


def strangers(model: Autoencoder, judge: features.Judge, seed: int) -> dict[str, float]:
    """auroc_KIND of the test images against strangers (outliers.py), by minus the ELBO of one draw."""
    source = torch.Generator(judge.images.test.device).manual_seed(2000 + seed)

    def energy(x: torch.Tensor) -> torch.Tensor:
        return -bounds.elbo(model, x, 1, source)

    return outliers.aurocs(energy, judge.images.test, lambda pixels: seen(pixels, model), seed)


def recorded(history: pa.Table, seed: int) -> dict[str, float]:
    """slack_least: the least KL less its bound of all steps of a seed's training, where it was recorded."""
    if "slack" not in history.column_names:
        return {}
    mine = history["seed"].to_numpy() == seed
    return {"slack_least": float(history["slack"].to_numpy()[mine].min())}


def _places(kls: list[float]) -> pa.Table:
    """The table of the KL of every number."""
    import pyarrow as pa

    return pa.table({"place": list(range(1, len(kls) + 1)), "kl": kls})
