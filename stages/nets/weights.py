"""Weights that are transformed before they are used; held to a constraint after each update: constraints.py.

Articles: https://kexue.fm/archives/6311, https://kexue.fm/archives/6051 (spectral norm),
https://kexue.fm/archives/6418 (a rate of its own for each layer); papers: Miyato et al. 2018
(https://arxiv.org/abs/1802.05957), Salimans & Kingma 2016 (weight norm, https://arxiv.org/abs/1602.07868).

    y = f(θ) x, differentiated through f (torch.nn.utils.parametrize)
    spectral    W / σ, σ = u^T W v; a forward pass in training makes v = W^T u / |W^T u|, u = W v / |W v|
    scale       θ = l φ: SGD moves θ with its rate times l^2, Adam with its rate times l

In evaluation all are pure functions; `plain` leaves the transformed weights behind. The numbers: after 30 steps σ is
1 within 1e-3, where five steps from a vector of ones, as the article has it, are 6% too low (row `nets_theory`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from stages.core.errors import Refusal, one_line
from stages.core.params import Choices
from stages.nets.constraints import matrix, non_negative, nonzero, norms, standardised, unit

Weigh = Callable[[torch.Tensor], torch.Tensor]
"""A function of weights that keeps their shape."""

WARM = 15  # steps of power iteration before the first use
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def out_axis(module: nn.Module) -> int:
    """The axis of outputs (filters) in the weight of `module`: 1 for transposed convolutions, else 0."""
    return 1 if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) else 0


class Spectral(nn.Module):
    """W target / σ, or with `soft` only where σ is above `target`; zeros stay zeros."""

    u: torch.Tensor
    v: torch.Tensor

    def __init__(
        self, weight: torch.Tensor, axis: int = 0, iterations: int = 1, target: float = 1.0, soft: bool = False
    ) -> None:
        super().__init__()
        if weight.dim() == 0:
            raise Refusal("a single number has no singular values: transform a vector, a matrix or filters")
        self.axis, self.iterations, self.target, self.soft = axis, iterations, target, soft
        whole = _single(matrix(weight.detach(), axis))
        drawn = torch.randn(len(whole), generator=torch.Generator().manual_seed(0))
        self.register_buffer("u", _direction(drawn.to(whole), whole[:, 0]))
        self.register_buffer("v", torch.zeros_like(whole[0]))
        self._iterate(whole, WARM)

    @torch.no_grad()
    def _iterate(self, whole: torch.Tensor, steps: int) -> None:
        u, v = self.u.to(whole), self.v.to(whole)
        for _ in range(steps):
            v = _direction(whole.mH @ u, v)
            u = _direction(whole @ v, u)
        self.u.copy_(u)
        self.v.copy_(v)

    def sigma(self, weight: torch.Tensor) -> torch.Tensor:
        """u^H W v, an estimate from below of the largest singular value."""
        whole = _single(matrix(weight, self.axis))
        with torch.autocast(weight.device.type, enabled=False):
            if self.training:
                self._iterate(whole.detach(), self.iterations)
            u, v = self.u.to(whole, copy=True), self.v.to(whole, copy=True)  # what backward needs must not change
            return torch.vdot(u, whole @ v).real if whole.is_complex() else torch.vdot(u, whole @ v)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The transformed weight."""
        factor = self.target / nonzero(self.sigma(weight))
        return (weight * (factor.clamp(max=1) if self.soft else factor)).to(weight.dtype)


def _direction(x: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """`x` over its length, `last` where that is 0."""
    length = torch.linalg.vector_norm(x)
    return torch.where(length > 0, x / nonzero(length), last)


def _single(x: torch.Tensor) -> torch.Tensor:
    """At least single precision: with halves the iteration would stand still."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class Polar(nn.Module):
    """g v / |v| a filter: the direction and the length of a weight are learnt apart."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Lengths [.., 1, ..] and directions as the weight."""
        return g * unit(v, self.axis)

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Lengths and directions of a weight."""
        return norms(weight, self.axis), weight


class Scale(nn.Module):
    """θ = l φ."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        if factor == 0:
            raise Refusal("a scale of 0 would make all weights 0: freeze them, or choose another")
        self.factor = factor

    def forward(self, phi: torch.Tensor) -> torch.Tensor:
        """θ."""
        return self.factor * phi

    def right_inverse(self, theta: torch.Tensor) -> torch.Tensor:
        """φ: the function stays what it was."""
        return theta / self.factor


class Weighed(nn.Module):
    """Any function of weights as a parametrisation."""

    def __init__(self, function: Weigh) -> None:
        super().__init__()
        self.function = function

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The transformed weight."""
        return self.function(weight)


def before(module: nn.Module, transform: nn.Module | Weigh, name: str = "weight") -> nn.Module:
    """`module`, which uses its parameter `name` transformed from now on; several transforms act one after another.

    Raises `Refusal` where there is no such parameter and for a transform that changes its shape.
    """
    if not isinstance(getattr(module, name, None), torch.Tensor):
        have = ", ".join(key for key, _ in module.named_parameters(recurse=False)) or "none"
        raise Refusal(f"{type(module).__name__} has no parameter '{name}' to transform; it has: {have}")
    part = transform if isinstance(transform, nn.Module) else Weighed(transform)
    try:
        return parametrize.register_parametrization(module, name, part)
    except (ValueError, RuntimeError) as error:
        raise Refusal(f"the weight '{name}' cannot be transformed: {one_line(error)}") from error


def spectral(module: nn.Module, name: str = "weight", **more: float) -> nn.Module:
    """Spectral norm, hard or soft (see `Spectral` for `more`), of the parameter `name`."""
    return before(module, Spectral(getattr(module, name), out_axis(module), **more), name)


def weight_norm(module: nn.Module, name: str = "weight") -> nn.Module:
    """Lengths and directions of filters apart."""
    return before(module, Polar(out_axis(module)), name)


def scale(module: nn.Module, name: str = "weight", factor: float = 1.0) -> nn.Module:
    """A learning rate of its own: see `Scale`."""
    return before(module, Scale(factor), name)


def _by(function: Callable[[torch.Tensor, int], torch.Tensor]) -> Callable[..., nn.Module]:
    """`function` of a weight and its axis of outputs, as a transform of modules."""
    return lambda module, name="weight": before(module, partial(function, axis=out_axis(module)), name)


TRANSFORMS: Choices = {
    "spectral": spectral,
    "spectral_soft": partial(spectral, soft=True),
    "l2": _by(unit),
    "weight_norm": weight_norm,
    "standardise": _by(standardised),
    "non_negative": _by(non_negative),
    "orthogonal": parametrizations.orthogonal,
}
"""Functions of a module and the name of its parameter."""


def everywhere(
    net: nn.Module, transform: Callable[..., nn.Module], name: str = "weight", kinds: tuple[type, ...] = WEIGHTED
) -> nn.Module:
    """`net`, in which `transform` acts on the parameter `name` of all modules of `kinds`: once on one they share."""
    owners: dict[nn.Parameter, nn.Module] = {}
    for module in [module for module in net.modules() if isinstance(module, kinds)]:
        weight = getattr(module, name)
        if weight in owners:
            before(module, nn.Identity(), name).parametrizations[name] = owners[weight].parametrizations[name]
        elif weight is not None:
            owners[weight] = transform(module, name)
    return net


def plain(net: nn.Module) -> nn.Module:
    """`net` with its transformed weights as plain ones, the same function as `net` in evaluation."""
    made: dict[nn.Module, nn.Parameter] = {}
    for module in [module for module in net.modules() if parametrize.is_parametrized(module)]:
        for name, transforms in list(module.parametrizations.items()):
            transforms.eval()  # no more steps of power iteration
            if transforms in made:  # a shared weight, which is plain already
                module.parametrizations[name] = parametrize.ParametrizationList([nn.Identity()], made[transforms])
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
            made[transforms] = getattr(module, name)
    return net
