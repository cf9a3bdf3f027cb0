"""Growth keeps the function, for every kind of model; its mistakes do not; and it trains on."""

from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets.growth import deepen, grow, grow_adam, names, system
from stages.nets.growth.width import MODES
from stages.nets.theory import growth as theory
from stages.nets.theory.growth import KINDS, LENGTH, SMALL, SYMBOLS, gradients, model, off, symbols
from stages.nets.threads import one_thread
from stages.nets.training import Watch
from stages.nets.transformer import Transformer, loss


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("c", KINDS, ids=str)
def test_logits_stay(c, mode):
    for k, noise, scaled in ((2, 0.0, True), (3, 0.5, True), (3, 0.5, False)):  # scores of T5 are not scaled
        c = replace(c, scaled=scaled)
        net = model(c)
        state, config = grow(net.state_dict(), c, k, mode, noise)
        assert config.dim == k * c.dim
        assert (config.head, config.heads) == ((k * c.head, c.heads) if mode == "head_dim" else (c.head, k * c.heads))
        assert off(net, state, config)[1] < 1e-12
    single = model(c, dtype=torch.float32)
    assert off(single, *grow(single.state_dict(), c, 2, mode))[1] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_logits_stay_for_every_choice_with_every_other(mode):
    choices = product(
        ("gelu", "relu", "swiglu"), ("layer", "rms"), ("absolute", "rope", "rope_pairs", "alibi", "none"),
        (True, False), (True, False), (4, 2), (True, False), (True, False), (2, 3),
    )  # fmt: skip
    for activation, norm, positions, tied, pre, groups, bias, scaled, k in choices:
        c = replace(
            SMALL, activation=activation, norm=norm, positions=positions, tied=tied, pre=pre, groups=groups, bias=bias,
            scaled=scaled, layers=2,
        )  # fmt: skip
        net = model(c)
        assert off(net, *grow(net.state_dict(), c, k, mode, 0.5))[1] < 1e-12, c


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("positions", ["absolute", "rope", "rope_pairs"])
def test_once_as_wide_is_the_same_model(mode, positions):
    c = replace(SMALL, positions=positions)
    net = model(c)
    state, config = grow(net.state_dict(), c, 1, mode)
    assert config == c
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())


def test_the_articles_table_entry_by_entry():
    """For k = 2, the factors as the article writes them, but for the second bias, 1 / sqrt 2 and not 1 / 2."""
    net = model(replace(SMALL, tied=False))
    old, (new, config) = net.state_dict(), grow(net.state_dict(), net.c, 2)
    root = 2**0.5
    block = "blocks.1."
    vectors = {"attention.query": 2**0.25 / root, "attention.value": 1 / root, "attention.out": 1 / root}
    vectors |= {"ffn.first": 1.0, "ffn.second": 1 / root, "norms.0": 1 / root}
    matrices = {"attention.key": 2**0.25 / 2, "attention.value": 0.5, "attention.out": 0.5}
    matrices |= {"ffn.first": 1 / root, "ffn.second": 1 / (2 * root)}
    for name, factor in vectors.items():
        expected = factor * old[f"{block}{name}.bias"].repeat_interleave(2)
        torch.testing.assert_close(new[f"{block}{name}.bias"], expected)
    for name, factor in matrices.items():
        expected = factor * old[f"{block}{name}.weight"].repeat_interleave(2, 0).repeat_interleave(2, 1)
        torch.testing.assert_close(new[f"{block}{name}.weight"], expected)
    for name in ("tokens.weight", "places.weight", "head.weight"):
        torch.testing.assert_close(new[name], old[name].repeat_interleave(2, 1) / root)
    assert torch.equal(new["bias"], old["bias"])
    assert config.eps == net.c.eps / 2


def test_a_positively_homogeneous_feed_forward_layer_may_divide_both_by_k():
    """The article's simple variant, rep2(W) / k and rep(b) / sqrt k, for ReLU and not for GELU."""
    c = replace(SMALL, activation="relu")
    for activation in ("relu", "gelu"):
        net = model(replace(c, activation=activation))
        state, config = grow(net.state_dict(), net.c, 2)
        for name, tensor in net.state_dict().items():
            if ".ffn." in name:
                whole = tensor.repeat_interleave(2, 0)
                state[name] = whole.repeat_interleave(2, 1) / 2 if tensor.dim() == 2 else whole / 2**0.5
        assert (off(net, state, config)[1] < 1e-12) == (activation == "relu")


def test_the_mistakes_are_mistakes():
    found = theory.measure(0)
    assert found["mistake_bias"] > 0.1
    assert found["mistake_concatenated"] > 1
    assert found["mistake_eps"] > 1e-2
    assert found["mistake_frequencies"] > 0.1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
def test_copies_have_equal_gradients_until_noise_parts_them(mode, activation):
    c = replace(SMALL, activation=activation)
    net = model(c)
    for noise in (0.0, 0.5):
        state, config = grow(net.state_dict(), c, 2, mode, noise)
        other = Transformer(config, SYMBOLS, LENGTH).double()
        other.load_state_dict(state)
        for name, gradient in gradients(other).items():
            if name.endswith(("first.weight", "value.weight")):
                by_copy = gradient.unflatten(1, (-1, 2))
                apart = (by_copy[..., 0] - by_copy[..., 1]).norm() / gradient.norm()
                rows = (
                    gradient.unflatten(0, (-1, 2))
                    if "first" in name or mode == "head_dim"
                    else gradient.unflatten(0, (2, -1)).transpose(0, 1)
                )
                apart_rows = (rows[:, 0] - rows[:, 1]).norm() / gradient.norm()
                if noise:
                    assert apart_rows > 0.01
                else:
                    assert max(apart, apart_rows) < 1e-6


def test_noise_is_of_the_size_asked_for_and_of_its_seed():
    net = model(SMALL)
    plain, _ = grow(net.state_dict(), SMALL, 2)
    a, b, c = (grow(net.state_dict(), SMALL, 2, noise=0.5, seed=seed)[0] for seed in (1, 1, 2))
    name = "blocks.0.ffn.first.weight"
    assert torch.equal(a[name], b[name])
    assert not torch.equal(a[name], c[name])
    z = (a[name] - plain[name]) / plain[name].std()
    assert z.std().item() == pytest.approx(0.5 * 0.5**0.5, rel=0.05)  # less the mean of two
    torch.testing.assert_close(z.unflatten(1, (-1, 2)).sum(-1), torch.zeros(96, 24, dtype=torch.float64))
    kept = [key for key in plain if torch.equal(a[key], plain[key])]
    assert sorted({key.split(".")[-1] for key in kept if "weight" not in key}) == ["bias"]
    assert {key for key in kept if "weight" in key and "norm" not in key} == {"tokens.weight", "places.weight"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("c", KINDS[::5], ids=str)
def test_adams_averages_grow_with_the_model(c, mode):
    """One real step of Adam of the grown model on the same batch makes the averages that are grown."""
    net = model(c)
    state, config = grow(net.state_dict(), c, 3, mode)
    other = Transformer(config, SYMBOLS, LENGTH).double()
    other.load_state_dict(state)
    held = {}
    for name, made in (("small", net), ("grown", other)):
        optimiser = torch.optim.Adam(made.parameters(), lr=1e-3)
        loss(made, symbols()).backward()
        optimiser.step()
        held[name] = {key: optimiser.state[weight] for key, weight in made.named_parameters()}
    for field, power in (("exp_avg", 1), ("exp_avg_sq", 2)):
        moved = grow_adam({key: value[field] for key, value in held["small"].items()}, c, 3, mode, power)
        most = max(value[field].abs().max() for value in held["grown"].values())
        for key, value in held["grown"].items():
            torch.testing.assert_close(moved[key], value[field], rtol=1e-9, atol=1e-12 * most)


@pytest.mark.parametrize("layers", [3, 4, 7, 9])
def test_deeper_logits_stay_and_what_is_new_can_learn(layers):
    for c in (kind for kind in KINDS if kind.pre):
        net = model(c)
        state, config = deepen(net.state_dict(), c, layers)
        assert config.layers == layers
        assert off(net, state, config)[0] == 0
    other = Transformer(config, SYMBOLS, LENGTH).double()
    other.load_state_dict(state)
    found = gradients(other)
    assert all(found[f"blocks.{i}.ffn.second.weight"].abs().max() > 0 for i in range(layers))


def test_wider_and_deeper_together():
    net = model(SMALL)
    state, config = grow(*deepen(net.state_dict(), SMALL, 5), 2, noise=0.3)
    assert off(net, state, config)[1] < 1e-12


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pre", [True, False])
def test_torchs_own_encoder_grows(pre, mode, k):
    def made(c):
        layer = nn.TransformerEncoderLayer(c.dim, c.heads, c.hidden, 0.0, "gelu", c.eps, True, pre)
        return (
            nn.TransformerEncoder(layer, 2, nn.LayerNorm(c.dim, c.eps) if pre else None, enable_nested_tensor=False)
            .double()
            .eval()
        )

    torch.manual_seed(0)
    net = made(SMALL)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    state, config = grow(net.state_dict(), SMALL, k, mode, 0.5, layers=names.TORCH)
    other = made(config)
    other.load_state_dict(state)
    x = torch.randn(2, 7, SMALL.dim, dtype=torch.float64)
    torch.testing.assert_close(
        other(x.repeat_interleave(k, 2) / k**0.5), net(x).repeat_interleave(k, 2) / k**0.5, rtol=1e-12, atol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["GPT2", "BERT"])
def test_hugging_faces_models_grow(name, mode):
    hugging = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")

    def made(c):
        if name == "GPT2":
            how = hugging.GPT2Config(
                vocab_size=50,
                n_positions=16,
                n_embd=c.dim,
                n_layer=3,
                n_head=c.heads,
                n_inner=c.hidden,
                layer_norm_epsilon=c.eps,
            )
            return hugging.GPT2LMHeadModel(how).double().eval()
        how = hugging.BertConfig(
            vocab_size=50,
            hidden_size=c.dim,
            num_hidden_layers=3,
            num_attention_heads=c.heads,
            intermediate_size=c.hidden,
            max_position_embeddings=16,
            layer_norm_eps=1e-12,
        )
        return hugging.BertForPreTraining(how).double().eval()

    torch.manual_seed(0)
    net = made(SMALL)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    state, config = grow(net.state_dict(), SMALL, 2, mode, 0.5, layers=getattr(names, name))
    other = made(config)
    other.load_state_dict(state)
    x = symbols() % 50
    a, b = net(x), other(x)
    for before, after in zip(a.to_tuple()[: 1 if name == "GPT2" else 2], b.to_tuple(), strict=False):
        assert (after - before).abs().max() / before.abs().max() < 1e-10


@pytest.mark.parametrize(
    ("change", "k", "mode", "words"),
    [
        ({}, 0, "head_dim", "a whole k from 1"),
        ({}, 2, "both", "mode head_dim or heads"),
        ({"blocks.0.ffn.norm.weight": torch.ones(48)}, 2, "heads", "no rule says how 'blocks.0.ffn.norm.weight' grows"),
        (
            {"blocks.0.ffn.first.weight": torch.ones(48, 24, dtype=torch.int8)},
            2,
            "heads",
            "only weights of floating point",
        ),
        ({"blocks.0.ffn.first.weight": torch.ones(50, 24)}, 2, "heads", "not that of its layer"),
    ],
)
def test_what_cannot_grow_is_refused(change, k, mode, words):
    with pytest.raises(Refusal, match=words):
        grow(model(SMALL).state_dict() | change, SMALL, k, mode)


def test_what_cannot_grow_in_depth_is_refused():
    post = replace(SMALL, pre=False)
    with pytest.raises(Refusal, match="only pre-norm"):
        deepen(model(post).state_dict(), post, 4)
    with pytest.raises(Refusal, match="cannot grow to 2"):
        deepen(model(SMALL).state_dict(), SMALL, 2)


@pytest.fixture
def sequences(tmp_path):
    """Each symbol follows from the two before it."""
    from stages.corpora.sequences.dataset import save

    chance = np.random.default_rng(0)
    rows = chance.integers(1, 8, (1200, 10))
    for place in range(2, 10):
        rows[:, place] = (3 * rows[:, place - 1] + rows[:, place - 2]) % 7 + 1
    save({"train": rows[200:], "test": rows[:200]}, ["", *"abcdefg"], [], "made", tmp_path / "data")
    return tmp_path / "data"


def asked(**changes):
    net = replace(SMALL, dim=8, heads=2, groups=2, head=4, hidden=16, layers=1)
    usual = system.Growth(net, 2, "head_dim", 0.5, 30, 32, 1e-2, (0, 1), Watch(20, 100, {}, 0), "cpu", False)
    return replace(usual, **changes)


def test_the_system_trains_four_models_and_says_what_they_are_worth(sequences, tmp_path):
    found = system.train(Inputs(input=sequences), asked(), tmp_path / "a")
    assert set(found.history) == {f"{name}_{seed}" for name in ("small", "on", "grown", "scratch") for seed in (0, 1)}
    targets = (
        Target("at_growth_off", "the loss stays", "at most", 1e-4),
        Target("below_scratch", "never so far below", "at least", 99),
    )
    worth = system.evaluate(tmp_path / "a", Inputs(truth=sequences), system.EvaluateGrowth("made", "cpu", targets))
    assert [claim.passed for claim in worth.claims] == [True, False]
    assert worth.metrics["logits_off"] < 1e-5
    assert [line.get_label() for line in worth.figures["losses"].axes[0].lines] == ["small", "on", "grown", "scratch"]
    assert worth.metrics["weights_grown"] > 3 * worth.metrics["weights_on"]
    history = found.history
    assert history["grown_0"][0] == pytest.approx(history["on_0"][0], rel=1e-5)  # the same first batch
    assert history["scratch_0"][0] > history["grown_0"][0]
    system.train(Inputs(input=sequences), asked(), tmp_path / "b")
    for one in sorted((tmp_path / "a").iterdir()):
        assert one.read_bytes() == (tmp_path / "b" / one.name).read_bytes()


def test_the_system_asks_for_sequences(tmp_path):
    with pytest.raises(Refusal, match="needs an `input`"):
        system.train(Inputs(), asked(), tmp_path / "out")
    assert asdict(asked())["net"]["dim"] == 8


def test_adam_goes_on_as_it_was():
    """Grown by 1 and trained on, the model and its Adam are those that were not grown."""
    how = asked(net=SMALL, k=1)
    net = model(SMALL)
    adam = torch.optim.Adam(net.parameters(), lr=how.rate)

    def step(one, optimiser):
        optimiser.zero_grad()
        loss(one, symbols()).backward()
        optimiser.step()

    for _ in range(3):
        step(net, adam)
    other = Transformer(SMALL, SYMBOLS, LENGTH).double()
    other.load_state_dict(net.state_dict())
    moved = system.larger_adam(adam, net, other, how)
    step(net, adam)
    step(other, moved)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
