"""The encoder against torch's own, RoFormer's turning by its formula, and what padding may not change."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.text.bert.model import PAD, POSITIONS, Config, Encoder, MaskedHead, initial

SMALL = Config(
    dim=24, layers=2, heads=3, hidden=40, places=12, positions="absolute", dropout=0.0, segments=2, eps=1e-12
)


def made(config, size=30):
    torch.manual_seed(0)
    net = Encoder(config, size).double().eval()
    for weight in net.parameters():  # biases and norms that are not 0 and 1
        weight.data += 0.1 * torch.randn_like(weight)
    return net


def rows(n=4, t=9, size=30):
    ids = torch.randint(1, size, (n, t), generator=torch.Generator().manual_seed(1))
    ids[1, 5:] = PAD
    return ids


def test_it_is_torchs_own_encoder():
    net, ids = made(SMALL), rows()
    segments = torch.arange(9).expand(4, 9) // 5
    layer = nn.TransformerEncoderLayer(24, 3, 40, 0.0, "gelu", 1e-12, batch_first=True, norm_first=False)
    peer = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).double().eval()
    for theirs, ours in zip(peer.layers, net.blocks, strict=True):
        a = ours.attention
        theirs.self_attn.in_proj_weight.data = torch.cat([m.weight for m in (a.query, a.key, a.value)])
        theirs.self_attn.in_proj_bias.data = torch.cat([m.bias for m in (a.query, a.key, a.value)])
        pairs = [
            (theirs.self_attn.out_proj, a.out),
            (theirs.linear1, ours.ffn.first),
            (theirs.linear2, ours.ffn.second),
            (theirs.norm1, ours.norms[0]),
            (theirs.norm2, ours.norms[1]),
        ]
        for their, our in pairs:
            their.load_state_dict(our.state_dict())
    x = net.norm(net.tokens.weight[ids] + net.places.weight[:9] + net.segments.weight[segments])
    there = ids != PAD
    found, wanted = net(ids, segments), peer(x, src_key_padding_mask=~there)
    assert (found - wanted)[there].abs().max() < 1e-12


def test_places_turn_queries_and_keys_as_roformer_says():
    """(x + iy) e^{i t theta} of neighbouring pairs, so that scores know of distances only."""
    net, ids = made(replace(SMALL, positions="rope", layers=1)), rows()
    x = net.norm(net.tokens.weight[ids] + net.segments.weight[0])  # [4, 9, 24]
    a, block = net.blocks[0].attention, net.blocks[0]
    turn = torch.polar(torch.ones(()).double(), torch.arange(9)[:, None] * 10000.0 ** -(torch.arange(4).double() / 4))
    heads = []
    for h in range(3):
        part = slice(8 * h, 8 * h + 8)
        q, k, v = (m(x)[..., part] for m in (a.query, a.key, a.value))
        q, k = (torch.view_as_complex(y.reshape(4, 9, 4, 2).contiguous()) * turn for y in (q, k))
        scores = torch.einsum("nqd,nkd->nqk", q, k.conj()).real / 8**0.5
        heads.append(scores.masked_fill((ids == PAD)[:, None], -torch.inf).softmax(-1) @ v)
    y = block.norms[0](x + a.out(torch.cat(heads, -1)))
    wanted = block.norms[1](y + block.ffn.second(nn.functional.gelu(block.ffn.first(y))))
    assert (net(ids) - wanted)[ids != PAD].abs().max() < 1e-6  # frequencies are float32


@pytest.mark.parametrize("positions", POSITIONS)
def test_padding_changes_nothing_and_words_do(positions):
    net, ids = made(replace(SMALL, positions=positions)), rows()
    longer = torch.cat([ids, torch.full((4, 3), PAD)], 1)
    assert (net(longer)[:, :9] - net(ids)).abs().max() < 1e-12
    other = ids.clone()
    other[0, 8] = ids[0, 8] % 29 + 1
    assert (net(other) - net(ids))[0, 0].abs().max() > 1e-4
    assert net(torch.full((2, 4), PAD)).isfinite().all()


@pytest.mark.parametrize("positions", POSITIONS)
def test_order_matters(positions):
    net, ids = made(replace(SMALL, positions=positions)), rows()
    assert (net(ids.flip(1)).flip(1) - net(ids))[0].abs().max() > 1e-3


def test_the_head_scores_every_token():
    torch.manual_seed(0)
    head, tokens, x = MaskedHead(SMALL, 30), torch.randn(30, 24), torch.randn(5, 24)
    head.bias.data = torch.randn(30)
    y = head.norm(nn.functional.gelu(x @ head.dense.weight.T + head.dense.bias))
    assert torch.allclose(head(x, tokens), y @ tokens.T + head.bias, atol=1e-5)


def test_the_first_weights_are_berts():
    torch.manual_seed(0)
    net = Encoder(replace(SMALL, dim=768, hidden=3072, heads=12, layers=1), 5000)
    cut = 0.88  # of the deviation, left by cutting off at two of it
    assert net.tokens.weight[1:].std().item() == pytest.approx(0.02 * cut, rel=0.02)
    assert net.blocks[0].attention.query.weight.std().item() == pytest.approx(0.02 * cut, rel=0.02)
    assert net.blocks[0].ffn.second.weight.std().item() == pytest.approx(0.01 * cut, rel=0.02)
    assert net.tokens.weight.abs().max() <= 0.04 + 1e-6
    assert not net.tokens.weight[PAD].any()
    assert not net.blocks[0].ffn.first.bias.any()
    layer = nn.Linear(400, 300)
    initial(layer, gain=1.0)
    assert layer.weight.std().item() == pytest.approx(1 / 20 * cut, rel=0.02)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"heads": 5}, "no multiple"),
        ({"positions": "relative"}, "choices: absolute, rope"),
        ({"positions": "rope", "heads": 8}, "odd"),
    ],
)
def test_sizes_that_do_not_fit_are_named(more, says):
    with pytest.raises(Refusal, match=says):
        Encoder(replace(SMALL, **more), 30)


def test_a_text_that_is_too_long_is_named():
    with pytest.raises(Refusal, match="12 places was given 13 tokens"):
        made(SMALL)(torch.ones(1, 13, dtype=torch.long))
