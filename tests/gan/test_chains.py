"""Latent MCMC as evaluation uses it, where the law that it must reach is known."""

import math
from dataclasses import replace

import pytest
import torch

from stages.core.errors import Refusal
from stages.gan import chains, train
from stages.nets.latent import Latent
from stages.nets.threads import one_thread

DDLS = Latent("ddls", "mala", 1.0, 20, 0.5)


@pytest.fixture(autouse=True)
def calm():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


class Slope(torch.nn.Module):
    """s(x) = the first pixel."""

    def forward(self, x):
        return x[:, 0, 0, 0]


@pytest.fixture
def game(rows):
    """G: the noise itself as pixels; so that ddls has the law N(beta, 1) of the first of them."""
    game = train.build(replace(rows["meg"], latent=64), (1, 8, 8), 0, torch.device("cpu"))
    game.nets["G"], game.nets["D"] = torch.nn.Unflatten(1, (1, 8, 8)).eval(), Slope().eval()
    return game


def test_a_chain_goes_where_the_critic_is_high_and_its_control_stays(game):
    z = torch.randn(3000, 64, generator=torch.Generator().manual_seed(0))
    samples, accepted = chains.moved(game, z, DDLS, 0)
    above = (samples > 0).double().mean(0)[0]  # [8, 8]
    assert 0.3 < accepted < 1
    assert above[0, 0].item() == pytest.approx(0.5 + math.erf(math.sqrt(0.5)) / 2, abs=0.02)  # P(N(1, 1) > 0)
    assert above.flatten()[1:].mean().item() == pytest.approx(0.5, abs=0.005)
    still, _ = chains.moved(game, z, replace(DDLS, beta=0.0), 0)
    assert (still > 0).double().mean(0)[0, 0, 0].item() == pytest.approx(0.5, abs=0.02)
    again, _ = chains.moved(game, z, DDLS, 0)
    assert torch.equal(again, samples)


def test_pairs_show_where_each_chain_began(game):
    z = torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
    figure = chains.pairs(game, z, replace(DDLS, steps=0), 0)
    shown = torch.as_tensor(figure.axes[0].get_images()[0].get_array())  # [4 rows of 9, 10 columns of 9]
    assert shown.shape == (36, 90)
    cells = shown.unflatten(0, (4, 9)).unflatten(2, (10, 9))[:, :8, :, :8]
    torch.testing.assert_close(cells[0], cells[1])
    torch.testing.assert_close(cells[2], cells[3])
    torch.testing.assert_close(cells[0, :, 0], z[0].view(8, 8).clamp(0, 1))


@pytest.mark.parametrize(("more", "told"), [({"game": "bigan"}, "critic of images"), ({"prior": "uniform"}, "normal")])
def test_what_has_no_such_chain_is_refused(game, more, told):
    game.params = replace(game.params, **more)
    with pytest.raises(Refusal, match=told):
        chains.moved(game, torch.zeros(2, 64), DDLS, 0)
