"""The variational information bottleneck: a classifier whose code may hold only what it needs to know.

Articles: https://kexue.fm/archives/6181, https://kexue.fm/archives/5343; paper: Alemi et al. 2016
(https://arxiv.org/abs/1612.00410); with a capacity as Peng et al. 2018 (https://arxiv.org/abs/1810.00821).

    loss = E[-log p(y|z)] + lambda max(R - capacity, 0),  R = E KL(p(z|x) || q(z)) >= I(X; Z)

z = mu + sigma e in training and mu at test; with lambda = 0 there is no noise: the control of the same layers. A VAE is
the case y = x. One training makes the whole curve: all lambdas and seeds step at once, their weights stacked; lambdas
of a seed share images, labels, first weights and noise. The number: of 200 digits, a fifth of the labels random, a
bottleneck knows the test set better by 3 points and more (systems row `vib`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional

from stages.core import distributed, files
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.nets import images, networks, posteriors
from stages.nets.codes import Gaussian
from stages.nets.layers import Image, Network
from stages.nets.posteriors import Posterior
from stages.nets.threads import suited
from stages.nets.training import History, Watch, differentiate, fit


@dataclass(frozen=True)
class Vib:
    """Params of a training."""

    encoder: Network
    latent: int
    lambdas: tuple[float, ...]  # rising; the first 0, which has no noise
    capacity: float  # nats that cost nothing
    labelled: int  # images that each seed draws
    noise: float  # share of them that get a label by chance
    steps: int  # of all images at once
    rate: float  # of Adam
    seeds: tuple[int, ...]
    watch: Watch
    device: str


class Bottleneck(nn.Module):
    """encoder -> code -> z -> logits, with weights that `seed` decides."""

    def __init__(self, params: Vib, image: Image, classes: int, seed: int) -> None:
        super().__init__()
        self.head = posteriors.make(Posterior("gauss", params.latent, {}))
        self.encoder = networks.critic(params.encoder, image, self.head.size, 2 * seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(2 * seed + 1)
            self.reader = nn.Linear(params.latent, classes)

    def encode(self, x: torch.Tensor) -> Gaussian:
        """p(z|x) of `x` [n, c, h, w] in [0, 1]."""
        return self.head(self.encoder(x))

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [n, classes] of z = mu + sigma e, `e` [n, latent], and the KL [n], of `x` [n, c, h, w]."""
        code = self.encode(x)
        return self.reader(code.mu + code.sigma * e), code.kl()


def train(inputs: Inputs, params: Vib, out: Path) -> Findings:
    """Train all lambdas and seeds on some images of `inputs.input`.

    Writes `out`/weights.safetensors, [seeds, lambdas, ...], and model.json. Raises `Refusal` for params that do not fit
    the data, and where the training diverges.
    """
    from safetensors.torch import save_file

    if inputs.input is None:
        raise Refusal("params.yaml: a bottleneck needs an `input`, a data set of images with labels")
    begin = time.perf_counter()
    with distributed.joined(params.device) as device:
        data = images.load(inputs.input, device)
        check(params, data, inputs.input)
        models = [Bottleneck(params, data.shape, data.classes, seed).to(device) for seed in params.seeds]
        parts = [part(data, params, seed) for seed in params.seeds]
        with suited(data.shape):
            weights, history = learn(models, parts, params, inputs.spool)
    took = time.perf_counter() - begin
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: value.cpu() for name, value in weights.items()}, out / "weights.safetensors")
    files.write_json({"params": asdict(params), "image": data.shape, "classes": data.classes}, out / "model.json")
    return Findings(history=history, facts={"steps_per_second": params.steps / took})


def check(params: Vib, data: images.Images, folder: Path) -> None:
    """Raise `Refusal` for params that no training can have on `data`."""
    lambdas = list(params.lambdas)
    if lambdas != sorted(set(lambdas)) or len(lambdas) < 2 or lambdas[0] != 0:
        raise Refusal(f"params.yaml: lambdas are {lambdas}, but they must rise, from 0 on, which is the control")
    if not 2 <= params.labelled <= len(data.train):
        raise Refusal(f"params.yaml: labelled is {params.labelled}, but {folder} has {len(data.train)} images")
    if data.train_labels.min() < 0:
        raise Refusal(f"{folder} has images without labels: a bottleneck needs all")


def part(data: images.Images, params: Vib, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The images [labelled, c, h, w] in [0, 1] of `seed` and their labels, the first of them by chance."""
    source = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(data.train), generator=source)[: params.labelled].to(data.train.device)
    x, y = images.unit(data.train[rows]), data.train_labels[rows]
    chance = torch.randint(data.classes, (round(params.noise * params.labelled),), generator=source)
    return x, torch.cat([chance.to(y), y[len(chance) :]])


def learn(
    models: list[Bottleneck],
    parts: list[tuple[torch.Tensor, torch.Tensor]],
    params: Vib,
    spool: Path | None = None,
) -> tuple[dict[str, torch.Tensor], History]:
    """Train the model of each seed on its part with every lambda.

    Returns the weights by name, [seeds, lambdas, ...], and the record, of each lambda the means over seeds. Raises
    `Refusal` for an encoder with batch norm, whose buffers cannot be stacked, and where the training diverges.
    """
    if list(models[0].buffers()):
        raise Refusal("params.yaml: the encoder of a bottleneck has no batch or spectral norm: use none or layer")
    size, count = len(params.lambdas), len(models)
    x, y = (torch.stack(each).repeat_interleave(size, 0) for each in zip(*parts, strict=True))  # [m, n, ...]
    device, n = x.device, x.shape[1]
    weights, _ = stack_module_state([model for model in models for _ in range(size)])  # [m, ...] each
    optimiser = torch.optim.Adam(weights.values(), params.rate, fused=True)
    source = torch.Generator(device).manual_seed(params.seeds[0])
    scale = torch.tensor(params.lambdas, device=device).repeat(count)  # [m]
    noisy = (scale > 0).float()[:, None, None]
    every = torch.vmap(lambda weight, x, e: functional_call(models[0], weight, (x, e)))

    def step(i: int) -> Mapping[str, torch.Tensor]:
        e = torch.randn(count, n, params.latent, generator=source, device=device).repeat_interleave(size, 0)
        logits, kl = every(weights, x, noisy * e)
        losses = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(-1, n).mean(1)
        rates = kl.mean(1)
        whole = losses + scale * (rates - params.capacity).clamp(min=0)  # [m]
        differentiate(whole.sum(), list(weights.values()))  # each model has its own gradient
        optimiser.step()
        by_lambda = {"loss": losses.view(count, size).mean(0), "rate": rates.view(count, size).mean(0)}
        return {f"{name}_{at:g}": each[j] for name, each in by_lambda.items() for j, at in enumerate(params.lambdas)}

    held = {**weights, "adam": optimiser, "source": source}
    history = fit(step, held, params.steps, params.watch, spool, f"{size} bottlenecks")
    return {name: value.detach().view(count, size, *value.shape[1:]) for name, value in weights.items()}, history
