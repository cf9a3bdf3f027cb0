"""The small Transformer, against torch's own and against its formulas by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets.theory.growth import KINDS, LENGTH, SMALL, SYMBOLS, model, symbols
from stages.nets.threads import one_thread
from stages.nets.transformer import NORMS, POSITIONS, Attention, Transformer, loss, rotated


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


@pytest.mark.parametrize("pre", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_it_is_torchs_own_encoder(pre, activation):
    c = replace(SMALL, pre=pre, activation=activation)
    net = model(c)
    layer = nn.TransformerEncoderLayer(c.dim, c.heads, c.hidden, 0.0, activation, c.eps, True, pre)
    peer = nn.TransformerEncoder(
        layer, c.layers, nn.LayerNorm(c.dim, c.eps) if pre else None, enable_nested_tensor=False
    )
    ours, theirs = net.state_dict(), {}
    for i in range(c.layers):
        a, b = f"blocks.{i}.", f"layers.{i}."
        for part in ("weight", "bias"):
            names = [f"{a}attention.{which}.{part}" for which in ("query", "key", "value")]
            theirs[f"{b}self_attn.in_proj_{part}"] = torch.cat([ours[name] for name in names])
            theirs[f"{b}self_attn.out_proj.{part}"] = ours[f"{a}attention.out.{part}"]
            theirs |= {
                f"{b}linear{j + 1}.{part}": ours[f"{a}ffn.{which}.{part}"]
                for j, which in enumerate(("first", "second"))
            }
            theirs |= {f"{b}norm{j + 1}.{part}": ours[f"{a}norms.{j}.{part}"] for j in range(2)}
            if pre:
                theirs[f"norm.{part}"] = ours[f"norm.{part}"]
    peer.double().eval().load_state_dict(theirs)
    x = symbols()
    hidden = nn.Transformer.generate_square_subsequent_mask(LENGTH, dtype=torch.float64)
    h = peer(net.tokens(x) + net.places.weight, mask=hidden, is_causal=True)
    torch.testing.assert_close(net(x), h @ net.tokens.weight.T + net.bias, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("c", KINDS, ids=str)
def test_no_symbol_sees_those_that_follow(c):
    net, x = model(c), symbols()
    logits = net(x)
    changed = x.clone()
    changed[:, 7] = x[:, 7] % (SYMBOLS - 1) + 1
    assert torch.equal(net(changed)[:, :7], logits[:, :7])
    assert not torch.isclose(net(changed)[:, 7:], logits[:, 7:]).all()
    torch.testing.assert_close(net(x[:, :5]), logits[:, :5])


@pytest.mark.parametrize("pairs", [True, False])
def test_turned_pairs_know_only_how_far_apart_they_are(pairs):
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frequencies = torch.tensor([1.0, 0.3, 0.05, 0.01], dtype=torch.float64)

    def score(i, j):
        return (rotated(q, i * frequencies[None], pairs) * rotated(k, j * frequencies[None], pairs)).sum().item()

    assert score(3, 8) == pytest.approx(score(13, 18), rel=1e-12)
    assert score(3, 8) != pytest.approx(score(3, 9), rel=1e-3)
    units = q.view(4, 2) if pairs else q.view(2, 4).T
    numbers = torch.complex(*units.unbind(1)) * torch.exp(5j * frequencies)
    found = rotated(q, 5 * frequencies[None], pairs).flatten()
    expected = torch.view_as_real(numbers)
    torch.testing.assert_close(found, expected.flatten() if pairs else expected.T.flatten())


def test_attention_by_hand_with_groups_slopes_and_no_scale():
    c = replace(SMALL, groups=2, scaled=False, positions="alibi")
    net = model(c)
    part, x = (
        net.blocks[0].attention,
        torch.randn(1, 5, c.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    )
    i = torch.arange(5)
    bias = torch.stack([2.0 ** -(8 * (h + 1) / c.heads) * (i - i[:, None]) for h in range(c.heads)]).double()
    bias = bias.masked_fill(i > i[:, None], -math.inf)
    found = []
    for h in range(c.heads):
        own, shared = slice(h * c.head, (h + 1) * c.head), slice(h // 2 * c.head, (h // 2 + 1) * c.head)
        q, k, v = part.query(x)[..., own], part.key(x)[..., shared], part.value(x)[..., shared]
        found.append(torch.softmax(q @ k.mT + bias[h], -1) @ v)
    torch.testing.assert_close(part(x, None, bias), part.out(torch.cat(found, -1)))
    torch.testing.assert_close(net.slopes, torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8], dtype=torch.float64))


def test_norms_take_their_eps():
    x = torch.tensor([[1e-2, -1e-2, 0.0, 0.0]], dtype=torch.float64)
    for name, made in NORMS.items():
        norm = made(replace(SMALL, dim=4, eps=1e-2, norm=name)).double()
        torch.testing.assert_close(norm(x), x / math.sqrt(5e-5 + 1e-2))


def test_the_loss_counts_no_zeros():
    net, x = model(SMALL), symbols()
    x[:, 6:] = 0
    logits = net(x[:, :-1]).log_softmax(-1)
    expected = -logits[:, :5].gather(-1, x[:, 1:6, None]).mean()
    torch.testing.assert_close(loss(net, x), expected)


@pytest.mark.parametrize("positions", POSITIONS)
def test_dropout_works_in_training_only(positions):
    net, x = model(replace(SMALL, positions=positions, dropout=0.3)), symbols()
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))


def test_biases_can_be_left_out():
    names = [name for name, _ in Transformer(replace(SMALL, bias=False), SYMBOLS, LENGTH).named_parameters()]
    assert [name for name in names if name.endswith("bias")] == ["bias"]
    assert isinstance(model(SMALL).blocks[0].attention, Attention)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"positions": "sine"}, "choices: absolute"),
        ({"groups": 3}, "no multiple of 3 groups"),
        ({"positions": "rope", "head": 5}, "a head of 5 is odd"),
        ({"norm": "batch"}, "choices: layer"),
        ({"activation": "tanh"}, "choices: relu"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(Refusal, match=words):
        Transformer(replace(SMALL, **changes), SYMBOLS, LENGTH)


def test_more_symbols_than_places_are_refused():
    with pytest.raises(Refusal, match="12 places was given 13"):
        model(SMALL)(torch.ones(1, LENGTH + 1, dtype=torch.long))
