"""Activations: every row of the table makes a module that trains; trained widths and slopes; stairs; digits."""

import copy

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets import smoothing
from stages.nets.activations import ACTIVATIONS, SAU, SMU, Smooth, SmoothFloor, SmoothMax, Width, smooth_round
from stages.nets.threads import one_thread

X = torch.linspace(-4, 4, 97)


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_a_module_with_finite_derivatives(name):
    layer, x = ACTIVATIONS[name](), torch.cat([X, torch.tensor([-1e4, 0.0, 1e4])]).reshape(4, 25).requires_grad_()
    y = layer(x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    slopes = torch.autograd.grad(y.sum(), [x, *layer.parameters()])
    assert all(slope.isfinite().all() for slope in slopes)
    assert slopes[0].abs().max() <= 1.5
    assert slopes[0].abs().max() > 0.4
    assert layer(torch.tensor([float("nan")])).isnan().all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_copied_and_kept(name):
    layer = ACTIVATIONS[name]()
    for weight in layer.parameters():
        nn.init.constant_(weight, 0.3)
    other = ACTIVATIONS[name]()
    other.load_state_dict(layer.state_dict())
    for again in (other, copy.deepcopy(layer)):
        torch.testing.assert_close(again(X), layer(X), rtol=0, atol=0)


def test_relatives_are_what_they_are_named_after():
    close = {"rtol": 0, "atol": 1e-6}
    alpha, mu = 0.25, 0.6
    torch.testing.assert_close(ACTIVATIONS["swish"]()(X), functional.silu(X), **close)
    torch.testing.assert_close(SMU(slope=0.0)(X), functional.gelu(X), **close)
    # SMU and SMU-1 as their paper writes them, in μ, https://arxiv.org/abs/2111.04682
    smu = 0.5 * ((1 + alpha) * X + (1 - alpha) * X * torch.erf(mu * (1 - alpha) * X))
    torch.testing.assert_close(SMU(1 / (2**0.5 * mu * (1 - alpha)), alpha)(X), smu, **close)
    smu1 = 0.5 * ((1 + alpha) * X + torch.sqrt((1 - alpha) ** 2 * X**2 + mu**2))
    torch.testing.assert_close(SAU(mu / (1 - alpha), alpha, smoothing.STUDENT)(X), smu1, **close)
    smelu = torch.where(X.abs() < 2, (X + 2) ** 2 / 8, X.relu())
    torch.testing.assert_close(ACTIVATIONS["smelu"]()(X), smelu, **close)


def test_a_trained_width_stays_positive_and_finds_the_width_of_its_teacher():
    student, teacher = SAU(1.0, 0.3, trained=True), SAU(0.5, 0.1)
    optimiser = torch.optim.Adam(student.parameters(), 0.1)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (student(X) - teacher(X)).square().mean()
        loss.backward()
        optimiser.step()
    assert student.width().item() == pytest.approx(0.5, abs=0.01)
    assert student.slope.item() == pytest.approx(0.1, abs=0.01)
    with torch.no_grad():
        student.width.log -= 50
    assert student.width() > 0
    assert [name for name, _ in student.named_parameters()] == ["slope", "width.log"]
    assert list(SAU().parameters()) == []


def test_stairs_of_any_step():
    x = X.double()
    torch.testing.assert_close(SmoothFloor(0.0)(x), x.floor())
    torch.testing.assert_close(smooth_round(0.0)(x + 1e-3), (x + 1e-3).round())
    quarter = SmoothFloor(1e-4, step=0.25)(x + 0.01)
    torch.testing.assert_close(quarter, ((x + 0.01) / 0.25).floor() * 0.25, rtol=0, atol=1e-6)
    wide = SmoothFloor(0.05, step=0.25)(x)
    every = [0.25 * smoothing.step(x - 0.25 * n, 0.05, smoothing.LOGISTIC) for n in range(-60, 61)]
    torch.testing.assert_close(wide, sum(every) - 0.25 * 61)
    ceil = -SmoothFloor(1e-4)(-(x + 0.01))
    torch.testing.assert_close(ceil, (x + 0.01).ceil(), rtol=0, atol=1e-6)


def test_modules_of_functions():
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(SmoothMax(1, 0.1)(x), 0.1 * torch.logsumexp(x / 0.1, 1))
    largest = SmoothMax(-1, 0.5, smoothing.GAUSSIAN, trained=True)
    assert largest(x).shape == (5, 3)
    largest(x).sum().backward()
    assert largest.width.log.grad > 0
    clipped = Smooth(smoothing.clip(0.0, 1.0), 1e-6)(x)
    torch.testing.assert_close(clipped, x.clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("call", [lambda: Width(-1.0), lambda: Width(0.0, trained=True), lambda: SAU(float("nan"))])
def test_a_width_that_is_none_is_refused(call):
    with pytest.raises(Refusal, match="width of a kernel"):
        call()


def digits_accuracy(name, seed):
    """Of a two-layer network on the test digits after 500 steps."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(64, 64), ACTIVATIONS[name](), nn.Linear(64, 10))
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        order = torch.randperm(len(x))
        train, test = order[:1400], order[1400:]
        for _ in range(500):
            rows = train[torch.randint(len(train), (64,))]
            optimiser.zero_grad()
            functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimiser.step()
    return (net(x[test]).argmax(1) == y[test]).double().mean().item()


@pytest.mark.slow
def test_on_digits_sau_is_within_a_point_of_relu_and_gelu():
    mean = {name: sum(digits_accuracy(name, seed) for seed in range(3)) / 3 for name in ("sau", "relu", "gelu")}
    assert mean["sau"] > 0.95
    assert mean["sau"] > max(mean["relu"], mean["gelu"]) - 0.01
