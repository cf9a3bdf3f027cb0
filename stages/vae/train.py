"""The training of any VAE: params.yaml says which posterior, likelihood and regulariser, and which nets.

    h = encoder(x), code = head(h), z = mu + sigma e, loss = -log q(x|z) + beta KL(p(z|x) || q(z))

in nats: sums over pixels or symbols, means over the batch. Batches are always whole, as batch norm needs them. Data
stay on the device as they are stored; each process of several draws what one alone would draw and works on its share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from stages.core import devices, distributed, files, tables
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.nets import curves, images
from stages.nets.networks import Average
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
    """Train one model for each seed on the images of `inputs.input`; writes and raises as `every_seed` does."""
    if inputs.input is None:
        raise Refusal("params.yaml: a VAE needs an `input`, a data set of images")
    folder = inputs.input

    def opened(device: torch.device) -> tuple[torch.Tensor, dict[str, Any]]:
        data = images.load(folder, device).train
        return data, {"image": tuple(data.shape[1:])}

    return every_seed(opened, build, params, out, inputs.spool)


def every_seed(
    opened: Callable[[torch.device], tuple[torch.Tensor, dict[str, Any]]],
    build: Callable[..., Model],
    params: Fitting,
    out: Path,
    spool: Path | None,
) -> Findings:
    """Train one model for each seed: `build`(params, seed, device, and by name what `opened` says beside its data).

    Writes `out`/seed_N.safetensors (the averaged weights where there is an average), history.parquet and model.json,
    which holds the params and what `opened` said. Raises `Refusal` for params that do not fit, and where a training
    diverges.
    """
    from safetensors.torch import save_file

    records: dict[int, History] = {}
    begin = time.perf_counter()
    with distributed.joined(params.device) as device:
        data, shape = opened(device)
        out.mkdir(parents=True, exist_ok=True)
        for seed in params.seeds:
            model = build(params, seed=seed, device=device, **shape)
            kept = spool / f"seed_{seed}" if spool else None
            with suited(tuple(data.shape[1:])):
                learnt, records[seed] = learn(model, data, params, seed, kept)
            weights = {name: value.cpu().contiguous() for name, value in learnt.state_dict().items()}
            save_file(weights, out / f"seed_{seed}.safetensors")
    took = time.perf_counter() - begin
    files.write_json({"params": asdict(params), **shape}, out / "model.json")
    tables.write(curves.table(records), out / "history.parquet")
    return Findings(
        history=curves.columns(records), facts={"steps_per_second": params.steps * len(params.seeds) / took}
    )


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
