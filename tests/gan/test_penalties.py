"""Penalties against loops over samples and pixels, and against critics whose slope is known."""

import pytest
import torch

from stages.gan.penalties import PENALTIES, squared_norms

HEIGHTS = {
    "one_centred": lambda norm: (norm - 1) ** 2,
    "one_sided": lambda norm: max(norm - 1, 0.0),
    "zero": lambda norm: norm**2,
    "div": lambda norm: norm**6,
}
PLACES = {
    "real": lambda r, f, u: [r],
    "fake": lambda r, f, u: [f],
    "both": lambda r, f, u: [r, f],
    "either": lambda r, f, u: [r if u < 0.5 else f],
    "interpolates": lambda r, f, u: [u * r + (1 - u) * f],
}
DEFAULTS = {"one_centred": "interpolates", "one_sided": "interpolates", "div": "both"}


def halves(key):
    """The height and the place that the name of a row stands for."""
    height, _, place = key.rpartition("_")
    return (height, place) if place in PLACES else (key, DEFAULTS[key])


@pytest.fixture
def batch():
    """A convolutional critic, reals and fakes [4, 3, 5, 5] in float64, and u."""
    torch.manual_seed(0)
    critic = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(36, 1), torch.nn.Flatten(0)
    ).double()
    with torch.no_grad():
        critic[3].weight.mul_(7.5)  # slopes near 1, of interpolates on both sides
    x_r, x_f = torch.rand(4, 3, 5, 5).double(), 3 * torch.rand(4, 3, 5, 5).double()
    return critic, x_r, x_f, torch.tensor([0.1, 0.4, 0.6, 0.9])


def slope(critic, x):
    """The gradient at one sample [3, 5, 5] by central differences, one number after the other; [75]."""
    steps = 1e-5 * torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
    return (critic(x + steps) - critic(x - steps)).detach() / 2e-5


@pytest.mark.parametrize("key", PENALTIES)
def test_it_is_the_mean_over_samples_of_the_norm_over_all_numbers(key, batch):
    critic, x_r, x_f, u = batch
    height, place = halves(key)
    points = [x for r, f, v in zip(x_r, x_f, u.double(), strict=True) for x in PLACES[place](r, f, v)]
    norms = [slope(critic, x).square().sum().sqrt().item() for x in points]
    assert max(norms) > 1.05 * min(norms) > 0.5
    due = sum(HEIGHTS[height](norm) for norm in norms) / len(norms)
    assert PENALTIES[key](*batch).item() == pytest.approx(due, rel=1e-6)


def test_the_norm_is_not_taken_pixel_by_pixel(batch):
    """What a norm over dimension 1, the channels, gives is far from it."""
    critic, x_r, _, _ = batch
    x = x_r.clone().requires_grad_()
    (g,) = torch.autograd.grad(critic(x).sum(), x)
    by_pixel = ((g.norm(2, dim=1) - 1) ** 2).mean().item()
    assert PENALTIES["one_centred_real"](*batch).item() == pytest.approx(
        ((g.flatten(1).norm(dim=1) - 1) ** 2).mean().item(), rel=1e-6
    )
    assert abs(PENALTIES["one_centred_real"](*batch).item() - by_pixel) > 0.1


@pytest.mark.parametrize("key", PENALTIES)
@pytest.mark.parametrize("shape", [(2,), (2, 1, 1), (3, 4, 4)])
def test_a_linear_critic_has_the_same_slope_everywhere(key, shape):
    torch.manual_seed(1)
    w = torch.randn(shape, dtype=torch.float64)
    w = 1.7 * w / w.norm()
    x_r, x_f = torch.randn(2, 6, *shape, dtype=torch.float64)
    value = PENALTIES[key](lambda x: (x * w).flatten(1).sum(1), x_r, x_f, torch.rand(6))
    assert value.item() == pytest.approx(HEIGHTS[halves(key)[0]](1.7), rel=1e-9)


@pytest.mark.parametrize("key", PENALTIES)
def test_a_flat_critic(key):
    """Costs nothing but where slopes of 1 are asked for, and its weights get finite gradients."""
    flat = torch.zeros((), requires_grad=True)
    x = torch.rand(5, 1, 4, 4)
    value = PENALTIES[key](lambda x: flat * x.flatten(1).sum(1), x, x + 1, torch.rand(5))
    assert value.item() == pytest.approx(1.0 if key.startswith("one_centred") else 0.0, abs=1e-5)
    assert torch.autograd.grad(value, flat)[0].isfinite()


@pytest.mark.parametrize("key", PENALTIES)
def test_a_gradient_reaches_the_weights_and_not_the_samples(key, batch):
    critic, x_r, x_f, u = batch
    x_f = x_f.clone().requires_grad_()  # as a forgotten detach would leave it
    weights = list(critic.parameters())
    with torch.no_grad():
        unlearned = PENALTIES[key](critic, x_r, x_f, u)  # slopes are wanted all the same
    assert unlearned == PENALTIES[key](critic, x_r, x_f, u)
    PENALTIES[key](critic, x_r, x_f, u).backward()
    assert x_f.grad is None
    step = 1e-6
    before = PENALTIES[key](critic, x_r, x_f, u).item()
    slopes = weights[0].grad
    with torch.no_grad():
        weights[0] += step * slopes
    after = PENALTIES[key](critic, x_r, x_f, u).item()
    assert (after - before) / step == pytest.approx(slopes.square().sum().item(), rel=1e-2)


def test_only_steep_slopes_cost_on_one_side():
    x = torch.rand(3, 2, dtype=torch.float64)
    for factor, due in ((0.5, 0.0), (3.0, 2.0)):
        value = PENALTIES["one_sided"](lambda x, c=factor: c * x[:, 0], x, x, torch.rand(3))
        assert value.item() == pytest.approx(due, abs=1e-9)  # 2, not 4: it is not squared


@pytest.mark.parametrize("key", PENALTIES)
def test_slopes_are_in_float32_under_autocast(key, batch):
    critic, x_r, x_f, u = batch
    critic = critic.float()
    exact = PENALTIES[key](critic, x_r.float(), x_f.float(), u)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert squared_norms(critic, x_r.bfloat16()).dtype == torch.float32
        value = PENALTIES[key](critic, x_r.float(), x_f.float(), u)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=0.1)
    value.backward()
    assert all(layer.weight.grad.isfinite().all() for layer in (critic[0], critic[3]))
