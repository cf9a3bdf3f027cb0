"""What models register inside: the same training as outside, metrics over batches, bad use; captured outputs."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets.inside import Averages, Inside, Metric, capture, measured, registered, train_step
from stages.nets.threads import one_thread
from stages.nets.training import Watch, fit

WATCH = Watch(10, 1e6, {}, 0)


@pytest.fixture(autouse=True)
def _seeded():
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


class Hidden(Inside):
    """A layer with the mean squared norm of its output as a metric."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x):
        y = self.layer(x).tanh()
        self.add_metric("norm", y.square().sum(1).mean())
        self.add_metric("largest", y.abs().max(), "max")
        self.add_metric("samples", torch.tensor(float(len(x))), "sum")
        self.add_metric("newest", y[-1, -1], "last")
        return y


class Autoencoder(Inside):
    """With its loss inside, and a price on the code."""

    def __init__(self):
        super().__init__()
        self.code, self.back = Hidden(), nn.Linear(3, 8)

    def forward(self, x):
        z = self.code(x)
        self.add_loss("square", (self.back(z) - x).square().mean())
        self.add_loss("price", z.square().mean(), 0.1)


def test_a_loss_inside_trains_to_the_same_weights():
    """Fifty steps of Adam in float64, within 1e-12; the loop is the house's own."""
    inside = Autoencoder().double()
    outside = Autoencoder().double()
    outside.load_state_dict(inside.state_dict())
    x = torch.randn(64, 8, dtype=torch.float64)
    optimisers = [torch.optim.Adam(net.parameters(), 1e-2) for net in (inside, outside)]
    parts = {"net": inside, "optimiser": optimisers[0]}
    history = fit(lambda i: train_step(inside, optimisers[0], x), parts, 50, WATCH)
    for i in range(50):
        z = outside.code.layer(x).tanh()
        loss = functional.mse_loss(outside.back(z), x) + 0.1 * z.square().mean()
        assert history["loss"][i] == pytest.approx(loss.item(), rel=1e-6)
        optimisers[1].zero_grad()
        loss.backward()
        optimisers[1].step()
    for a, b in zip(inside.parameters(), outside.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert set(history) == {"loss", "square", "price", *(f"code.{n}" for n in ("norm", "largest", "samples", "newest"))}


def test_a_metric_inside_is_what_a_hook_sees_and_has_no_graph():
    net, x = Autoencoder(), torch.randn(10, 8)
    seen = {}
    net.code.register_forward_hook(lambda part, inputs, output: seen.update(z=output))
    loss, metrics = registered(net, x)
    assert metrics["code.norm"].value.equal(seen["z"].detach().square().sum(1).mean())
    assert not any(metric.value.requires_grad for metric in metrics.values())
    torch.testing.assert_close(loss, metrics["square"].value + 0.1 * metrics["price"].value)
    assert net.losses == net.metrics == net.code.metrics == {}


def test_means_over_batches_count_samples():
    net, x = Autoencoder(), torch.randn(23, 8)
    net.train()
    trains = []
    net.code.register_forward_hook(lambda part, inputs, output: trains.append(part.training))
    found = measured(net, [(part,) for part in x.split(10)])
    assert trains == [False] * 3
    with torch.no_grad():
        z = net.code.layer(x).tanh()
    assert found["code.norm"] == pytest.approx(z.square().sum(1).mean().item(), rel=1e-6)
    assert found["code.largest"] == z.abs().max().item()
    assert found["code.samples"] == 23
    assert found["code.newest"] == pytest.approx(z[-1, -1].item(), abs=1e-7)
    assert found["square"] == pytest.approx(functional.mse_loss(net.back(z), x).item(), rel=1e-6)
    assert net.training
    averages = Averages()
    for value, count in ((1.0, 3), (5.0, 1)):
        averages.add({"m": Metric(torch.tensor(value), "mean")}, count)
    assert averages.result() == {"m": 2.0}


class Wrong(Inside):
    """Registers whatever it is told."""

    def __init__(self, register):
        super().__init__()
        self.weight, self.register = nn.Parameter(torch.ones(3)), register

    def forward(self):
        self.register(self, self.weight)


@pytest.mark.parametrize(
    ("register", "named"),
    [
        (lambda net, w: net.add_metric("m", w), r"'m' is a tensor of shape \(3,\)"),
        (lambda net, w: net.add_loss("l", w), r"'l' is a tensor of shape \(3,\)"),
        (lambda net, w: net.add_loss("l", w.detach().sum()), "loss 'l' depends on nothing"),
        (lambda net, w: net.add_metric("m", w.sum(), "median"), "choices: mean, last, sum, max"),
        (lambda net, w: net.add_metric("m", w.sum()), "Wrong registered no loss"),
    ],
)
def test_what_is_registered_wrongly_is_refused(register, named):
    with pytest.raises(Refusal, match=named):
        registered(Wrong(register))


def test_captured_outputs_and_what_is_left_of_them():
    net, x = nn.Sequential(nn.Linear(8, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2))), torch.randn(5, 8)
    with capture(net, ["0", "1.0"]) as seen:
        y = net(x)
        assert seen["1.0"].equal(net[0](x).relu())
        seen["1.0"].sum().backward()  # with their graphs: a loss may be made of them
        assert net[0].weight.grad.abs().sum() > 0
        torch.testing.assert_close(net[1][1](seen["1.0"]), y)
    hooks = [hook for part in net.modules() for hook in part._forward_hooks]
    assert hooks == []
    gone = weakref.ref(seen["0"])
    net(x)
    assert seen["0"] is gone()
    del seen
    gc.collect()
    assert gone() is None


def test_hooks_go_when_the_block_fails_and_unknown_parts_are_named():
    net = nn.Sequential(nn.Linear(8, 4))
    with pytest.raises(ZeroDivisionError), capture(net, ["0"]):
        raise ZeroDivisionError
    assert not net[0]._forward_hooks
    with pytest.raises(Refusal, match=r"no part 'encoder'.* it has: 0"), capture(net, ["encoder"]):
        pass
