"""Smooth functions: the convolution by quadrature, bounds, limits, derivatives, the article's floor, extremes."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets import smoothing
from stages.nets.smoothing import (
    BOX,
    CAUCHY,
    GAUSSIAN,
    KERNELS,
    LOGISTIC,
    STUDENT,
    Piecewise,
    clip,
    leaky,
    ramp,
    smooth,
    smooth_floor,
    smooth_largest,
    smooth_max,
    smooth_numeric,
    stairs,
    step,
)
from stages.nets.theory.smoothing import CASES, DENSITIES, quadrature

INF = float("inf")
LINE = torch.linspace(-6, 6, 1201, dtype=torch.float64)
RAMPS = {name: kernel for name, kernel in KERNELS.items() if kernel.rest}
DENSITY = {name: density for name, (_, density) in DENSITIES.items()} | {
    "student": lambda u: 0.5 * (1 + u * u) ** -1.5,
    "cauchy": lambda u: 1 / (math.pi * (1 + u * u)),
    "box": lambda u: 0.5 * (np.abs(u) < 1),
}


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("width", [0.1, 1.0])
def test_the_closed_form_is_the_convolution(case, name, width):
    spec, f, knots = CASES[case]
    kernel, density = DENSITIES[name]
    x = np.array([-2.0, -1.0, -0.3, 0.0, 0.04, 0.5, 2.0, 2.2])
    true = [quadrature(f, knots, at, width, density) for at in x]
    np.testing.assert_allclose(smooth(spec, torch.from_numpy(x), width, kernel).numpy(), true, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_with_width_0_a_function_is_itself(case):
    spec, f, knots = CASES[case]
    np.testing.assert_array_equal(spec(LINE)[~np.isin(LINE, knots)], f(LINE.numpy())[~np.isin(LINE, knots)])
    torch.testing.assert_close(smooth(spec, LINE, 0.0), spec(LINE), rtol=0, atol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_a_law_with_the_density_that_its_name_says(name):
    kernel, u = KERNELS[name], torch.linspace(0.05, 0.95, 19, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(kernel.tail(u).sum(), u)
    np.testing.assert_allclose(-slope.numpy(), DENSITY[name](u.detach().numpy()), rtol=1e-10)
    assert kernel.tail(double(0.0)).item() == pytest.approx(0.5, abs=1e-16)
    assert kernel.tail(double(1e12)).item() < 1e-12
    if kernel.rest:
        (slope,) = torch.autograd.grad(kernel.rest(u).sum(), u)
        torch.testing.assert_close(-slope, kernel.tail(u), rtol=1e-9, atol=0)
        assert kernel.rest(double(1e12)).item() < 1e-12
    if kernel.reach:
        assert kernel.tail(double(kernel.reach)).item() < 1e-16


@pytest.mark.parametrize(
    ("name", "bound"),
    [("gaussian", 1 / math.sqrt(2 * math.pi)), ("logistic", math.log(2)), ("student", 0.5), ("box", 0.25)],
)
def test_the_largest_error_of_a_ramp_is_at_0_and_in_proportion_to_the_width(name, bound):
    for width in (0.01, 0.5, 2.0):
        off = ramp(LINE, width, KERNELS[name]) - LINE.relu()
        assert off.max().item() == pytest.approx(bound * width, abs=1e-12)
        assert LINE[off.argmax()].abs() < 1e-12
        assert off.min() >= 0


@pytest.mark.parametrize("name", KERNELS)
def test_a_step_converges_off_its_jump(name):
    errors = [abs(step(double(0.2), width, KERNELS[name]).item() - 1) for width in (0.1, 0.01, 1e-3, 1e-4)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 2e-4


def test_identities():
    x = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    close = {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(smooth(leaky(1.0), x, 0.7), x, **close)
    torch.testing.assert_close(smooth(leaky(0.0), x, 0.7), ramp(x, 0.7), **close)
    torch.testing.assert_close(ramp(x, 1.0, LOGISTIC), functional.softplus(x, threshold=50), **close)
    torch.testing.assert_close(x * step(x, 1.0), functional.gelu(x), **close)
    torch.testing.assert_close(x * step(x, 1.0, LOGISTIC), functional.silu(x), **close)
    torch.testing.assert_close(ramp(x, 0.5, STUDENT), (x + torch.sqrt(x**2 + 0.25)) / 2, **close)
    torch.testing.assert_close(smooth(clip(-1.0, 2.0), x, 1e-9), x.clamp(-1, 2), rtol=0, atol=1e-8)
    inside = x[x.abs() < 0.5]
    torch.testing.assert_close(ramp(inside, 0.5, BOX), (inside + 0.5) ** 2 / 2, **close)
    erf = torch.erf(x / math.sqrt(2) / 0.3)
    gauss = math.sqrt(2 / math.pi) * 0.3 * torch.exp(-(x**2) / (2 * 0.3**2))
    torch.testing.assert_close(smooth(leaky(0.25), x, 0.3), 0.5 * (0.75 * x * erf + 1.25 * x + 0.75 * gauss), **close)


def test_the_largest_of_many():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b = x[:, 0], x[:, 1]
    torch.testing.assert_close(smooth_largest(x, 1, 0.2), 0.2 * torch.logsumexp(x / 0.2, 1))
    torch.testing.assert_close(smooth_max(a, b, 0.2, LOGISTIC), smooth_largest(x[:, :2], 1, 0.2))
    normal = torch.distributions.Normal(0.0, 1.0)
    u = (a - b) / 0.3
    clark = (a - b) * normal.cdf(u) + 0.3 * normal.log_prob(u).exp() + b
    torch.testing.assert_close(smooth_max(a, b, 0.3), clark, rtol=0, atol=1e-12)
    assert (smooth_largest(x, 1, 0.3, GAUSSIAN) >= x.max(1).values).all()
    torch.testing.assert_close(smooth_largest(x, 1, 0.0), x.max(1).values)


@pytest.mark.parametrize("name", RAMPS)
@pytest.mark.parametrize("spec", [leaky(0.25), leaky(-1.0), clip(-1.0, 1.0)], ids=["leaky", "absolute", "clip"])
def test_derivatives_are_right_at_the_bends_too(name, spec):
    kernel, width = RAMPS[name], torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x = double(-2.0, -1.0, 0.0, 0.4, 1.0, 3.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, h: smooth(spec, x, h, kernel), (x, width))
    if name != "box":  # of which the second derivative jumps
        assert torch.autograd.gradgradcheck(lambda x, h: smooth(spec, x, h, kernel), (x, width))


@pytest.mark.parametrize("name", KERNELS)
def test_derivatives_of_a_step(name):
    x, width = double(-1.3, 0.1, 0.55, 2.0).requires_grad_(), double(0.7).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, h: step(x, h, KERNELS[name]), (x, width))


def test_derivative_of_sau_by_its_formula():
    x = LINE.clone().requires_grad_()
    (slope,) = torch.autograd.grad(smooth(leaky(0.1), x, 0.5).sum(), x)
    torch.testing.assert_close(slope, 0.1 + 0.9 * torch.special.ndtr(LINE / 0.5), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", RAMPS)
def test_convolution_keeps_what_is_monotone_and_the_other_way_does_not(name):
    kernel = RAMPS[name]
    for spec in (leaky(0.0), leaky(0.25), leaky(2.0), clip(-1.0, 1.0)):
        assert smooth(spec, LINE, 0.7, kernel).diff().min() > -1e-13
    assert (LINE * step(LINE, 0.7, kernel)).diff().min() < -1e-4


FLOOR = {10: (0.2689, 0.136), 20: (0.1192, 0.069), 50: (0.0067, 0.028), 100: (4.5e-5, 0.014)}
"""Of the specification: the error 0.1 from a jump and on average, for M = 5, N = 10 on [-4, 9]."""


@pytest.mark.parametrize("t", FLOOR)
def test_the_floor_of_the_article(t):
    near, mean = FLOOR[t]
    x = torch.linspace(-4, 9, 13001, dtype=torch.float64, requires_grad=True)
    y = smooth(stairs(-5, 10), x, 1 / t, LOGISTIC)
    assert (y - x.floor()).abs().mean().item() == pytest.approx(mean, abs=1e-3)
    assert smooth(stairs(-5, 10), double(2.9), 1 / t, LOGISTIC).item() - 2 == pytest.approx(near, abs=1e-4)
    whole = torch.arange(-4.0, 10.0, dtype=torch.float64)
    torch.testing.assert_close(smooth(stairs(-5, 10), whole, 1 / t, LOGISTIC), whole - 0.5, rtol=0, atol=1e-3)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope.max().item() == pytest.approx(t / 4, rel=1e-3)


@pytest.mark.parametrize("kernel", [GAUSSIAN, LOGISTIC, BOX])
@pytest.mark.parametrize("width", [0.02, 0.3, 2.0])
def test_the_floor_without_ends(kernel, width):
    x = torch.linspace(-7.3, 8.1, 501, dtype=torch.float64)
    torch.testing.assert_close(smooth_floor(x, width, kernel), smooth(stairs(-200, 200), x, width, kernel))
    far = 1e6 + torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    torch.testing.assert_close(
        smooth_floor(far, width, kernel) - 1e6, smooth_floor(far - 1e6, width, kernel), atol=1e-8, rtol=0
    )
    x.requires_grad_()
    (slope,) = torch.autograd.grad(smooth_floor(x, width, kernel).sum(), x)
    (true,) = torch.autograd.grad(smooth(stairs(-200, 200), x, width, kernel).sum(), x)
    torch.testing.assert_close(slope, true, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["gaussian", "logistic", "box"])
def test_quadrature_of_any_function(name):
    kernel, x = KERNELS[name], LINE[::100]
    torch.testing.assert_close(smooth_numeric(torch.ones_like, x, 0.5, kernel), torch.ones_like(x))
    density = DENSITY[name]
    for f in (torch.sin, lambda y: y**4):
        g = lambda y, f=f: f(torch.from_numpy(y)).numpy()  # noqa: E731
        true = [quadrature(g, [at - 0.5, at + 0.5] if name == "box" else [], at, 0.5, density) for at in x.tolist()]
        np.testing.assert_allclose(smooth_numeric(f, x, 0.5, kernel).numpy(), true, rtol=1e-8, atol=1e-6)
    rough = smooth_numeric(torch.relu, x, 0.5, kernel)
    torch.testing.assert_close(rough, ramp(x, 0.5, kernel), rtol=0, atol=0.01)


@pytest.mark.parametrize("width", [1.0, 1e-6, 0.0])
@pytest.mark.parametrize("kernel", [GAUSSIAN, LOGISTIC])
def test_large_and_strange_numbers(width, kernel):
    x = torch.tensor([-INF, -3e38, -1e8, 0.0, 1e8, 3e38, INF], requires_grad=True)
    for spec, low, high in [(leaky(0.0), 0.0, None), (clip(-1.0, 2.0), -1.0, 2.0), (stairs(-5, 10), -6.0, 10.0)]:
        y = smooth(spec, x, width, kernel)
        assert y[:3].tolist() == [low] * 3
        assert y[4:].tolist() == ([high] * 3 if high is not None else x[4:].clamp(max=torch.finfo().max).tolist())
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert slope.isfinite().all()
    found = [
        smooth(spec, torch.tensor([math.nan]), width, kernel) for spec in (leaky(0.0), clip(-1.0, 2.0), stairs(0, 3))
    ]
    assert all(y.isnan().all() for y in found)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_as_singles(dtype):
    x = torch.linspace(-6, 6, 97).to(dtype)
    for kernel in RAMPS.values():
        found = ramp(x, 1e-3, kernel)
        assert found.dtype == dtype
        torch.testing.assert_close(found, ramp(x.float(), 1e-3, kernel).to(dtype), rtol=0, atol=0)
    big = torch.tensor([6e4, -6e4], dtype=torch.float16)
    assert ramp(big, 1e-2).tolist() == [big[0].item(), 0.0]


def test_gradients_stay_bounded_as_the_width_goes_to_0():
    for width in (1.0, 1e-3, 1e-8):
        h, x = torch.tensor(width, requires_grad=True), LINE.float().requires_grad_()
        slopes = torch.autograd.grad(smooth(leaky(0.1), x, h).sum(), (x, h))
        assert slopes[0].min() >= 0.1 - 1e-6
        assert slopes[0].max() <= 1 + 1e-6
        assert slopes[1].isfinite()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ramp(LINE, -1.0), "width of a kernel is -1.0"),
        (lambda: ramp(LINE, math.nan), "width of a kernel is nan"),
        (lambda: ramp(LINE, 1.0, CAUCHY), "Cauchy kernel has no mean"),
        (lambda: smooth_floor(LINE, 1.0, CAUCHY), "thin tails"),
        (lambda: smooth_floor(LINE, -0.1), "width of a kernel is -0.1"),
        (lambda: smooth_numeric(torch.sin, LINE, 1.0, STUDENT), "heavy tails"),
        (lambda: clip(2.0, 1.0), "between 2.0 and 1.0"),
        (lambda: step(torch.arange(3), 1.0), "torch.int64"),
    ],
)
def test_what_cannot_be_smoothed_is_refused(call, named):
    with pytest.raises(Refusal, match=named):
        call()


def test_bends_and_jumps_at_one_place_and_out_of_order():
    f = Piecewise(1.0, 0.5, bends=((2.0, -1.0), (0.0, 1.0)), jumps=((0.0, 3.0), (2.0, -1.0)))
    x = LINE
    true = 1 + 0.5 * x - (x - 2).relu() + x.relu() + 3 * (x >= 0) - 1.0 * (x >= 2)
    torch.testing.assert_close(f(x), true, rtol=0, atol=1e-12)
    assert smoothing.SIGN(double(-0.1, 0.1)).tolist() == [-1, 1]
