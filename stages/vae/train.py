"""The training of any VAE: params.yaml says which posterior, likelihood and regulariser, and which nets.

    h = encoder(x), code = head(h), z = mu + sigma e, loss = -log q(x|z) + beta KL(p(z|x) || q(z))

in nats: sums over pixels or symbols, means over the batch. Batches are always whole, as batch norm needs them. Data
stay on the device as they are stored; each process of several draws what one alone would draw and works on its share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from stages.core import devices, distributed
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.nets import images
from stages.nets.networks import Average
from stages.nets.seeds import every_seed
from stages.nets.threads import suited
from stages.nets.training import History, differentiate, draw, fit
from stages.vae import bounds
from stages.vae.model import Autoencoder
from stages.vae.objective import REGULARISERS, warmth
from stages.vae.settings import Fitting, Vae


class Model(bounds.Model, Protocol):
    """What can be trained: a module that has bounds."""

    fast: dict[str, nn.Module]  # its nets, perhaps compiled

    def look(self, rows: torch.Tensor, source: torch.Generator) -> torch.Tensor:
        """What it is given of a batch of data."""


def train(inputs: Inputs, params: Vae, out: Path) -> Findings:
    """Train one model for each seed on the images of `inputs.input`.

    Writes the weights (the averaged ones where there is an average) as seeds.py does. Raises `Refusal` for params that
    do not fit, and where a training diverges.
    """
    if inputs.input is None:
        raise Refusal("params.yaml: a VAE needs an `input`, a data set of images")
    with distributed.joined(params.device) as device:
        data = images.load(inputs.input, device).train
        image = tuple(data.shape[1:])
        with suited(image):
            one = partial(learnt, lambda seed: build(params, image, seed, device), data, params)
            return every_seed(one, params.seeds, inputs.spool, out, params, image=image)


def learnt(
    fresh: Callable[[int], Model], data: torch.Tensor, params: Fitting, seed: int, spool: Path | None
) -> tuple[dict[str, torch.Tensor], History]:
    """The weights and the record of one seed's model, which `fresh` makes."""
    model, record = learn(fresh(seed), data, params, seed, spool)
    return model.state_dict(), record


def build(params: Vae, image: tuple[int, int, int], seed: int, device: torch.device) -> Autoencoder:
    """A fresh model on `device`, in the memory format that the params say."""
    return distributed.synchronised(Autoencoder(params, image, seed).to(device))


def learn(
    model: Model, data: torch.Tensor, params: Fitting, seed: int, spool: Path | None = None
) -> tuple[nn.Module, History]:
    """Train `model` in place on `data` [n, ...]; it, or its average, to be judged, and the record.

    Raises `Refusal` for a batch that the processes cannot share evenly, and where the training diverges.
    """
    if params.batch % distributed.world()[1]:
        raise Refusal(
            f"params.yaml: a batch of {params.batch} has no even share for {distributed.world()[1]} processes"
        )
    device = data.device
    source = torch.Generator(device).manual_seed(seed)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = choose(OPTIMISERS, params.optimiser.kind, "optimiser.kind")(weights, params.optimiser.rate)
    regulariser = choose(REGULARISERS, params.regulariser, "regulariser")
    parts: dict[str, nn.Module | torch.optim.Optimizer | torch.Generator] = {}
    parts |= {"model": model, "optimiser": optimiser, "source": source}
    average = Average(model, params.average) if params.average else None
    if average:
        parts["average"] = average
    if params.compile and device.type == "cuda":
        model.fast = {name: torch.compile(net) for name, net in model.fast.items()}

    def step(i: int) -> Mapping[str, torch.Tensor]:
        x = distributed.share(model.look(draw(data, params.batch, source), source))
        with devices.precision(device, params.bf16):
            code = model.encode(x)
            reconstruction = -model.log_prob(x, code.draw(source)).mean()
        term = regulariser(code, params.free_bits)
        loss = reconstruction + params.beta * warmth(i, params.warm_up) * term
        differentiate(loss, weights)
        logs = {"loss": loss, "reconstruction": reconstruction, params.regulariser: term}
        if params.regulariser == "kl" and not params.free_bits:
            logs["slack"] = term - model.head.bound().to(device)
        optimiser.step()
        if average:
            average.update(model)
        return logs

    model.train()
    history = fit(step, parts, params.steps, params.watch, spool, f"seed {seed}")
    return (average.module if average else model).eval(), history


OPTIMISERS: Choices = {
    "adam": lambda weights, rate: torch.optim.Adam(weights, rate, fused=True),
    "rmsprop": lambda weights, rate: torch.optim.RMSprop(weights, rate, alpha=0.9),
}
