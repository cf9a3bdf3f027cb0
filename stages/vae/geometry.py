"""The VAE seen as geometry: an autoencoder, with noise, with a crude regulariser, and the VAE itself, side by side.

Article: https://kexue.fm/archives/7725.

    autoencoder      z = mu, nothing holds mu
    with noise       z = mu + sigma e, one sigma for all: mu can grow until the noise is nothing
    crude            sum_j (mu_j^2 + (sigma_j - 1)^2) / 2
    VAE              KL, the same with a barrier, - log sigma: ellipses that fill the unit ball

The four share data, nets and seeds. Where no regulariser holds the codes, draws are normal, with the mean and
deviation of each number of the codes. The number: of the digits 0.2 more have a decoded draw of the VAE near them than
one of the autoencoder (coverage), and codes correlate half as much (systems row `geometry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import devices, distributed, files, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import features, images, quality
from stages.nets.codes import Gaussian
from stages.nets.posteriors import Posterior
from stages.nets.seeds import every_seed
from stages.nets.threads import suited
from stages.vae import bounds, clouds, probes
from stages.vae.evaluate import seen
from stages.vae.model import Autoencoder, load
from stages.vae.settings import Vae
from stages.vae.train import build, learnt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 16  # decoded draws of each model
WAYS = 100  # paths from one test image to another, at most


@dataclass(frozen=True)
class Variant:
    """How one of the models differs."""

    name: str
    posterior: Posterior
    regulariser: str  # of objective.py


@dataclass(frozen=True)
class Geometry:
    """Params of the trainings."""

    shared: Vae  # of which each model changes posterior and regulariser
    models: tuple[Variant, ...]


@dataclass(frozen=True)
class EvaluateGeometry:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    samples: int  # draws; and as many training images at most for codes
    compared: tuple[str, str]  # models: the first is held against the second
    device: str
    targets: tuple[Target, ...]


def settings(params: Geometry) -> dict[str, Vae]:
    """The params of each model."""
    return {
        model.name: replace(params.shared, posterior=model.posterior, regulariser=model.regulariser)
        for model in params.models
    }


def train(inputs: Inputs, params: Geometry, out: Path) -> Findings:
    """Train every model for each seed on the images of `inputs.input`.

    Writes `out`/NAME of each as seeds.py does, and `out`/model.json; raises as train.py's does.
    """
    if inputs.input is None:
        raise Refusal("params.yaml: the models need an `input`, a data set of images")
    found = {}
    with distributed.joined(params.shared.device) as device:
        data = images.load(inputs.input, device)
        with suited(data.shape):
            for name, how in settings(params).items():
                one = partial(learnt, lambda seed, how=how: build(how, data.shape, seed, device), data.train, how)
                spool = inputs.spool / name if inputs.spool else None
                found[name] = every_seed(one, how.seeds, spool, out / name, how, image=data.shape)
    files.write_json({"params": asdict(params), "image": data.shape}, out / "model.json")
    return Findings(
        history={f"{name}_{key}": column for name, told in found.items() for key, column in told.history.items()},
        facts={f"{name}_{key}": value for name, told in found.items() for key, value in told.facts.items()},
    )


def evaluate(model: Path, inputs: Inputs, params: EvaluateGeometry) -> Findings:
    """Metrics MODEL_NAME of each model and seed, the comparisons, and the promises held against them.

    Raises `Refusal` where there is no feature network, where `compared` names no model, and for a target of a metric
    that there is none of.
    """
    import pyarrow as pa

    if inputs.truth is None:
        raise Refusal("params.yaml: the models are judged by a `truth`, the model of a row of kind features")
    device = devices.pick(params.device)
    judge = features.load(inputs.truth, device)
    made = files.read_json(model / "model.json")
    how = settings(typed(Geometry, made["params"], str(model / "model.json")))
    if not set(params.compared) <= set(how):
        raise Refusal(f"params.yaml: compared is {list(params.compared)}, but the models are {', '.join(how)}")
    seeds = next(iter(how.values())).seeds
    models = {
        (name, seed): load(model / name, one, tuple(made["image"]), seed, device)
        for name, one in how.items()
        for seed in seeds
    }
    table = {at: measured(models[at], how[at[0]], judge, at[1], params.samples) for at in models}
    rows = compared({seed: {name: table[name, seed] for name in how} for seed in seeds}, *params.compared)
    first = {name: models[name, seeds[0]] for name in how}
    every = dict.fromkeys(name for row in table.values() for name in row)
    long = [{"model": at[0], "seed": at[1], **{name: row.get(name) for name in every}} for at, row in table.items()]
    test = judge.images.test
    shown = {
        "ellipses": clouds.ellipses({name: gaussian(one, seen(test, one)) for name, one in first.items()}),
        "draws": _draws(first, how, judge, params.samples),
    }
    return Findings(
        targets.summary(rows),
        targets.judged(rows, params.targets, params.archive, params.data),
        {"models": pa.Table.from_pylist(long)},
        shown,
    )


@torch.no_grad()
def measured(model: Autoencoder, how: Vae, judge: features.Judge, seed: int, samples: int) -> dict[str, float]:
    """The metrics of decoded draws (quality.py), and of the codes:

    correlation and moment (clouds.py); prior_gap, KL(p(z) || N(0, I)) (bounds.py), unless codes are points;
    path_length and path_sure (probes.py).
    """
    source = torch.Generator(judge.images.test.device).manual_seed(1000 + seed)
    known = seen(judge.images.train[judge.rows[:samples]], model)
    code = gaussian(model, known)
    z = clouds.draws(model.head, how.regulariser, code.mean(), samples, source)
    found = quality.measure(judge, model.images(z), seed)
    found |= {"correlation": clouds.correlation(code.mean()), "moment": clouds.moment(code)}
    if code.sigma.min() > 0:
        found["prior_gap"] = bounds.codes(model, known, source)["prior_gap"]
    mode = model.encode(seen(judge.images.test, model)).mode()
    size = min(WAYS, len(mode) // 2)
    ways = probes.slerp(mode[:size], mode[size : 2 * size], probes.FRAMES)
    return found | probes.paths(model.images(ways), judge)


def gaussian(model: Autoencoder, x: torch.Tensor) -> Gaussian:
    """The codes of `x` [n, c, h, w] in [0, 1]; raises `Refusal` where they are no ellipses."""
    code = model.encode(x)
    if not isinstance(code, Gaussian):
        raise Refusal("params.yaml: models are compared by ellipses: choose Gaussian posteriors")
    return code


def compared(rows: Mapping[int, Mapping[str, Mapping[str, float]]], one: str, other: str) -> targets.Rows:
    """The metrics of every seed as MODEL_NAME, and of the model `one` against `other`:

    coverage_gain and precision_gain, by how much more; correlation_share and fd_share, by what share.
    """
    found = {}
    for seed, models in rows.items():
        a, b = models[one], models[other]
        flat = {f"{model}_{name}": x for model, row in models.items() for name, x in row.items()}
        gains = {f"{name}_gain": a[name] - b[name] for name in ("coverage", "precision")}
        shares = {f"{name}_share": a[name] / b[name] for name in ("correlation", "fd")}
        found[seed] = flat | gains | shares
    return found


@torch.no_grad()
def _draws(models: Mapping[str, Autoencoder], how: Mapping[str, Vae], judge: features.Judge, samples: int) -> Figure:
    """Decoded draws, a row of the same noise for each model."""
    rows = []
    for name, model in models.items():
        mu = model.encode(seen(judge.images.train[judge.rows[:samples]], model)).mean()
        source = torch.Generator(mu.device).manual_seed(0)
        rows.append(model.images(clouds.draws(model.head, how[name].regulariser, mu, SHOWN, source)))
    return images.grid(torch.cat(rows), SHOWN)
