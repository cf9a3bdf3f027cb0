"""Deep InfoMax: codes without a decoder, by telling pairs of one image from pairs of two.

Articles: https://kexue.fm/archives/6024, https://kexue.fm/archives/6088; paper: Hjelm et al. 2018
(https://arxiv.org/abs/1808.06670); repository: https://github.com/bojone/infomax.

    loss = alpha G + beta L + gamma P
    G, L = E softplus(-T(a, b)) + E softplus(T(a, b'))     b' of another image: I(a, b) in its JS form
    L    a: each cell of the feature map C(x), b: z        global `feature`    a: all of C(x), b: z
    P    mean over batch and numbers of KL(p(z|x) || N(0, 1))       `code`     a: z, b: z, as the repository has it

z = mu + sigma e: its noise keeps I(X; Z) finite. The code of a test image is mu. The number: on digits a linear probe
of codes by L is 0.05 better than of an untrained encoder's, after 60 epochs (tests/vae/test_infomax_promises.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from stages.core import devices, distributed
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.nets import images, posteriors
from stages.nets.codes import Code
from stages.nets.layers import SMALLEST, Image
from stages.nets.posteriors import Posterior
from stages.nets.seeds import every_seed
from stages.nets.threads import suited
from stages.nets.training import History, Watch, differentiate, fit

SLOPE = 0.2  # of the encoder below 0


@dataclass(frozen=True)
class Infomax:
    """Params of a training."""

    posterior: Posterior
    blocks: tuple[int, ...]  # channels of the convolutions up to the feature map, which the first ones halve to 4..7
    top: tuple[int, ...]  # of those from the feature map to the code
    discriminator: tuple[int, ...]  # widths of its hidden layers
    pairs: str  # of the global term: code or feature
    alpha: float  # weight of the global term
    beta: float  # of the local one
    gamma: float  # of the prior's
    rate: float  # of Adam
    batch: int  # of all processes
    steps: int
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    channels_last: bool
    compile: bool


class Encoder(nn.Module):
    """x -> C(x) -> code, with batch norm throughout and weights of torch's own generator, for images (c, h, w)."""

    def __init__(self, params: Infomax, image: Image) -> None:
        super().__init__()
        self.head = posteriors.make(params.posterior)
        channels, side = image[0], min(image[1:])
        below: list[nn.Module] = []
        for width in params.blocks:
            below += _convolution(channels, width)
            if side >= 2 * SMALLEST:
                below.append(nn.MaxPool2d(2))
                side //= 2
            channels = width
        self.map = nn.Sequential(*below)
        above = [layer for a, b in pairwise((channels, *params.top)) for layer in _convolution(a, b)]
        last = nn.Linear((channels, *params.top)[-1], self.head.size)
        self.code = nn.Sequential(*above, nn.AdaptiveMaxPool2d(1), nn.Flatten(), last)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """C(x) [n, cells, channels] and what the head takes [n, size], of `x` [n, c, h, w] in [0, 1]."""
        found = self.map(x)
        return found.flatten(2).mT, self.code(found)

    def encode(self, x: torch.Tensor) -> Code:
        """p(z|x)."""
        return self.head(self(x)[1])


def _convolution(channels: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(SLOPE)]


PAIRS: Choices = {"code": lambda cells, z: z, "feature": lambda cells, z: cells.flatten(1)}
"""What the global term pairs with z [n, latent], cells C(x) [n, cells, channels] or z itself: [n, size]."""


class Model(nn.Module):
    """The encoder and the discriminators of those terms that count, with weights that `seed` decides."""

    def __init__(self, params: Infomax, image: Image, seed: int) -> None:
        super().__init__()
        self.paired = choose(PAIRS, params.pairs, "pairs")
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(seed)
            self.encoder = Encoder(params, image)
            cells, _ = self.encoder.eval()(torch.zeros(1, *image))
            z = torch.zeros(1, params.posterior.latent)
            sides = {"alpha": self.paired(cells, z), "beta": cells}
            self.scores = nn.ModuleDict(
                {
                    weight: _perceptron(side.shape[-1] + z.shape[-1], params.discriminator)
                    for weight, side in sides.items()
                    if getattr(params, weight) > 0
                }
            )
        self.train()

    def terms(self, cells: torch.Tensor, z: torch.Tensor) -> dict[str, torch.Tensor]:
        """Those of G and L that count, as global and local, of C(x) [n, cells, channels] and `z` [n, latent]."""
        sides = {"alpha": ("global", self.paired(cells, z)), "beta": ("local", cells)}
        return {sides[weight][0]: information(score, sides[weight][1], z) for weight, score in self.scores.items()}


def _perceptron(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, 1))


def information(score: nn.Module, a: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """The loss, 0-dim, of telling `z` [n, latent] with its own `a` [n, ..., size] from `z` with that of its neighbour.

    As every row goes with the one before it, no pair is both; images of a batch must differ.
    """
    z = z.view(len(z), *(1 for _ in a.shape[1:-1]), -1).expand(*a.shape[:-1], -1)
    own, other = (score(torch.cat([side, z], -1)) for side in (a, a.roll(1, 0)))
    return functional.softplus(-own).mean() + functional.softplus(other).mean()


def train(inputs: Inputs, params: Infomax, out: Path) -> Findings:
    """Train one encoder for each seed on the images of `inputs.input`.

    Writes the weights of the encoder alone, as seeds.py does. Raises `Refusal` for params that do not fit, and where a
    training diverges.
    """
    if inputs.input is None:
        raise Refusal("params.yaml: InfoMax needs an `input`, a data set of images")
    with distributed.joined(params.device) as device:
        data = images.load(inputs.input, device)
        check(params, len(data.train))

        def one(seed: int, spool: Path | None) -> tuple[dict[str, torch.Tensor], History]:
            model = build(params, data.shape, seed, device)
            record = learn(model, data.train, params, seed, spool)
            return model.encoder.state_dict(), record

        with suited(data.shape):
            return every_seed(one, params.seeds, inputs.spool, out, params, image=data.shape)


def check(params: Infomax, count: int) -> None:
    """Raise `Refusal` for params that no training on `count` images can have."""
    size = distributed.world()[1]
    if params.batch % size or not 2 * size <= params.batch <= count:
        raise Refusal(
            f"params.yaml: a batch of {params.batch} of {count} images has no even shares of two and more "
            f"for {size} processes"
        )
    if min(params.alpha, params.beta, params.gamma) < 0 or params.alpha + params.beta == 0:
        raise Refusal("params.yaml: alpha, beta and gamma are weights from 0 on; alpha or beta must be above it")


def build(params: Infomax, image: Image, seed: int, device: torch.device) -> Model:
    """A fresh model on `device`, in the memory format that the params say."""
    kept = torch.channels_last if params.channels_last else torch.preserve_format
    return distributed.synchronised(Model(params, image, seed).to(device, memory_format=kept))


def learn(model: Model, data: torch.Tensor, params: Infomax, seed: int, spool: Path | None = None) -> History:
    """Train `model` in place on `data` uint8 [n, c, h, w]; the record of every step."""
    device = data.device
    source = torch.Generator(device).manual_seed(seed)
    weights = list(model.parameters())
    optimiser = torch.optim.Adam(weights, params.rate, fused=True)
    encode = torch.compile(model.encoder) if params.compile and device.type == "cuda" else model.encoder
    scale = {"global": params.alpha, "local": params.beta, "prior": params.gamma}

    def step(i: int) -> Mapping[str, torch.Tensor]:
        rows = torch.randperm(len(data), generator=source, device=device)[: params.batch]  # no image twice
        x = images.unit(distributed.share(data[rows]))
        with devices.precision(device, params.bf16):
            cells, h = encode(x)
            code = model.encoder.head(h)
            terms = model.terms(cells, code.draw(source)[0])
        terms["prior"] = code.kl().mean() / params.posterior.latent
        loss = torch.stack([scale[name] * term for name, term in terms.items()]).sum()
        differentiate(loss, weights)
        optimiser.step()
        return {"loss": loss, **terms}

    parts = {"model": model, "adam": optimiser, "source": source}
    history = fit(step, parts, params.steps, params.watch, spool, f"seed {seed}")
    model.eval()
    return history
