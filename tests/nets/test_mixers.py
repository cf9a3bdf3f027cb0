"""Mixers of tokens: every one of the table by what its equation says, and by what all of them promise."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets.mixers import MIXERS, USUAL, Block, make
from stages.nets.theory import mixers as theory
from stages.nets.theory.mixers import ALIKE, APART, jacobian
from stages.nets.threads import one_thread

DIM, LENGTH, TOKENS = 8, 12, 9
FIXED = ("fnet",)  # what cannot be causal, and sees how much padding there is
SMALL = replace(USUAL, memories=5, kernel=3, tiny=4)


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower with more threads; and every test draws the same."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def inputs(n=2, tokens=TOKENS, dim=DIM):
    return torch.randn(n, tokens, dim, dtype=torch.float64)


def of(name, length=LENGTH, causal=False, settings=SMALL, dim=DIM, kind=make):
    """In float64, every weight drawn anew, so that nothing is 0 or 1 because it starts so."""
    module = kind(name, dim, length, causal, settings).double().eval()
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.5)
    return module


@pytest.mark.parametrize("kind", [make, Block])
@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_gives_every_weight_a_gradient_at_every_number_of_tokens(name, kind):
    module = of(name, kind=kind)
    for tokens in (1, 2, TOKENS, LENGTH):
        x = inputs(tokens=tokens).requires_grad_()
        assert module(x).shape == x.shape
    (module(x) * torch.randn(x.shape)).sum().backward()
    assert x.grad.abs().sum() > 0
    for weight in module.parameters():
        assert weight.grad is None or weight.grad.isfinite().all()
        assert not weight.requires_grad or weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", MIXERS)
def test_fewer_tokens_are_padded_ones_and_what_padding_holds_is_nothing(name):
    module, x = of(name, kind=Block), inputs(tokens=LENGTH)
    mask = torch.arange(LENGTH).expand(2, -1) < TOKENS
    padded = module(x, mask)[:, :TOKENS]
    other = torch.where(mask[..., None], x, torch.randn_like(x) * 100)
    torch.testing.assert_close(module(other, mask)[:, :TOKENS], padded, rtol=1e-12, atol=1e-12)
    alone = module(x[:, :TOKENS])
    assert torch.allclose(alone, padded, rtol=0, atol=1e-12) == (name not in FIXED)


@pytest.mark.parametrize("name", MIXERS)
def test_a_mask_is_each_samples_own_and_may_hide_all_or_the_first(name):
    module, x = of(name), inputs()
    mask = torch.ones(2, TOKENS, dtype=torch.bool)
    torch.testing.assert_close(module(x, mask), module(x), rtol=1e-12, atol=1e-12)
    mask[0], mask[1, :3] = False, False
    found = module(x, mask)
    assert found.isfinite().all()
    changed = x.clone()
    changed[1, :3], changed[0] = 7.0, -7.0
    torch.testing.assert_close(module(changed, mask)[1, 3:], found[1, 3:], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MIXERS)
def test_more_tokens_than_a_mixer_has_weights_for_are_refused(name):
    sizes = [{key: value.shape for key, value in of(name, length).state_dict().items()} for length in (5, 6)]
    if sizes[0] == sizes[1]:  # no weight knows the length
        assert of(name, 5)(inputs(tokens=6)).isfinite().all()
    else:
        with pytest.raises(Refusal, match="made for 5 tokens was given 6"):
            of(name, 5)(inputs(tokens=6))


@pytest.mark.parametrize("name", [name for name in MIXERS if name not in FIXED])
def test_a_causal_mixer_sees_what_was_and_not_what_is_to_come(name):
    x, mask = inputs(1), torch.ones(1, TOKENS, dtype=torch.bool)
    mask[0, 2] = False
    module = of(name, causal=True)
    seen = jacobian(module, x[0])
    assert seen.triu(1).max() == 0
    assert (seen.diagonal() > 0).all()
    assert (seen.diagonal(-1) > 0).all() == (name not in APART)
    masked = jacobian(lambda row: module(row, mask), x[0])
    assert masked.triu(1).max() == 0
    assert masked[3:, 2].max() == 0


@pytest.mark.parametrize("name", FIXED)
def test_a_fourier_transform_cannot_be_causal(name):
    with pytest.raises(Refusal, match="cannot be causal"):
        make(name, DIM, LENGTH, causal=True)


@pytest.mark.parametrize("name", MIXERS)
def test_tokens_meet_but_where_memories_are_normed_over_slots(name):
    seen = jacobian(of(name), inputs()[0]).fill_diagonal_(0)
    near = seen.diagonal(1).min()
    assert (near > 0) == (name not in APART)
    assert (seen.max() == 0) == (name in APART)


def test_over_slots_a_token_is_on_its_own_and_over_tokens_it_is_not_by_hand():
    x = inputs(1)
    slots, tokens = of("external_over_slots"), of("external_over_tokens")
    tokens.load_state_dict(slots.state_dict())
    a = x @ slots.keys.weight.T
    expected = torch.exp(a) / torch.exp(a).sum(2, keepdim=True)
    torch.testing.assert_close(slots(x), expected @ slots.values.weight.T, rtol=1e-12, atol=1e-12)
    expected = torch.exp(a) / torch.exp(a).sum(1, keepdim=True)
    expected = expected / expected.sum(2, keepdim=True)
    torch.testing.assert_close(tokens(x), expected @ slots.values.weight.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MIXERS)
def test_who_commutes_with_an_order_of_tokens(name):
    module, x, order = of(name), inputs(), torch.randperm(TOKENS)
    off = (module(x[:, order]) - module(x)[:, order]).abs().max()
    assert (off < 1e-6) == (name in ALIKE)


def test_attention_is_torchs_own():
    ours, peer = of("attention"), nn.MultiheadAttention(DIM, SMALL.heads, batch_first=True).double()
    names = {"in_proj_weight": "qkv.weight", "in_proj_bias": "qkv.bias"}
    names |= {f"out_proj.{part}": f"out.{part}" for part in ("weight", "bias")}
    peer.load_state_dict({theirs: ours.state_dict()[name] for theirs, name in names.items()})
    x, mask = inputs(), torch.rand(2, TOKENS) > 0.3
    mask[:, 0] = True
    expected, _ = peer(x, x, x, key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, mask), expected)


@pytest.mark.parametrize(
    ("heads", "name"),
    [(1, "synthesizer_random"), (2, "synthesizer_random"), (1, "synthesizer_dense"), (2, "synthesizer_dense")],
)
def test_synthesizers_by_hand(name, heads):
    module, x = of(name, settings=replace(SMALL, heads=heads)), inputs()
    v = x @ module.value.weight.T + module.value.bias
    width, found = DIM // heads, []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        if name == "synthesizer_random":
            b = module.R[h, :TOKENS, :TOKENS]
        else:
            hidden = torch.relu(x @ module.first.weight.T + module.first.bias)[..., part]
            b = hidden @ module.second[h, :TOKENS].T
        found.append(torch.softmax(b, -1) @ v[..., part])
    expected = torch.cat(found, -1) @ module.out.weight.T + module.out.bias
    torch.testing.assert_close(module(x), expected)


def test_a_frozen_synthesizer_keeps_its_matrix_and_trains_the_rest():
    frozen = make("synthesizer_frozen", DIM, LENGTH)
    assert [name for name, weight in frozen.named_parameters() if not weight.requires_grad] == ["R"]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 4, 7])
@pytest.mark.parametrize("name", [name for name in MIXERS if name.startswith("convolution")])
def test_convolutions_by_hand(name, kernel, dilation, causal):
    settings = replace(SMALL, kernel=kernel, dilation=dilation, heads=2)
    module, x = of(name, causal=causal, settings=settings), inputs(1)
    a, b = (x[0] @ module.inner.weight.T + module.inner.bias).chunk(2, -1)
    inner = a * torch.sigmoid(b)  # [tokens, dim]
    first = kernel - 1 if causal else kernel // 2
    expected = torch.zeros_like(inner)
    for i in range(TOKENS):
        for c in range(DIM):
            h = c if name == "convolution_depthwise" else c // (DIM // 2)
            if name == "convolution_dynamic":
                w = torch.softmax((module.taps.weight @ inner[i]).view(2, kernel)[h], 0)
            else:
                w = module.taps[h] if name == "convolution_depthwise" else torch.softmax(module.taps[h], 0)
            places = [i + dilation * (j - first) for j in range(kernel)]
            expected[i, c] = sum(w[j] * inner[at, c] for j, at in enumerate(places) if 0 <= at < TOKENS)
    torch.testing.assert_close(module(x)[0], expected @ module.out.weight.T + module.out.bias)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_fnet_is_the_transform_written_out(n):
    x, fnet = inputs(tokens=n), of("fnet")
    right = theory.transform(x)
    torch.testing.assert_close(fnet(x), right, rtol=0, atol=1e-10)
    torch.testing.assert_close(fnet(x.float()).double(), right, rtol=0, atol=1e-4)
    half = fnet(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), theory.transform(x.bfloat16().double()), rtol=0.01, atol=0.01)
    one = sum(  # the equation, for one number
        (x[0, a, b] * complex(math.cos(t), -math.sin(t))).real
        for a in range(n)
        for b in range(DIM)
        for t in [2 * math.pi * ((n - 1) * a / n + 3 * b / DIM)]
    )
    assert right[0, n - 1, 3].item() == pytest.approx(one.item(), abs=1e-10)


@pytest.mark.parametrize("name", ["gmlp", "amlp"])
def test_a_gate_by_hand_and_open_at_first(name):
    fresh = make(name, DIM, LENGTH, settings=SMALL).double()
    x = inputs()
    z1, z2 = fresh.g(fresh.U(x)).chunk(2, -1)
    if name == "gmlp":
        assert (fresh.gated(x) - z1).abs().max() < 1e-2
    module = of(name)
    z1, z2 = module.g(module.U(x)).chunk(2, -1)
    gate = module.W[:TOKENS, :TOKENS] @ module.norm(z2) + module.b[:TOKENS, None]
    if name == "amlp":
        q, k, v = module.qkv(x).chunk(3, -1)
        gate = gate + module.A(torch.softmax(q @ k.mT / math.sqrt(SMALL.tiny), -1) @ v)
    torch.testing.assert_close(module(x), module.V(z1 * gate))


def test_perceptrons_over_tokens_are_a_synthesizer_without_softmax():
    x = inputs()
    for name in ("mixer", "ffn_stack"):
        module = of(name)
        module.g = nn.Identity()
        for layer in (module.first, module.second):
            nn.init.zeros_(layer.bias)
        r = (module.second.weight @ module.first.weight)[:TOKENS, :TOKENS]
        torch.testing.assert_close(module(x), r @ x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "last"), [("mixer", ("mixing.second", "channels.3")), ("resmlp", ("last", "channels.4"))]
)
def test_a_block_whose_last_weights_are_0_is_the_identity(name, last):
    block, x = of(name, kind=Block), inputs()
    assert not torch.equal(block(x), x)
    for part in last:
        for weight in block.get_submodule(part).parameters():
            nn.init.zeros_(weight)
    assert torch.equal(block(x), x)


def test_resmlp_starts_small_and_has_no_norm():
    block = Block("resmlp", DIM, LENGTH, settings=SMALL)
    assert block.last.alpha.unique().item() == pytest.approx(SMALL.scale)
    assert block.channels[-1].alpha.unique().item() == pytest.approx(SMALL.scale)
    assert not [part for part in block.modules() if isinstance(part, nn.LayerNorm)]


def test_the_stack_has_channels_first_and_gmlp_has_none_of_its_own():
    block, x = of("ffn_stack", kind=Block), inputs()
    after = x + block.channels(x)
    torch.testing.assert_close(block(x), after + block.mixing(block.norm(after)))
    block = of("mixer", kind=Block)
    after = x + block.mixing(block.norm(x))
    torch.testing.assert_close(block(x), after + block.channels(after))
    block = of("gmlp", kind=Block)
    assert block.channels is None
    torch.testing.assert_close(block(x), x + block.mixing(block.norm(x)))


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize(("dim", "length"), [(8, 10), (16, 7)])
def test_the_number_of_weights_is_that_of_the_equations(name, dim, length):
    assert sum(w.numel() for w in make(name, dim, length).parameters()) == theory.weights(name, dim, length)


@pytest.mark.parametrize("name", MIXERS)
def test_dropout_is_of_what_mixes_and_only_in_training(name):
    module, x = of(name, settings=replace(SMALL, dropout=0.5)), inputs()
    assert torch.equal(module(x), module(x))
    module.train()
    assert torch.equal(module(x), module(x)) == (name in FIXED)


@pytest.mark.parametrize("name", MIXERS)
def test_every_block_works_under_bfloat16_autocast_with_a_mask(name):
    block, x = Block(name, DIM, LENGTH, settings=SMALL), inputs().float()
    mask = torch.arange(TOKENS).expand(2, -1) < 5
    with torch.autocast("cpu", torch.bfloat16):
        found = block(x, mask)
    torch.testing.assert_close(found[:, :5].float(), block(x, mask)[:, :5], rtol=0.1, atol=0.15)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("attention", {"heads": 3}, "no multiple of heads 3"),
        ("synthesizer_dense", {"heads": 0}, "no multiple of heads 0"),
        ("convolution_lightweight", {"heads": 3}, "no multiple of heads 3"),
        ("convolution_depthwise", {"kernel": 0}, "1 at least"),
        ("mixer", {"hidden": 0.01}, "no hidden unit"),
        ("atention", {}, "did you mean 'attention'"),
    ],
)
def test_what_does_not_fit_is_refused(name, changes, words):
    with pytest.raises(Refusal, match=words):
        make(name, DIM, LENGTH, settings=replace(SMALL, **changes))


def test_gmlp_cannot_halve_an_odd_number():
    with pytest.raises(Refusal, match="15 is odd"):
        make("gmlp", 5, LENGTH, settings=replace(SMALL, expansion=3))
