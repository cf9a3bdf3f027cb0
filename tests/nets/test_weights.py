"""Transformed weights: singular values by decomposition, gradients by differences, purity, removal, ties, rates."""

import os
from pathlib import Path

import pytest
import torch
from repository import ROOT
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from stages import run
from stages.core import params
from stages.core.errors import Refusal
from stages.nets import constraints, images
from stages.nets.constraints import CONSTRAINTS, after
from stages.nets.threads import one_thread
from stages.nets.training import Watch, fit
from stages.nets.weights import TRANSFORMS, Scale, Spectral, before, everywhere, out_axis, plain, scale, spectral

LAYERS = {
    "linear": (lambda: nn.Linear(20, 12), (16, 20)),
    "wide": (lambda: nn.Linear(6, 30), (16, 6)),
    "convolution": (lambda: nn.Conv2d(5, 8, 3), (4, 5, 6, 6)),
    "transposed": (lambda: nn.ConvTranspose2d(5, 8, 3), (4, 5, 4, 4)),
}


@pytest.fixture(autouse=True)
def _seeded():
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def sigma(weight, axis=0):
    return torch.linalg.matrix_norm((weight.transpose(0, 1) if axis else weight).detach().flatten(1), 2).item()


def train(layer, shape, steps=30, rate=3e-3):
    x = torch.randn(shape)
    y = 3 * torch.randn_like(layer(x))
    optimiser = torch.optim.Adam(layer.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        (layer(x) - y).square().mean().backward()
        optimiser.step()
    layer(x)
    return layer.eval()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("target", [1.0, 2.5])
def test_spectral_norm_after_training_is_the_target(name, target):
    make, shape = LAYERS[name]
    layer = make()
    with torch.no_grad():
        layer.weight *= 4
    layer = train(spectral(layer, target=target), shape)
    assert sigma(layer.weight, out_axis(layer)) == pytest.approx(target, abs=1e-3 * target)
    assert sigma(layer.parametrizations.weight.original, out_axis(layer)) != pytest.approx(target, abs=0.05)


@pytest.mark.parametrize("name", LAYERS)
def test_soft_spectral_norm_never_enlarges(name):
    make, shape = LAYERS[name]
    small = make()
    with torch.no_grad():
        small.weight /= 10 * sigma(small.weight, out_axis(small))
    kept = small.weight.detach().clone()
    torch.testing.assert_close(spectral(small, soft=True).weight, kept, rtol=0, atol=0)
    layer = train(spectral(make(), soft=True), shape, 200)
    raw = layer.parametrizations.weight.original
    assert sigma(layer.weight, out_axis(layer)) < sigma(raw, out_axis(layer))
    layer.train()
    for _ in range(500):  # many singular values are near the target, and the vectors were late
        layer(torch.zeros(shape))
    assert sigma(layer.eval().weight, out_axis(layer)) <= 1 + 1e-3


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "orthogonal"])
@pytest.mark.parametrize("layer", [lambda: nn.Linear(5, 4), lambda: nn.ConvTranspose2d(3, 4, 2)])
def test_gradients_through_every_transform(name, layer):
    """Against finite differences, in evaluation, where the vectors of spectral norm are constants."""
    made = TRANSFORMS[name](layer().double()).eval()
    held = made.parametrizations.weight
    raw = [weight.detach().clone().requires_grad_() for weight in held.parameters()]
    names = [key for key, _ in held.named_parameters()]

    def used(*weights):
        return torch.func.functional_call(held, dict(zip(names, weights, strict=True)))

    assert torch.autograd.gradcheck(used, raw, atol=1e-5)


def test_the_gradient_of_spectral_norm_by_its_formula():
    """(G - <G, W'> u v^T) / σ with converged vectors: those of the decomposition."""
    layer = spectral(nn.Linear(7, 5, dtype=torch.float64), iterations=200)
    layer(torch.zeros(1, 7, dtype=torch.float64))
    raw = layer.eval().parametrizations.weight.original
    g = torch.randn(5, 7, dtype=torch.float64)
    (found,) = torch.autograd.grad((layer.weight * g).sum(), raw)
    u, s, v = torch.linalg.svd(raw.detach())
    used = raw.detach() / s[0]
    true = (g - (g * used).sum() * torch.outer(u[:, 0], v[0])) / s[0]
    torch.testing.assert_close(found, true, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_evaluation_is_pure_and_survives_a_state_dict_and_removal(name):
    def net():
        return everywhere(nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)), TRANSFORMS[name])

    made, x = train(net(), (8, 6)), torch.randn(9, 6)
    y = made(x)
    assert all(made(x).equal(y) for _ in range(3))
    state = {key: value.clone() for key, value in made.state_dict().items()}
    other = net()
    other.load_state_dict(state)
    assert other.eval()(x).equal(y)
    made.train()
    assert plain(made)(x).equal(y)
    assert not any(parametrize.is_parametrized(part) for part in made.modules())
    assert [key for key, _ in made.named_parameters()] == ["0.bias", "0.weight", "2.bias", "2.weight"]
    made(x).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in made.parameters())


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_shared_weight_is_transformed_once_and_stays_shared(name):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    alone = nn.Linear(4, 4)
    alone.load_state_dict(net[0].state_dict())
    everywhere(net, TRANSFORMS[name]).eval()
    TRANSFORMS[name](alone).eval()
    torch.testing.assert_close(net[1].weight, alone.weight)
    raw = list(net[0].parametrizations.weight.parameters())
    assert len(list(net.parameters())) == 2 + len(raw)
    y = net(torch.ones(1, 4))
    plain(net)
    assert net[0].weight is net[1].weight
    torch.testing.assert_close(net(torch.ones(1, 4)), y, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["spectral", "spectral_soft", "l2", "weight_norm", "standardise", "non_negative"])
def test_a_weight_of_zeros_stays_and_can_leave(name):
    layer = nn.Linear(4, 3, bias=False)
    nn.init.zeros_(layer.weight)
    layer = TRANSFORMS[name](layer)
    x = torch.randn(5, 4)
    assert (layer(x) == 0).all()
    layer(x).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in layer.parameters())
    if name.startswith("spectral"):
        with torch.no_grad():
            layer.parametrizations.weight.original.copy_(torch.eye(4)[:3] * 3)
        layer(x)
        layer(x)
        assert sigma(layer.weight) == pytest.approx(1, abs=1e-5)


def test_what_each_transform_makes():
    l2 = TRANSFORMS["l2"](nn.ConvTranspose2d(3, 4, 2))
    torch.testing.assert_close(l2.weight.square().sum((0, 2, 3)), torch.ones(4))
    standard = TRANSFORMS["standardise"](nn.Conv2d(3, 4, 3)).weight
    torch.testing.assert_close(standard.mean((1, 2, 3)), torch.zeros(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(standard.var((1, 2, 3), correction=0), torch.ones(4))
    layer = nn.Linear(5, 4)
    raw = layer.weight.detach().clone()
    theirs = nn.Linear(5, 4)
    theirs.load_state_dict(layer.state_dict())
    theirs = nn.utils.parametrizations.weight_norm(theirs)
    ours = TRANSFORMS["weight_norm"](layer)
    torch.testing.assert_close(ours.weight, raw)
    for each in (ours, theirs):
        (each.weight * torch.arange(20.0).reshape(4, 5)).sum().backward()
    for a, b in zip(
        ours.parametrizations.weight.parameters(), theirs.parametrizations.weight.parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad)
    square = TRANSFORMS["orthogonal"](nn.Linear(4, 4)).weight
    torch.testing.assert_close(square @ square.T, torch.eye(4), rtol=0, atol=1e-5)


def test_transforms_act_one_after_another_and_any_function_is_one():
    layer = nn.Linear(5, 4)
    raw = layer.weight.detach().clone()
    scale(before(layer, torch.abs), factor=0.5)
    torch.testing.assert_close(layer.weight, 0.5 * raw.abs())
    before(layer, torch.tanh, "bias")
    assert layer.bias.abs().max() < 1


def test_vectors_such_as_the_scale_of_a_norm():
    layer = spectral(nn.LayerNorm(9))
    torch.testing.assert_close(layer.weight, torch.full((9,), 1 / 3))
    torch.testing.assert_close(TRANSFORMS["l2"](nn.LayerNorm(9)).weight, torch.full((9,), 1 / 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.complex128])
def test_other_kinds_of_numbers(dtype):
    whole = torch.randn(12, 20, dtype=dtype if dtype.is_complex else torch.float32).to(dtype)
    transform = Spectral(whole).train()
    for _ in range(60):
        found = transform(whole)
    assert found.dtype == dtype
    wide = found if dtype.is_complex else found.float()
    assert torch.linalg.matrix_norm(wide, 2).item() == pytest.approx(1, abs=3e-3 if dtype.itemsize < 4 else 1e-4)


def test_start_of_spectral_norm_leaves_torchs_random_numbers_alone():
    before_it = torch.random.get_rng_state()
    spectral(nn.Linear(4, 4)).weight  # noqa: B018
    torch.random.set_rng_state(before_it)
    layer = nn.Linear(4, 4)
    after_it = torch.random.get_rng_state()
    spectral(layer)
    assert torch.random.get_rng_state().equal(after_it)


def test_persistent_vectors_and_the_vector_of_ones():
    """After 50 passes σ is 1 to 1e-6, where 5 steps from ones leave several hundredths too much."""
    layer = spectral(nn.Linear(50, 100, dtype=torch.float64), iterations=5)
    with torch.no_grad():
        layer.parametrizations.weight.original.normal_()
    for _ in range(50):
        layer(torch.zeros(1, 50, dtype=torch.float64))
    assert sigma(layer.eval().weight) == pytest.approx(1, abs=1e-4)
    whole, u = layer.parametrizations.weight.original.detach(), torch.ones(50, dtype=torch.float64)
    for _ in range(5):
        v = functional.normalize(whole @ u, dim=0)
        u = functional.normalize(whole.T @ v, dim=0)
    assert 1.01 < sigma(whole) / (v @ whole @ u).item() < 1.15


@pytest.mark.parametrize(
    ("kind", "more", "factor", "most"),
    [
        (torch.optim.SGD, {}, 0.09, 1e-12),
        (torch.optim.Adam, {"eps": 1e-12}, 0.3, 1e-10),
        (torch.optim.Adam, {"eps": 1e-8}, 0.3, 1e-6),
    ],
)
def test_a_scale_is_a_rate_of_its_own(kind, more, factor, most):
    slow = nn.Linear(6, 4, dtype=torch.float64)
    other = nn.Linear(6, 4, dtype=torch.float64)
    other.load_state_dict(slow.state_dict())
    for name in ("weight", "bias"):
        scale(slow, name, 0.3)
    torch.testing.assert_close(slow.weight, other.weight, rtol=0, atol=1e-15)
    x, y = torch.randn(32, 6, dtype=torch.float64), torch.randn(32, 4, dtype=torch.float64)
    for layer, rate in ((slow, 0.02), (other, 0.02 * factor)):
        optimiser = kind(layer.parameters(), rate, **more)
        for _ in range(50):
            optimiser.zero_grad()
            functional.mse_loss(layer(x), y).backward()
            optimiser.step()
    torch.testing.assert_close(slow.weight, other.weight, rtol=0, atol=most)


HOLDS = {
    "unit": lambda w: (w.square().sum(1) - 1).abs().max() < 1e-5,
    "standardised": lambda w: w.mean(1).abs().max() < 1e-5 and (w.var(1, correction=0) - 1).abs().max() < 1e-4,
    "capped": lambda w: w.square().sum(1).max() <= 1 + 1e-5,
    "clipped": lambda w: w.abs().max() <= 0.01,
    "non_negative": lambda w: w.min() >= 0,
    "within_spectral": lambda w: sigma(w) <= 1 + 1e-5,
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_before_use_and_after_the_update_both_hold(name):
    """And only after the update the raw weight does too."""
    function, x = CONSTRAINTS[name], torch.randn(64, 8)
    y = 10 * torch.randn(64, 5)
    post, pre = nn.Linear(8, 5), before(nn.Linear(8, 5), CONSTRAINTS[name])
    for layer in (post, pre):
        optimiser = torch.optim.Adam(layer.parameters(), 1e-2)
        if layer is post:
            handle = after(optimiser, [layer.weight], function)
        for _ in range(100):
            optimiser.zero_grad()
            functional.mse_loss(layer(x), y).backward()
            optimiser.step()
    assert HOLDS[name](post.weight)
    assert HOLDS[name](pre.weight)
    assert not HOLDS[name](pre.parametrizations.weight.original)
    handle.remove()


def test_constraints_of_one_filter_at_a_time():
    w = torch.randn(4, 3, 5, 5)
    for axis in (0, 1):
        unit = constraints.unit(w, axis).movedim(axis, 0).flatten(1)
        torch.testing.assert_close(unit.square().sum(1), torch.ones(len(unit)))
    capped = constraints.capped(w, most=2.0).flatten(1).square().sum(1).sqrt()
    torch.testing.assert_close(capped, w.flatten(1).square().sum(1).sqrt().clamp(max=2))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: before(nn.Linear(2, 2), torch.abs, "gamma"), "no parameter 'gamma'.*weight, bias"),
        (lambda: before(nn.Linear(2, 3), lambda w: w.T), "cannot be transformed"),
        (lambda: Scale(0.0), "scale of 0"),
        (lambda: Spectral(torch.tensor(1.0)), "single number"),
    ],
)
def test_what_cannot_be_transformed_is_refused(call, named):
    with pytest.raises(Refusal, match=named):
        call()


def test_several_passes_before_one_backward():
    layer = spectral(nn.Linear(6, 4))
    x = torch.randn(3, 6)
    (layer(x) + layer(2 * x)).sum().backward()
    assert layer.parametrizations.weight.original.grad.abs().sum() > 0


def test_autocast_does_not_reach_the_iteration():
    layer = spectral(nn.Linear(20, 12), iterations=50)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(torch.randn(3, 20))
    assert sigma(layer.eval().weight) == pytest.approx(1, abs=1e-4)


@pytest.mark.real
def test_a_critic_of_a_gan_with_soft_spectral_norm_stays_lipschitz(tmp_path):
    """A WGAN of 5000 steps on clothes: nothing diverges, and no gradient of the critic is longer than 1.05."""
    source = Path(os.environ.get("QUJING_MIRROR", "")) / "fashion_mnist"
    if not os.environ.get("QUJING_MIRROR") or not source.exists():
        pytest.skip("Fashion-MNIST is not in QUJING_MIRROR")
    row = run.read(params.load(ROOT / "params" / "gpu.yaml"), "preprocess", "fashion_mnist")
    row.function(source, row.settings, tmp_path / "data")
    x = images.symmetric(images.load(tmp_path / "data").train[:10000].float())
    made = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
    layers = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)]
    critic = everywhere(nn.Sequential(nn.Flatten(), *layers), TRANSFORMS["spectral_soft"])
    optimisers = [torch.optim.Adam(net.parameters(), 2e-4, betas=(0.5, 0.9)) for net in (made, critic)]

    def step(i):
        gap = critic(x[torch.randint(len(x), (64,))]).mean() - critic(made(torch.randn(64, 32)).detach()).mean()
        optimisers[1].zero_grad()
        (-gap).backward()
        optimisers[1].step()
        if i % 2 == 0:
            optimisers[0].zero_grad()
            (-critic(made(torch.randn(64, 32))).mean()).backward()
            optimisers[0].step()
        return {"gap": gap}

    fit(step, {"made": made, "critic": critic}, 5000, Watch(100, 1e3, {}, 0))
    drawn, part = made(torch.randn(1000, 32)).detach(), torch.rand(1000, 1, 1, 1)
    for points in (x[:1000], drawn, part * drawn + (1 - part) * x[:1000]):
        points.requires_grad_()
        (slopes,) = torch.autograd.grad(critic.eval()(points).sum(), points)
        assert slopes.flatten(1).norm(dim=1).max() <= 1.05
