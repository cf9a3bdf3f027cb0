"""The training of an energy: its loss, its buffer, its divergence, its bytes."""

from dataclasses import replace

import pytest
import torch
from energies import SMALL
from torch.nn import functional

from stages.core.errors import Refusal
from stages.energy import implicit
from stages.energy.implicit import OBJECTIVES, STORES, cut, energy, learn, samples, squares
from stages.nets import training
from stages.nets.images import load, unit
from stages.nets.langevin import Descent
from stages.nets.networks import critic
from stages.nets.training import Watch, draw

CPU = torch.device("cpu")


@pytest.fixture
def reals(data):
    images = load(data).train
    return lambda source: unit(draw(images, 64, source))


def run(reals, params, spool=None, seed=0):
    return learn(reals, (1, 8, 8), params, seed, CPU, spool)


def pair():
    source = torch.Generator().manual_seed(0)
    return (torch.randn(6, generator=source, requires_grad=True) for _ in range(2))


def test_the_gradient_of_the_difference_is_that_of_minus_the_likelihood():
    """U = t x^2 / 2 is the law N(0, 1/t): d NLL / dt = E x^2 / 2 - 1 / (2 t)."""
    source = torch.Generator().manual_seed(0)
    t = torch.tensor(2.0, requires_grad=True)
    real, fake = 1.5 * torch.randn(200000, generator=source), torch.randn(200000, generator=source) / t.item() ** 0.5
    OBJECTIVES["difference"](t * real.square() / 2, t * fake.square() / 2).backward()
    assert t.grad.item() == pytest.approx(1.5**2 / 2 - 1 / 4, abs=0.01)


def test_the_other_objectives_by_hand():
    u_r, u_f = pair()
    loss = OBJECTIVES["softplus"](u_r, u_f)
    by_hand = torch.sigmoid(u_r - u_f) / 6
    torch.testing.assert_close(torch.autograd.grad(loss, [u_r, u_f]), (by_hand.detach(), -by_hand.detach()))
    assert loss.item() == pytest.approx(functional.softplus(u_r - u_f).mean().item())
    found = torch.autograd.grad(OBJECTIVES["weighted"](u_r, u_f), [u_r, u_f])
    weights = (-u_f).exp() / (-u_f).exp().sum()
    torch.testing.assert_close(found, (torch.full((6,), 1 / 6), -weights.detach()))


def test_the_squares_are_added():
    u_r, u_f = pair()
    found = torch.autograd.grad(squares(u_r, u_f), [u_r, u_f])
    torch.testing.assert_close(found, (u_r.detach() / 3, u_f.detach() / 3))


WILD = replace(
    SMALL,
    network=replace(SMALL.network, norm="none", activation="silu"),
    descent=Descent(steps=5, step=0.05, noise=0.01, clip=0.0, low=0.0, high=1.0),
    alpha=1.0,
    rate=3e-3,
    steps=400,
)


def test_with_the_sign_of_the_article_it_runs_away(reals, monkeypatch):
    """https://kexue.fm/archives/6612 prints E[U(x_r)^2 - U(x_f)^2]."""
    _, _, history = run(reals, WILD)
    assert max(map(abs, history["loss"])) < 10
    monkeypatch.setattr(implicit, "squares", lambda u_r, u_f: u_r.square().mean() - u_f.square().mean())
    with pytest.raises(Refusal, match="diverged at step"):
        run(reals, WILD)


def test_it_goes_back_with_half_the_rate_before_it_gives_up(reals, capsys, monkeypatch):
    monkeypatch.setattr(implicit, "squares", lambda u_r, u_f: u_r.square().mean() - u_f.square().mean())
    with pytest.raises(Refusal, match="diverged"):
        run(reals, replace(WILD, watch=Watch(20, 1e4, {}, 2)))
    assert capsys.readouterr().err.count("half the learning rates") == 2


def test_samples_that_become_one_are_a_divergence(reals):
    with pytest.raises(Refusal, match="spread is 0"):
        run(reals, replace(SMALL, descent=replace(SMALL.descent, step=0.0, noise=0.0, high=0.0), store="float"))


def test_one_seed_gives_one_model_and_a_killed_training_the_same(reals, tmp_path, monkeypatch):
    params = replace(SMALL, steps=40, cut=3.0)
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0)
    whole, other = run(reals, params), run(reals, params, seed=1)
    calls = 0

    def killed(source):
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt
        return reals(source)

    with pytest.raises(KeyboardInterrupt):
        run(killed, params, tmp_path)
    resumed = run(reals, params, tmp_path)
    assert calls == 30
    assert resumed[2] == whole[2]
    assert torch.equal(resumed[1], whole[1])
    weights = [net.state_dict() for net, _, _ in (whole, resumed, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_sampling_leaves_the_critic_as_it_was():
    net = critic(SMALL.network, (1, 8, 8))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    source = torch.Generator().manual_seed(0)
    begin = torch.rand(4, 1, 8, 8, generator=source)
    found = samples(net, energy(net), begin, SMALL.descent, source)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training
    assert all(weight.requires_grad for weight in net.parameters())
    assert not found.requires_grad
    net.eval()
    assert (energy(net)(found) < energy(net)(begin)).all()
    torch.testing.assert_close(energy(net)(begin), -net(begin))


def test_a_buffer_of_bytes_keeps_what_is_put_in():
    x = torch.rand(100, generator=torch.Generator().manual_seed(0))
    put, take = STORES["uint8"]
    assert put(x).dtype == torch.uint8
    assert (take(put(x)) - x).abs().max() <= 0.5 / 255 + 1e-7
    assert put(torch.tensor([0.0, 1.0])).tolist() == [0, 255]


def test_gradients_are_cut_at_root_mean_squares_of_their_past():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimiser = torch.optim.Adam([weight], 0.1, (0.0, 0.9))
    weight.grad = torch.tensor([2.0, 5.0])
    cut(optimiser, 3.0)  # no past yet
    assert weight.grad.tolist() == [2.0, 5.0]
    optimiser.step()
    weight.grad = torch.tensor([-10.0, 10.0])
    cut(optimiser, 3.0)
    assert weight.grad.tolist() == pytest.approx([-6.01, 10.0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": replace(SMALL.network, norm="batch")}, "batch norm"),
        ({"buffer": 10}, "fewer than a batch"),
        ({"descent": replace(SMALL.descent, low=-1.0)}, "store float"),
        ({"objective": "hinge"}, "choices: difference"),
        ({"store": "int4"}, "choices: uint8"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words, reals):
    with pytest.raises(Refusal, match=words):
        run(reals, replace(SMALL, **changes))
