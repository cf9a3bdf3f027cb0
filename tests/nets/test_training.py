"""The training loop: a killed training ends with the same bytes, and what diverges is told or goes back."""

import math

import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets import training
from stages.nets.training import Watch, fit

USUAL = Watch(every=5, limit=1e6, least={}, rollbacks=0)


class Killed(BaseException):
    """What a kill looks like from inside."""


def setting(seed=0, rate=0.1):
    """A small regression with every kind of part."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    optimiser = torch.optim.Adam(net.parameters(), rate, fused=True)
    source = torch.Generator().manual_seed(seed)
    seen = torch.zeros(3)
    data = torch.randn(100, 3, generator=torch.Generator().manual_seed(1))

    def step(i):
        x = training.draw(data, 16, source)
        loss = (net(x)[:, 0] - x.sum(1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.add_(x.sum(0))
        return {"loss": loss, "step": torch.tensor(float(i))}

    return step, {"net": net, "optimiser": optimiser, "source": source, "seen": seen}


@pytest.mark.parametrize("killed_at", [3, 5, 17, 29])
def test_killed_and_gone_on_with_is_the_same_training(tmp_path, monkeypatch, killed_at):
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    step, whole = setting()
    history = fit(step, whole, 30, USUAL)
    step, parts = setting()

    def until(i):
        if i == killed_at:
            raise Killed
        return step(i)

    with pytest.raises(Killed):
        fit(until, parts, 30, USUAL, tmp_path)
    step, parts = setting(seed=7)  # other weights and another generator: all comes from the checkpoint
    if killed_at < USUAL.every:
        step, parts = setting()
    again = fit(step, parts, 30, USUAL, tmp_path)
    assert again == history
    assert history["step"] == list(range(30))
    a, b = training.state(whole), training.state(parts)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_is_no_number_ends_the_training_and_names_the_step(tmp_path):
    def step(i):
        return {"loss": torch.tensor(math.nan if i == 13 else 1.0)}

    with pytest.raises(Refusal, match=r"gan diverged at step 13: loss is nan.*lower the learning rates"):
        fit(step, {"x": torch.zeros(1)}, 30, USUAL, None, "gan")


@pytest.mark.parametrize(
    ("watch", "value"), [(Watch(5, 10.0, {}, 0), -11.0), (Watch(5, 1e6, {"spread": 0.1}, 0), 0.05)], ids=["far", "flat"]
)
def test_too_far_and_too_flat_are_divergences(watch, value):
    with pytest.raises(Refusal, match="diverged at step 7: spread"):
        fit(lambda i: {"spread": torch.tensor(value if i == 7 else 1.0)}, {"x": torch.zeros(1)}, 30, watch)
    assert len(fit(lambda i: {"spread": torch.tensor(1.0)}, {"x": torch.zeros(1)}, 30, watch)["spread"]) == 30


def test_a_diverging_training_goes_back_with_half_the_rate():
    weight = nn.Parameter(torch.ones(()))
    optimiser = torch.optim.SGD([weight], 2.5)  # x -> (1 - rate) x: beyond 2 it diverges

    def step(i):
        optimiser.zero_grad()
        (weight.square() / 2).backward()
        optimiser.step()
        return {"x": weight.abs()}

    holder = nn.ParameterList([weight])
    history = fit(step, {"net": holder, "sgd": optimiser}, 30, Watch(5, 4.0, {}, 1))
    assert optimiser.param_groups[0]["lr"] == 1.25
    assert history["x"] == pytest.approx([0.25 ** (i + 1) for i in range(30)])
    assert len(history["x"]) == 30


def test_a_checkpoint_of_something_else_is_refused():
    _, parts = setting()
    kept = training.state(parts)
    with pytest.raises(Refusal, match="holds no 'more'"):
        training.restore({**parts, "more": torch.zeros(1)}, kept)


@pytest.mark.parametrize("fused", [True, False])
def test_gradients_lie_as_their_weights_do(fused):
    """Here the gradient of the loss lies the other way than the weight: fused Adam would mix up the pixels."""
    weight = torch.nn.Parameter(torch.zeros(4, 3, 5, 5).to(memory_format=torch.channels_last))
    slope = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    unused = torch.nn.Parameter(torch.zeros(2))
    training.differentiate((weight * slope).sum(), [weight, unused])
    assert unused.grad is None
    assert weight.grad.stride() == weight.stride()
    torch.optim.Adam([weight], 1.0, fused=fused).step()
    assert torch.equal(weight.detach().sign(), -slope.sign())
