"""Generators and critics: shapes at every size, norms, counts of parameters, seeds, averages."""

import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets.layers import ACTIVATIONS, NORMS
from stages.nets.networks import INITS, KINDS, Average, Network, critic, generator
from stages.nets.threads import one_thread

NET = Network("dcgan", (4, 8), "none", "leaky", 0.2, True, "default")
QP = Network("dcgan", (64, 1024), "batch", "leaky", 0.2, False, "normal002")
WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


def of(kind, net=NET, **changes):
    return Network(**{**vars(net), "kind": kind, **changes})


def weighted(module):
    return [m for m in module.modules() if isinstance(m, WEIGHTED)]


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [8, 16, 28, 32, 64, 96, 128, 256, 512])
def test_shapes_at_every_size(kind, size):
    image = (3, size, size)
    with torch.device("meta"):
        images = generator(of(kind), 5, image, "tanh")(torch.empty(2, 5))
        assert images.shape == (2, *image)
        assert critic(of(kind), image)(images).shape == (2,)
        assert critic(of(kind), image, 7)(images).shape == (2, 7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_norm_and_activation_gives_finite_gradients_to_every_weight(kind, norm, act):
    net, draw = of(kind, norm=norm, activation=act, widths=(2, 4)), torch.Generator().manual_seed(0)
    made, judge = generator(net, 5, (1, 28, 28), "sigmoid"), critic(net, (1, 28, 28))
    images = made(torch.randn(4, 5, generator=draw))
    assert images.min() >= 0
    assert images.max() <= 1
    judge(images).square().sum().backward()
    for weight in [*made.parameters(), *judge.parameters()]:
        assert weight.grad.isfinite().all()


def test_points_are_images_of_one_pixel():
    net = of("mlp", widths=(6, 7))
    points = generator(net, 2, (2, 1, 1), "linear")(torch.zeros(3, 2))
    assert points.shape == (3, 2, 1, 1)
    assert critic(net, (2, 1, 1))(points).shape == (3,)


def test_the_networks_of_gan_qp_have_the_parameters_of_its_article():
    """At 128 pixels: 64, 128, 256, 512, 1024 channels down to 4 x 4, counted layer by layer."""
    convolutions = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    batch_norms = 2 * (128 + 256 + 512 + 1024)
    with torch.device("meta"):
        assert parameters(critic(QP, (3, 128, 128))) == convolutions + batch_norms + 1024 * 4 * 4
        first, last = 128 * 1024 * 4 * 4 + 2 * 1024, 25 * 64 * 3
        middle = 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 64) + 2 * (512 + 256 + 128 + 64)
        assert parameters(generator(QP, 128, (3, 128, 128), "tanh")) == first + middle + last
        wide = weighted(critic(of("dcgan", QP, widths=(64, 2048)), (3, 512, 512)))
    assert [m.out_channels for m in wide[:-1]] == [64, 128, 256, 512, 1024, 2048, 2048]


@pytest.mark.parametrize("kind", KINDS)
def test_layers_have_a_bias_where_it_is_asked_for_and_no_norm_has_one(kind):
    def biases(norm, bias):
        net = of(kind, norm=norm, bias=bias)
        made = [*weighted(critic(net, (1, 16, 16))), *weighted(generator(net, 3, (1, 16, 16), "tanh"))]
        return [m.bias is not None for m in made if getattr(m, "kernel_size", (3, 3)) != (1, 1)]  # but shortcuts

    assert all(biases("none", True))
    assert not any(biases("none", False))
    assert not any(biases("batch", False))
    assert 0 < sum(biases("batch", True)) < len(biases("batch", True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_perceptron_by_hand_and_no_norm_where_none_is_asked_for(kind):
    kinds = {type(m) for m in [*critic(of(kind), (1, 8, 8)).modules(), *generator(of(kind), 3, (1, 8, 8), "tanh")]}
    assert not kinds & {nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm}
    x = torch.randn(5, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    net = critic(of("mlp", widths=(3,)), (2, 1, 1))
    first, last = weighted(net)
    hidden = x.flatten(1) @ first.weight.T + first.bias
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    torch.testing.assert_close(net(x), (hidden @ last.weight.T + last.bias)[:, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("norm", "bounded"), [("spectral", slice(None)), ("spectral_hidden", slice(-1))])
def test_spectral_norm_bounds_every_layer_by_one(kind, norm, bounded):
    net = critic(of(kind, norm=norm, widths=(4, 8), init="uniform005"), (1, 8, 8))
    for layer in weighted(net):  # weights far from what the power iteration began with
        layer.requires_grad_(False)
        getattr(layer, "parametrizations", {"weight": layer})["weight"].requires_grad_(False)
        for weight in layer.parameters():
            weight.mul_(50).add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    for _ in range(60):
        net(torch.zeros(1, 1, 8, 8))
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() for layer in weighted(net)]
    assert norms[bounded] == pytest.approx([1.0] * len(norms[bounded]), abs=0.02)
    if norm == "spectral_hidden":
        assert norms[-1] > 2


@pytest.mark.parametrize("init", INITS)
def test_the_seed_decides_the_weights_and_leaves_the_global_stream_alone(init):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    net = of("residual", norm="spectral", init=init)
    a, b, c = (critic(net, (1, 8, 8), seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.rand(1) == expected
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_inits_are_what_their_names_say():
    normal, uniform = (critic(of("mlp", widths=(200,), init=init), (1, 16, 16)) for init in ("normal002", "uniform005"))
    first = weighted(normal)[0]
    assert first.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not first.bias.any()
    first = weighted(uniform)[0]
    assert 0.0499 < first.weight.abs().max().item() <= 0.05


def test_an_average_after_n_steps_is_the_closed_form():
    """From w = 0 with w_now = t after step t: sum over t of (1 - d) d^(n - t) t."""
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    nn.init.zeros_(module[0].weight)
    average, decay, n = Average(module, 0.9), 0.9, 10
    for t in range(1, n + 1):
        with torch.no_grad():
            module[0].weight.fill_(t)
        module(torch.full((4, 2), float(t)))
        average.update(module)
    expected = sum((1 - decay) * decay ** (n - t) * t for t in range(1, n + 1))
    torch.testing.assert_close(average.module[0].weight, torch.full((2, 2), expected))
    assert torch.equal(average.module[1].running_mean, module[1].running_mean)
    assert average.module[1].num_batches_tracked == n
    average.train()
    assert not average.module.training
    assert all(not p.requires_grad for p in average.parameters())
    assert module[0].weight.requires_grad


@pytest.mark.parametrize(
    ("net", "image", "words"),
    [
        (NET, (1, 6, 6), "not 6 x 6"),
        (NET, (1, 100, 100), "not 100 x 100"),
        (NET, (3, 64, 32), "not 64 x 32"),
        (of("residual"), (2, 1, 1), "use kind mlp"),
        (of("dcgan", widths=(4,)), (1, 8, 8), "most channels"),
        (of("mlp", widths=()), (1, 8, 8), "at least one"),
        (of("transformer"), (1, 8, 8), "choices: mlp"),
        (of("mlp", norm="instance"), (1, 8, 8), "choices: none"),
        (of("mlp", activation="gelu"), (1, 8, 8), "choices: relu"),
        (of("mlp", init="zero"), (1, 8, 8), "choices: default"),
    ],
)
def test_what_does_not_fit_is_refused(net, image, words):
    with pytest.raises(Refusal, match=words):
        generator(net, 3, image, "tanh")
    with pytest.raises(Refusal, match=words):
        critic(net, image)
