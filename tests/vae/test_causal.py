"""The causal Transformer: what a place may see, cached keys, and sampling that follows the law."""

import pytest
import torch

from stages.core.errors import Refusal
from stages.vae.autoregressive import Grid, Network, drawn
from stages.vae.causal import Transformer

NET = Network("transformer", width=16, layers=2, heads=2, kernel=0, dropout=0.0)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def law(context=None):
    torch.manual_seed(0)
    return Transformer(NET, Grid(5, 3), context).eval()


def codes(n=4, side=3, seed=0):
    return torch.randint(0, 5, (n, side, side), generator=source(seed))


def test_a_place_sees_all_that_is_before_it_and_nothing_else():
    """By the gradient of each place's logits at the embedded codes."""
    model, k = law(), codes(2)
    seen = torch.zeros(9, 9)
    kept = []
    model.tokens.register_forward_hook(lambda *given: kept.append(given[2].requires_grad_()) or given[2])
    for place in range(9):
        kept.clear()
        logits = model(k).flatten(1, 2)[:, place].square().sum()
        (gradient,) = torch.autograd.grad(logits, kept[0])  # [2, 8, width]
        seen[place, :8] = gradient.abs().amax((0, 2))
    assert torch.equal(seen > 0, torch.ones(9, 9).tril(-1).bool())


def test_a_code_that_comes_later_changes_no_logit():
    model, k = law(), codes()
    for place in range(9):
        other = k.clone().flatten(1)
        other[:, place] = (other[:, place] + 1) % 5
        one, two = (model(x.view(4, 3, 3)).flatten(1, 2) for x in (k, other))
        assert torch.equal(one[:, : place + 1], two[:, : place + 1])
        assert place == 8 or not torch.equal(one[:, place + 1], two[:, place + 1])


@pytest.mark.parametrize("context", [None, Grid(5, 2)])
def test_cached_logits_are_the_plain_ones(context):
    model, k = law(context), codes()
    given = codes(side=2, seed=1) if context else None
    expected = model(k, given).flatten(1, 2)
    x, kept = model.first(4, given), None
    for place in range(9):
        logits, kept = model.step(x, kept)
        torch.testing.assert_close(logits, expected[:, place], rtol=1e-5, atol=1e-5)
        if place < 8:
            x = (model.tokens(k.flatten(1)[:, place]) + model.places()[place + 1])[:, None]


def test_every_place_sees_the_whole_context():
    model, k, given = law(Grid(5, 2)), codes(), codes(side=2, seed=1)
    for place in range(4):
        other = given.flatten(1).clone()
        other[:, place] = (other[:, place] + 1) % 5
        differ = model(k, given) - model(k, other.view(4, 2, 2))
        assert (differ.abs().amax((0, 3)) > 0).all()


def test_samples_follow_the_law():
    """Of a grid of one row the frequencies of pairs are those of exp(logits)."""
    torch.manual_seed(0)
    model = Transformer(NET, Grid(3, 2)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
        k = torch.cartesian_prod(*[torch.arange(3)] * 4).view(-1, 2, 2)
        log_p = model(k).log_softmax(-1).gather(-1, k[..., None]).sum((1, 2, 3))
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    drawn_codes = model.sample(20000, None, 1.0, source()).flatten(1)
    place = (drawn_codes * torch.tensor([27, 9, 3, 1])).sum(1)
    share = torch.bincount(place, minlength=81) / 20000
    assert (share - log_p.exp()).abs().max() < 4 * (0.25 * log_p.exp().max() / 5000) ** 0.5
    assert torch.equal(drawn_codes, model.sample(20000, None, 1.0, source()).flatten(1))


def test_temperature_sharpens():
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(40000, 3)
    for temperature in (0.5, 1.0, 2.0):
        share = torch.bincount(drawn(logits, temperature, source()), minlength=3) / 40000
        torch.testing.assert_close(share, (logits[0] / temperature).softmax(0), rtol=0, atol=0.01)
    with pytest.raises(Refusal, match="a temperature is 0"):
        drawn(logits, 0.0, source())


def test_heads_must_share_the_width():
    with pytest.raises(Refusal, match=r"net.width 16 is no multiple of net.heads 3"):
        Transformer(Network("transformer", 16, 1, 3, 0, 0.0), Grid(5, 3))
