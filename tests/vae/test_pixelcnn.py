"""The gated PixelCNN: no place sees itself or what comes after, and none before it is hidden."""

from dataclasses import replace

import pytest
import torch

from stages.core.errors import Refusal
from stages.vae import pixelcnn
from stages.vae.autoregressive import Grid, Network
from stages.vae.pixelcnn import PixelCNN

NET = Network("pixelcnn", width=8, layers=4, heads=0, kernel=3, dropout=0.0)
SIDE = 5


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def law(net=NET, context=None):
    torch.manual_seed(0)
    return PixelCNN(net, Grid(6, SIDE), context).eval()


def sight(model):
    """[25, 25] of booleans: whether the logits of a place have a gradient at the embedding of another."""
    x = torch.randn(1, NET.width, SIDE, SIDE, generator=source()).requires_grad_()
    logits = model.logits(x, None)
    rows = []
    for place in range(SIDE**2):
        w = torch.randn(6, generator=source(place))
        (gradient,) = torch.autograd.grad((logits[0, :, place // SIDE, place % SIDE] * w).sum(), x, retain_graph=True)
        rows.append(gradient[0].abs().amax(0).flatten() > 0)
    return torch.stack(rows)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_all_before_is_seen_and_nothing_else(kernel):
    """8 layers reach every corner of 5 x 5: the place above on the far right is no blind spot."""
    assert torch.equal(sight(law(replace(NET, layers=8, kernel=kernel))), torch.ones(25, 25).tril(-1).bool())


def test_the_reach_of_few_layers_is_a_window_with_its_right_side():
    """Two layers, of 3 places and of 3: two rows up and two columns to both sides."""
    seen = sight(law(replace(NET, layers=2)))[2 * SIDE + 2].view(SIDE, SIDE)
    expected = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    expected[:2] = True
    expected[2, :2] = True
    assert torch.equal(seen, expected)


def test_samples_are_drawn_from_the_logits_of_the_whole_grid(monkeypatch):
    """The rows below do not count: what sampling works with is what the plain pass gives for the finished grid."""
    model, given = law(context=Grid(4, 2)), torch.randint(0, 4, (3, 2, 2), generator=source(1))
    used = []
    real = pixelcnn.drawn
    monkeypatch.setattr(pixelcnn, "drawn", lambda logits, *more: used.append(logits) or real(logits, *more))
    codes = model.sample(3, given, 1.0, source(2))
    torch.testing.assert_close(torch.stack(used, 1).view(3, SIDE, SIDE, 6), model(codes, given))
    assert torch.equal(codes, model.sample(3, given, 1.0, source(2)))


def test_the_context_counts_everywhere_and_only_where_there_is_one():
    model, codes = law(context=Grid(4, 2)), torch.zeros(1, SIDE, SIDE, dtype=torch.int64)
    given = torch.randint(0, 4, (1, 2, 2), generator=source(1))
    differ = model(codes, given) - model(codes, (given + 1) % 4)
    assert (differ.abs().amax((0, 3)) > 0).all()
    assert law().seen(None) is None


def test_a_gate_is_tanh_times_sigmoid():
    x = torch.randn(2, 6, 3, 3, generator=source())
    expected = torch.tanh(x[:, :3]) / (1 + torch.exp(-x[:, 3:]))
    torch.testing.assert_close(pixelcnn.gate(x), expected)


def test_an_even_kernel_is_refused():
    with pytest.raises(Refusal, match=r"net.kernel is 4, but must be odd"):
        law(replace(NET, kernel=4))
