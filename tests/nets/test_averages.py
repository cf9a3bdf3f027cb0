"""Averages of weights: the closed form, warm-up, buffers, weights lent and given back, a training gone on with."""

import copy

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets.averages import BUFFERS, Average
from stages.nets.norms import ConditionalLayerNorm
from stages.nets.threads import one_thread
from stages.nets.training import Watch, fit


@pytest.fixture(autouse=True)
def _seeded():
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def walk(net, average, steps):
    """Random steps of the weights, which are returned as they were after each."""
    seen = []
    for _ in range(steps):
        with torch.no_grad():
            net.weight += torch.randn_like(net.weight)
        average.update(net)
        seen.append(net.weight.detach().clone())
    return seen


@pytest.mark.parametrize("a", [0.9, 0.999, 0.0])
def test_the_closed_form(a):
    net = nn.Linear(5, 4, dtype=torch.float64)
    start, average, n = net.weight.detach().clone(), Average(net, a), 50
    seen = walk(net, average, n)
    true = a**n * start + sum((1 - a) * a ** (n - i) * w for i, w in enumerate(seen, 1))
    torch.testing.assert_close(average.module.weight.data, true, rtol=0, atol=1e-12)


def test_warm_up():
    net = nn.Linear(5, 4, dtype=torch.float64)
    true, average = net.weight.detach().clone(), Average(net, 0.7, warm=True)
    for t, w in enumerate(walk(net, average, 40), 1):
        a = min(0.7, (1 + t) / (10 + t))
        true = a * true + (1 - a) * w
    torch.testing.assert_close(average.module.weight.data, true, rtol=0, atol=1e-12)
    kept = Average(net, 0.7, warm=True)
    kept.load_state_dict(average.state_dict())
    for each in (average, kept):
        torch.manual_seed(1)
        walk(copy.deepcopy(net), each, 3)
    assert kept.module.weight.equal(average.module.weight)


@pytest.mark.parametrize("policy", BUFFERS)
@pytest.mark.parametrize("warm", [False, True])
def test_buffers(policy, warm):
    net = nn.BatchNorm1d(3)
    average = Average(net, 0.5, policy, warm)
    for i in range(1, 4):
        net.running_mean.fill_(float(i))
        net.num_batches_tracked.fill_(i)
        average.update(net)
    if policy == "copied":
        assert (average.module.running_mean == 3).all()
    elif not warm:
        assert (average.module.running_mean == ((0 + 1) / 2 + 2) / 4 + 3 / 2).all()
    else:
        assert 1 < average.module.running_mean[0] < 3
    assert average.module.num_batches_tracked == 3


def train(followed, steps=60):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    average, optimiser = Average(net, 0.9, warm=True), torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        net(torch.randn(16, 6)).square().mean().backward()
        optimiser.step()
        if followed:
            average.update(net)
            with average.applied(net):
                assert all(
                    a.equal(b)
                    for a, b in zip(net.state_dict().values(), average.module.state_dict().values(), strict=True)
                )
    return net.state_dict()


def test_a_training_does_not_notice_that_it_is_followed():
    with_it, without = train(True), train(False)
    assert all(with_it[name].equal(without[name]) for name in without)


def test_weights_are_given_back_when_the_block_fails():
    net = nn.Linear(3, 3)
    average = Average(net, 0.9)
    walk(net, average, 2)
    own = net.weight.detach().clone()
    with pytest.raises(ZeroDivisionError), average.applied(net):
        assert net.weight.equal(average.module.weight)
        raise ZeroDivisionError
    assert net.weight.equal(own)
    assert net.weight.requires_grad


def test_an_unknown_policy_is_refused():
    with pytest.raises(Refusal, match="choices: copied, averaged"):
        Average(nn.Linear(2, 2), 0.9, "forgotten")


@pytest.mark.slow
def test_an_average_of_a_noisy_run_is_better():
    """Digits, Adam at 1e-2, batches of 32, 10 epochs, 3 seeds: more right with decay 0.99 than without."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
    gains = []
    for seed in range(3):
        torch.manual_seed(seed)
        order = torch.randperm(len(x))
        train, test = order[:1437], order[1437:]
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        average, optimiser = Average(net, 0.99), torch.optim.Adam(net.parameters(), 1e-2)

        def step(i, net=net, average=average, optimiser=optimiser, train=train):
            rows = train[torch.randint(len(train), (32,))]
            loss = functional.cross_entropy(net(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            average.update(net)
            return {"loss": loss}

        fit(step, {"net": net}, 450, Watch(50, 1e6, {}, 0))
        right = [(f(x[test]).argmax(1) == y[test]).double().mean().item() for f in (average, net)]
        gains.append(right[0] - right[1])
    assert sum(gains) > 0
    assert min(gains) > -0.01


@pytest.mark.parametrize("shape", [(4, 6), (4, 7, 6), (4, 2, 3, 6)])
def test_a_conditional_layer_norm_starts_as_a_plain_one(shape):
    plain, steered = nn.LayerNorm(6), ConditionalLayerNorm(6, 3)
    nn.init.normal_(plain.weight)
    steered.load_state_dict(plain.state_dict(), strict=False)
    x, c = torch.randn(shape), torch.randn(4, 3)
    torch.testing.assert_close(steered(x, c), plain(x))
    for layer in (steered.to_weight, steered.to_bias):
        nn.init.normal_(layer.weight)
    flat = functional.layer_norm(x, (6,))
    for i in range(4):  # each sample by its own condition
        weight = plain.weight + steered.to_weight.weight @ c[i]
        torch.testing.assert_close(steered(x, c)[i], flat[i] * weight + plain.bias + steered.to_bias.weight @ c[i])
    steered(x, c).sum().backward()
    assert steered.to_weight.weight.grad.abs().sum() > 0
