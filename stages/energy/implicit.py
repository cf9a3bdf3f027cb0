"""An energy without a generator: its samples are noisy descents on itself, which go on from where past ones ended.

Article: https://kexue.fm/archives/6612; paper: Du & Mordatch 2019 (https://arxiv.org/abs/1903.08689).

    p(x) = exp(-U(x)) / Z,    U = -s, the critic's realness turned round
    x_f  = descent on U (nets/langevin.py) from a buffer of past samples, now and then from uniform noise
    loss = E[U(x_r) - U(x_f)] + alpha E[U(x_r)^2 + U(x_f)^2],    with no gradient through x_f

The article prints a minus between the squares; that loss has no lower bound and runs away.
The number: on a ring of 8 the likelihood, by integration on a grid, beats the uniform law's by 3.2 nats
(systems rows `igebm_ring` and, on digits, `igebm`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from stages.core import devices
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.nets.langevin import Descent, Potential, descend
from stages.nets.layers import Image, Network
from stages.nets.networks import Average, critic
from stages.nets.training import History, Watch, fit

FLOOR = 0.01
"""Gradients below this are never cut: a weight without a past could not begin to move."""


@dataclass(frozen=True)
class Implicit:
    """Params of the training."""

    network: Network
    descent: Descent  # of samples
    objective: str  # difference, softplus, weighted
    alpha: float  # of the squares of energies
    buffer: int  # past samples
    store: str  # of the buffer: uint8 for images in [0, 1], or float
    fresh: float  # share of the descents that start from uniform noise
    batch: int
    steps: int
    rate: float  # of Adam
    betas: tuple[float, float]
    cut: float  # gradients at so many root mean squares of their past; 0 for nowhere
    average: float  # decay of the average of the weights, which is the model
    seeds: tuple[int, ...]
    watch: Watch  # `spread`, of a batch of samples, is near 0 where all have become one
    device: str
    bf16: bool
    compile: bool


def difference(u_r: torch.Tensor, u_f: torch.Tensor) -> torch.Tensor:
    """E U(x_r) - E U(x_f), whose gradient is that of minus the log likelihood."""
    return u_r.mean() - u_f.mean()


def softplus(u_r: torch.Tensor, u_f: torch.Tensor) -> torch.Tensor:
    """The difference in pairs, of less weight the better real and fake are told apart."""
    return functional.softplus(u_r - u_f).mean()


def weighted(u_r: torch.Tensor, u_f: torch.Tensor) -> torch.Tensor:
    """The difference, where fakes count in proportion to exp(-U)."""
    return u_r.mean() - (torch.softmax(-u_f.detach(), 0) * u_f).sum()


OBJECTIVES: Choices = {"difference": difference, "softplus": softplus, "weighted": weighted}


def squares(u_r: torch.Tensor, u_f: torch.Tensor) -> torch.Tensor:
    """E[U(x_r)^2 + U(x_f)^2], which holds energies near 0."""
    return u_r.square().mean() + u_f.square().mean()


def _bytes(x: torch.Tensor) -> torch.Tensor:
    return (x * 255).round().to(torch.uint8)


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / 255


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


STORES: Choices = {"uint8": (_bytes, _unit), "float": (_same, _same)}
"""How samples go into the buffer and come out of it."""


def energy(net: Callable[[torch.Tensor], torch.Tensor], bf16: bool = False) -> Potential:
    """U(x) = -s(x) of the critic `net`; [n, channels, height, width] -> [n] float32."""

    def u(x: torch.Tensor) -> torch.Tensor:
        with devices.precision(x.device, bf16):
            return -net(x).float()

    return u


def uniform(n: int, image: Image, descent: Descent, source: torch.Generator) -> torch.Tensor:
    """`n` uniform draws from the box of the descents, [n, channels, height, width]."""
    drawn = torch.rand(n, *image, generator=source, device=source.device)
    return descent.low + (descent.high - descent.low) * drawn


def samples(net: nn.Module, u: Potential, x: torch.Tensor, descent: Descent, source: torch.Generator) -> torch.Tensor:
    """`x` after a descent on `u`, the energy of `net`, whose weights and spectral norms stay as they are."""
    mode = net.training
    net.eval().requires_grad_(False)
    with parametrize.cached():
        found = descend(u, x, descent, source)
    net.train(mode).requires_grad_(True)
    return found


@torch.no_grad()
def cut(optimiser: torch.optim.Adam, times: float) -> None:
    """Cut each entry of the gradients at `times` the root mean square of its past, by Adam's second moment."""
    for group in optimiser.param_groups:
        for weight in group["params"]:
            if past := optimiser.state.get(weight):
                mean = past["exp_avg_sq"] / (1 - group["betas"][1] ** past["step"])
                limit = times * mean.sqrt() + FLOOR
                weight.grad.clamp_(-limit, limit)


def learn(
    reals: Callable[[torch.Generator], torch.Tensor],
    image: Image,
    params: Implicit,
    seed: int,
    device: torch.device,
    spool: Path | None = None,
) -> tuple[nn.Module, torch.Tensor, History]:
    """The averaged critic, the buffer [buffer, channels, height, width] as floats, and a column a recorded number.

    `reals` draws a batch of data. Raises `Refusal` for params that do not fit and where the training diverges.
    """
    _check(params)
    source = torch.Generator(device).manual_seed(seed)
    net = critic(params.network, image, seed=seed).to(device)
    average = Average(net, params.average)
    optimiser = torch.optim.Adam(net.parameters(), params.rate, params.betas, fused=True)
    u = energy(torch.compile(net) if params.compile and device.type == "cuda" else net, params.bf16)
    objective = choose(OBJECTIVES, params.objective, "objective")
    put, take = choose(STORES, params.store, "store")
    buffer = put(uniform(params.buffer, image, params.descent, source))

    def step(i: int) -> dict[str, torch.Tensor]:
        x_r = reals(source)
        rows = torch.randperm(params.buffer, generator=source, device=device)[: params.batch]
        anew = torch.rand(params.batch, 1, 1, 1, generator=source, device=device) < params.fresh
        begin = torch.where(anew, uniform(params.batch, image, params.descent, source), take(buffer[rows]))
        x_f = samples(net, u, begin, params.descent, source)
        buffer[rows] = put(x_f)
        u_r, u_f = u(torch.cat([x_r, x_f])).split([len(x_r), len(x_f)])
        loss = objective(u_r, u_f) + params.alpha * squares(u_r, u_f)
        optimiser.zero_grad()
        loss.backward()
        if params.cut:
            cut(optimiser, params.cut)
        optimiser.step()
        average.update(net)
        return {"loss": loss, "real": u_r.mean(), "fake": u_f.mean(), "spread": x_f.var(dim=0).mean().sqrt()}

    parts = {"net": net, "average": average, "optimiser": optimiser, "source": source, "buffer": buffer}
    history = fit(step, parts, params.steps, params.watch, spool, f"seed {seed}")
    return average.module, take(buffer).float(), history


def _check(params: Implicit) -> None:
    if params.network.norm == "batch":
        raise Refusal("params.yaml: batch norm makes the energy of a sample hang on the others': use spectral or none")
    if params.batch > params.buffer:
        raise Refusal(f"params.yaml: the buffer holds {params.buffer} samples, fewer than a batch of {params.batch}")
    box = (params.descent.low, params.descent.high)
    if params.store == "uint8" and box != (0.0, 1.0):
        raise Refusal(f"params.yaml: a buffer of uint8 holds samples in [0, 1], not in {list(box)}: store float")
