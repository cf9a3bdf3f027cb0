"""The networks of couplets: the article's block by hand, likelihoods that add up to 1, training that can be trusted."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Inputs
from stages.corpora.couplets.dataset import save
from stages.corpora.couplets.lexicon import CoupletLexicon, couplet_lexicon
from stages.text.couplet.batches import Buckets, by_length, chunks
from stages.text.couplet.convolution import Gated
from stages.text.couplet.likelihoods import chained, one_pass
from stages.text.couplet.networks import KINDS, Network, masked, network
from stages.text.couplet.train import Couplets, hidden_loss, hide, pace, part, train
from stages.text.couplet.vocabulary import Vocabulary

ROW = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["systems"]["couplets"]
TINY = Network("transformer", 16, 2, 3, 2, 0.0)
CPU = torch.device("cpu")


def small(**more):
    return replace(typed(Couplets, ROW["train"], "row"), **{"network": TINY, "steps": 20, "batch": 8, **more})


def net(kind, classes=7, **more):
    torch.manual_seed(0)
    return network(replace(TINY, kind=kind, **more), classes).eval()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("couplets") / "out"
    couplet_lexicon(None, CoupletLexicon(200, 10, 20, 0), out)
    return out


def test_the_block_is_the_articles():
    torch.manual_seed(0)
    block, x = Gated(4, 3), torch.randn(2, 4, 9)
    g, c = block.convolution(x)[:, :4], block.convolution(x)[:, 4:]
    assert (block(x) - (x * g.sigmoid() + c * (1 - g.sigmoid()))).abs().max() < 1e-6
    assert block.convolution(x).shape == (2, 8, 9)


def test_a_place_of_the_authors_network_sees_six_neighbours_on_each_side():
    row = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["systems"]["couplets_reference"]
    torch.manual_seed(0)
    author = network(typed(Network, row["train"]["network"], "row"), 9).eval()
    first = torch.ones(1, 20, dtype=torch.long)
    other = first.clone()
    other[0, 8] = 3
    moved = (author(first, first) - author(other, other)).abs().amax(-1)[0] > 0
    assert moved.nonzero().flatten().tolist() == list(range(2, 15))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 2, 16, 17, 40])
def test_logits_are_as_many_as_characters_and_the_same_alone(kind, length):
    model, first = net(kind), torch.randint(0, 7, (5, length))
    whole = model(first, masked(first, 7))
    assert whole.shape == (5, length, 7)
    assert (model(first[2:3], masked(first[2:3], 7)) - whole[2:3]).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_one_pass_is_a_law_over_lines(kind):
    model, first = net(kind, 4), torch.tensor([[1, 2, 1]])
    lines = torch.tensor(list(product(range(4), repeat=3)))
    assert one_pass(model, first.expand(64, 3), lines, 4).double().sum(1).exp().sum().item() == pytest.approx(
        1, abs=1e-5
    )


def test_the_chain_rule_is_a_law_over_lines_of_its_conditionals():
    model, first = net("transformer", 4), torch.tensor([[1, 2, 1]])
    lines = torch.tensor(list(product(range(4), repeat=3)))
    logs = chained(model, first.expand(64, 3), lines, 4)
    assert logs.double().sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)
    for row in (0, 27, 63):
        for place in range(3):
            shown = masked(first, 4)
            shown[0, :place] = lines[row, :place]
            law = model(first, shown)[0, place].log_softmax(-1)
            assert logs[row, place].item() == pytest.approx(law[lines[row, place]].item(), abs=1e-5)
    plain = one_pass(model, first.expand(64, 3), lines, 4)
    assert (logs[:, 0] - plain[:, 0]).abs().max() < 1e-5
    assert (logs[:, 2] - plain[:, 2]).abs().max() > 1e-4


def test_only_what_is_hidden_counts_and_is_not_seen():
    model = net("transformer")
    first, second = torch.randint(0, 7, (2, 3, 5))
    hidden = torch.zeros(3, 5, dtype=torch.bool)
    hidden[0, 1] = hidden[2, 4] = True
    found = hidden_loss(model, first, second, hidden, 7)
    logs = model(first, second.masked_fill(hidden, 7)).log_softmax(-1)
    assert found.item() == pytest.approx(-(logs[0, 1, second[0, 1]] + logs[2, 4, second[2, 4]]).item() / 2, abs=1e-6)


def test_lines_are_hidden_whole_or_by_shares_that_are_uniform():
    generator = torch.Generator().manual_seed(0)
    assert hide(torch.Size((50, 6)), 1.0, generator).all()
    found = hide(torch.Size((20_000, 6)), 0.0, generator)
    assert found.any(1).all()
    counts = found.sum(1).bincount(minlength=7) / 20_000  # of a uniform share k of 6 are hidden with 1/7, none: one is
    assert counts[1:].numpy() == pytest.approx([2 / 7, *[1 / 7] * 5], abs=0.015)
    half = hide(torch.Size((20_000, 6)), 0.5, generator)
    assert half.all(1).float().mean().item() == pytest.approx(0.5 + 0.5 / 7, abs=0.015)


def test_a_length_is_drawn_as_often_as_there_are_pairs_of_it():
    lines = ["天"] * 10 + ["山水风"] * 30 + ["花月花月花月花"] * 60
    buckets = Buckets(lines, lines, Vocabulary(list("天山水风花月")), CPU)
    generator = torch.Generator().manual_seed(0)
    lengths = [buckets.draw(4, generator)[0].shape for _ in range(2000)]
    assert {n for n, _ in lengths} == {4}
    counts = np.bincount([t for _, t in lengths], minlength=8) / 2000
    assert counts == pytest.approx([0, 0.1, 0, 0.3, 0, 0, 0, 0.6], abs=0.04)
    assert [len(rows) for rows in by_length(lines)] == [10, 30, 60]
    parts = list(chunks(lines, 35))
    assert sorted(i for part in parts for i in part) == list(range(100))
    assert all(len({len(lines[i]) for i in part}) == 1 and sum(len(lines[i]) for i in part) <= 35 for part in parts)


def test_the_vocabulary_is_of_the_training_part_and_of_what_occurs_twice():
    known = Vocabulary.of(["天天", "地山", "地"], 2)
    assert known.characters == ["地", "天"]
    assert known.encode("天龙地") == [2, 0, 1]
    assert known.decode([2, 1]) == "天地"


def test_the_rate_rises_stays_and_falls():
    how = small(steps=100, warm_up=10, decay=0.5)
    assert [pace(i, how) for i in (0, 4, 10, 50, 75, 99)] == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0.02])
    assert pace(99, replace(how, decay=0.0)) == 1


def test_the_same_bytes_again_and_after_a_kill(data, tmp_path, killed):
    how = small(watch=replace(small().watch, every=10), network=replace(TINY, dropout=0.1))

    def weights(name, spool=None):
        train(Inputs(input=data, spool=spool), how, tmp_path / name)
        return (tmp_path / name / "seed_0.safetensors").read_bytes()

    whole = weights("one")
    assert weights("two") == whole
    killed(lambda: weights("killed", tmp_path / "spool"))
    assert weights("killed", tmp_path / "spool") == whole


def test_the_authors_network_learns_64_pairs_by_heart(data, tmp_path):
    """Cross entropy below 0.1 within 500 steps; the number that the specification has."""
    first, second = (side[:64] for side in part(data, "train"))
    save([(a, b, "train") for a, b in zip(first, second, strict=True)], tmp_path / "few")
    how = small(
        network=Network("convolution", 128, 6, 3, 1, 0.25), whole=1.0, steps=400, batch=16, rate=1e-3, warm_up=0,
        decay=0.0, least=1, watch=replace(small().watch, every=50),
    )  # fmt: skip
    found = train(Inputs(input=tmp_path / "few"), how, tmp_path / "model")
    assert np.mean(found.history["loss_0"][-20:]) < 0.1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"network": replace(TINY, kind="recurrent")}, "choices: convolution, transformer"),
        ({"network": replace(TINY, kind="convolution", kernel=4)}, "odd"),
        ({"network": replace(TINY, heads=3)}, "no even multiple"),
        ({"parts": {"train": 0.5, "extra": 0.4}}, "add up to 1"),
        ({"parts": {"train": 0.5, "extra": 0.5}}, "no couplets of the part 'extra'"),
        ({"whole": 1.5}, "within 0..1"),
    ],
)
def test_bad_params_are_named(more, says, data, tmp_path):
    with pytest.raises(Refusal, match=says):
        train(Inputs(input=data), small(**more), tmp_path / "model")
    with pytest.raises(Refusal, match="needs an `input`"):
        train(Inputs(), small(), tmp_path / "model")
