"""Transformed weights against singular value decomposition and formulas by hand, averages against their sum.

Articles: https://kexue.fm/archives/6311, https://kexue.fm/archives/6418, https://kexue.fm/archives/6575.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from stages.nets.averages import Average
from stages.nets.constraints import after, matrix, within_spectral
from stages.nets.inside import Inside, train_step
from stages.nets.weights import out_axis, plain, scale, spectral

STEPS = 30
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(20, 12), (16, 20)),
    "convolution": (lambda: nn.Conv2d(5, 8, 3), (4, 5, 6, 6)),
    "transposed": (lambda: nn.ConvTranspose2d(5, 8, 3), (4, 5, 4, 4)),
}
"""Layers, and shapes that they take."""


def measure(seed: int) -> dict[str, float]:
    """What the article and its companions say of weights, one number each."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {
            "spectral_off": max(_sigma_off(make, shape) for make, shape in LAYERS.values()),
            "spectral_gradient_off": _gradient_off(),
            "removal_changes": _removal(),
            "constrained": _constrained(),
            **{f"ones_{n}": _from_ones(n) for n in (1, 5, 20, 100)},
            **_scales(),
            "registered_off": _registered_off(),
            **_average(),
        }


def _largest(layer: nn.Module) -> float:
    """The largest singular value of the weight that is used."""
    return torch.linalg.matrix_norm(matrix(layer.weight.detach(), out_axis(layer)), 2).item()


def _trained(layer: nn.Module, shape: tuple[int, ...], optimiser: torch.optim.Optimizer) -> None:
    """`STEPS` steps towards random outputs."""
    x = torch.randn(shape)
    y = torch.randn_like(layer(x))
    for _ in range(STEPS):
        optimiser.zero_grad()
        (layer(x) - y).square().mean().backward()
        optimiser.step()
    layer(x)


def _sigma_off(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> float:
    layer = spectral(make())
    _trained(layer, shape, torch.optim.Adam(layer.parameters(), 3e-3))
    return abs(_largest(layer.eval()) - 1)


def _gradient_off() -> float:
    """Distance of the gradient of a hard spectral norm from (G - <G, W'> u v^T) / σ, by hand, u and v constant."""
    layer = spectral(nn.Linear(7, 5, dtype=torch.float64)).eval()
    transform, raw = layer.parametrizations.weight[0], layer.parametrizations.weight.original
    g = torch.randn(5, 7, dtype=torch.float64)
    (found,) = torch.autograd.grad((layer.weight * g).sum(), raw)
    sigma, used = transform.sigma(raw).detach(), layer.weight.detach()
    true = (g - (g * used).sum() * torch.outer(transform.u, transform.v)) / sigma
    return (found - true).abs().max().item()


def _removal() -> float:
    net = nn.Sequential(spectral(nn.Linear(6, 6)), nn.ReLU(), spectral(nn.Linear(6, 3)))
    x = torch.randn(4, 6)
    before = net.eval()(x)
    net.train()
    return (plain(net)(x) - before).abs().max().item()


def _constrained() -> float:
    """The largest singular value under the constraint after each step."""
    layer = nn.Linear(20, 12)
    optimiser = torch.optim.Adam(layer.parameters(), 1e-2)
    after(optimiser, [layer.weight], within_spectral)
    x, y = torch.randn(16, 20), 10 * torch.randn(16, 12)
    for _ in range(STEPS):
        optimiser.zero_grad()
        functional.mse_loss(layer(x), y).backward()
        optimiser.step()
    return _largest(layer)


def _from_ones(steps: int) -> float:
    """The relative error of σ after power iteration from a vector of ones, mean over 20 Gaussian 100 x 50 matrices."""
    whole = torch.randn(20, 100, 50, dtype=torch.float64)
    u = torch.ones(20, 50, 1, dtype=torch.float64)
    for _ in range(steps):
        v = functional.normalize(whole @ u, dim=1)
        u = functional.normalize(whole.mT @ v, dim=1)
    sigma = (v.mT @ whole @ u).flatten()
    return (sigma / torch.linalg.matrix_norm(whole, 2) - 1).mean().item()


def _scales() -> dict[str, float]:
    """Largest differences after 50 steps between θ = l φ, l = 0.3, and a plain θ with another rate."""
    kinds = {
        "sgd": (torch.optim.SGD, {}, 0.3**2),
        "adam_eps_1e12": (torch.optim.Adam, {"eps": 1e-12}, 0.3),
        "adam_eps_1e8": (torch.optim.Adam, {}, 0.3),
    }
    x, y = torch.randn(32, 6, dtype=torch.float64), 100 * torch.randn(32, 4, dtype=torch.float64)
    found = {}
    for name, (kind, more, factor) in kinds.items():
        slow, other = nn.Linear(6, 4, bias=False, dtype=torch.float64), nn.Linear(6, 4, bias=False, dtype=torch.float64)
        other.load_state_dict(slow.state_dict())
        scale(slow, factor=0.3)
        for layer, rate in ((slow, 0.1), (other, 0.1 * factor)):
            optimiser = kind(layer.parameters(), rate, **more)
            for _ in range(50):
                optimiser.zero_grad()
                functional.mse_loss(layer(x), y).backward()
                optimiser.step()
        found[f"scale_{name}"] = (slow.weight - other.weight).abs().max().item()
    return found


class _Autoencoder(Inside):
    """8 numbers through 3, with its loss inside."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.back = nn.Linear(8, 3, dtype=torch.float64), nn.Linear(3, 8, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.back(self.code(x).tanh())
        self.add_loss("square", (y - x).square().mean())
        return y


def _registered_off() -> float:
    """Largest difference of weights after 50 steps, the loss inside against the loss outside."""
    inside, outside = _Autoencoder(), _Autoencoder()
    outside.load_state_dict(inside.state_dict())
    x = torch.randn(64, 8, dtype=torch.float64)
    optimisers = [torch.optim.Adam(net.parameters(), 1e-2) for net in (inside, outside)]
    for _ in range(50):
        train_step(inside, optimisers[0], x)
        optimisers[1].zero_grad()
        functional.mse_loss(outside.back(outside.code(x).tanh()), x).backward()
        optimisers[1].step()
    pairs = zip(inside.parameters(), outside.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def _average() -> dict[str, float]:
    """Distance of an average from its sum, and of a training with one from a training without."""
    runs, a = [], 0.9
    start = nn.Linear(5, 5, dtype=torch.float64).state_dict()
    x = torch.randn(32, 5, dtype=torch.float64)
    for followed in (True, False):
        net = nn.Linear(5, 5, dtype=torch.float64)
        net.load_state_dict(start)
        average, optimiser, seen = Average(net, a), torch.optim.Adam(net.parameters(), 1e-2), []
        for _ in range(40):
            optimiser.zero_grad()
            (net(x) - x.flip(0)).square().mean().backward()
            optimiser.step()
            seen.append(net.weight.detach().clone())
            if followed:
                average.update(net)
                with average.applied(net):
                    net(x)
        runs.append((average.module.weight, seen))
    n, (found, seen) = len(runs[0][1]), runs[0]
    true = a**n * start["weight"] + sum((1 - a) * a ** (n - i) * w for i, w in enumerate(seen, 1))
    trace = max((one - two).abs().max().item() for one, two in zip(seen, runs[1][1], strict=True))
    return {"average_off": (found - true).abs().max().item(), "average_moves_training": trace}
