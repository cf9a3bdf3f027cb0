"""The benchmark of mixers: readings of images and sequences, its pipeline, and the tasks that tell mixers apart."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.corpora.images import dataset as image_files
from stages.corpora.sequences.dataset import save
from stages.nets import trials
from stages.nets.benchmark_blocks import (
    READINGS,
    BenchmarkBlocks,
    Classifier,
    EvaluateBlocks,
    Net,
    Reading,
    compared,
    evaluate,
    train,
)
from stages.nets.mixers import MIXERS, USUAL
from stages.nets.threads import one_thread
from stages.nets.training import Watch
from stages.nets.trials import Conditions, Contestant, Task

NET = Net(8, 1, True, False, replace(USUAL, heads=2, memories=4, kernel=3, tiny=4))
SHORT = Conditions((0, 1), 3, 4, 1e-2, Watch(3, 100, {}, 0), "cpu", False, False)


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


@pytest.fixture
def pictures(tmp_path):
    """Twenty images of 2 channels, 3 x 4 pixels."""
    chance = np.random.default_rng(0)
    train, test = (
        image_files.Part(chance.integers(0, 256, (n, 2, 3, 4), dtype=np.uint8), np.arange(n) % 2) for n in (20, 8)
    )
    image_files.save(train, test, ["a", "b"], "made", tmp_path / "pictures")
    return tmp_path / "pictures"


@pytest.fixture
def texts(tmp_path):
    """Sequences of up to 6 symbols."""
    chance = np.random.default_rng(0)
    parts = {}
    for name, n in (("train", 20), ("test", 8)):
        rows = chance.integers(1, 5, (n, 6))
        rows[np.arange(6) >= chance.integers(1, 7, (n, 1))] = 0
        parts |= {name: rows, f"{name}_labels": np.arange(n) % 3}
    save(parts, ["", *"abcd"], ["x", "y", "z"], "made", tmp_path / "texts")
    return tmp_path / "texts"


def test_tokens_are_rows_and_pixels(pictures):
    device = torch.device("cpu")
    for name, length, numbers in (("rows", 3, 8), ("pixels", 12, 2)):
        reading = READINGS[name](pictures, device)
        task = reading.task
        x = task.prepare(task.test)
        assert x.shape == (8, length, numbers)
        assert (reading.length, reading.classes) == (length, 2)
        assert reading.embedding(5)(x).shape == (8, length, 5)
        token = task.test[3, :, 1] if name == "rows" else task.test[3, :, 1, 2]
        torch.testing.assert_close(x[3, 1 if name == "rows" else 6], token.flatten() / 255)


@pytest.mark.parametrize("mixer", MIXERS)
def test_what_follows_the_end_of_a_sequence_does_not_count(texts, mixer):
    reading = READINGS["symbols"](texts, torch.device("cpu"))
    assert (reading.length, reading.classes) == (6, 3)
    torch.manual_seed(0)
    net = Classifier(mixer, NET, reading).eval()
    x = torch.tensor([[3, 1, 2, 0, 0, 0], [4, 1, 1, 2, 3, 4]])
    short = net(x[:1, :3])
    assert torch.allclose(net(x)[:1], short, atol=1e-5) == (mixer != "fnet")
    assert net(torch.zeros(1, 6, dtype=torch.long)).isfinite().all()
    each = Classifier(mixer, NET, reading, each=True).eval()
    assert each(x).shape == (2, 6, 3)


@pytest.mark.parametrize(("tokens", "folder"), [("rows", "pictures"), ("symbols", "texts")])
def test_every_mixer_is_trained_and_judged(request, tmp_path, tokens, folder):
    data = request.getfixturevalue(folder)
    asked = BenchmarkBlocks(tuple(MIXERS), tokens, NET, SHORT)
    found = train(Inputs(input=data), asked, tmp_path / "a")
    assert {f"{name}.steps_per_second" for name in MIXERS} <= set(found.facts)
    targets = (
        Target("most_behind", "none is behind", "at most", 1.0),
        Target("accuracy.fnet", "fnet", "at least", 2.0),
    )
    worth = evaluate(tmp_path / "a", Inputs(truth=data), EvaluateBlocks("made", "cpu", targets))
    assert [claim.passed for claim in worth.claims] == [True, False]
    board = {row["contestant"]: row for row in worth.tables["board"].to_pylist()}
    assert set(board) == set(MIXERS)
    assert board["fnet"]["parameters"] < board["attention"]["parameters"]
    train(Inputs(input=data), asked, tmp_path / "b")
    for one in sorted((tmp_path / "a").iterdir()):
        assert one.read_bytes() == (tmp_path / "b" / one.name).read_bytes()


def test_behind_is_of_the_same_seed():
    found = compared({"attention": [0.9, 0.7], "gmlp": [0.8, 0.9], "fnet": [0.5, 0.6]}, 1)
    assert found["behind.gmlp"] == pytest.approx(-0.2)
    assert found["most_behind"] == pytest.approx(0.1)
    assert found["accuracy.fnet"] == 0.6


def test_what_it_cannot_read_is_refused(texts, tmp_path):
    asked = BenchmarkBlocks(("attention",), "words", NET, SHORT)
    with pytest.raises(Refusal, match="choices: rows"):
        train(Inputs(input=texts), asked, tmp_path / "out")
    with pytest.raises(Refusal, match="needs an `input`"):
        train(Inputs(), replace(asked, tokens="symbols"), tmp_path / "out")
    rows = np.ones((5, 4), dtype=np.int64)
    save({"train": rows, "test": rows}, ["", "a"], [], "made", tmp_path / "unlabelled")
    with pytest.raises(Refusal, match="without labels"):
        train(Inputs(input=tmp_path / "unlabelled"), replace(asked, tokens="symbols"), tmp_path / "out")


class Pair(nn.Module):
    """The embeddings of a key and a value [n, tokens, 2], added."""

    def __init__(self, dim):
        super().__init__()
        self.symbols = nn.Embedding(40, dim)

    def forward(self, x):
        return self.symbols(x).sum(2)


def copied(n, seed, length=32, symbols=16, offset=2):
    """Symbols, and at each place the one that stood `offset` before."""
    x = torch.randint(1, symbols + 1, (n, length), generator=torch.Generator().manual_seed(seed))
    y = x.roll(offset, 1)
    y[:, :offset] = trials.UNCOUNTED
    return x, y


def recalled(n, seed, pairs=8, keys=16):
    """Pairs of keys and values, and a key: its value is asked for."""
    source = torch.Generator().manual_seed(seed)
    key = torch.rand(n, keys, generator=source).argsort(1)[:, :pairs]
    value = torch.randint(keys, (n, pairs), generator=source)
    asked = torch.randint(pairs, (n, 1), generator=source)
    keyed = torch.cat([key, key.gather(1, asked)], 1) + 1
    valued = torch.cat([value + keys + 1, torch.zeros_like(asked)], 1)
    y = torch.full((n, pairs + 1), trials.UNCOUNTED)
    y[:, -1:] = value.gather(1, asked)
    return torch.stack([keyed, valued], 2), y


def learnt(mixer, made, rows, embedding, classes, steps, rate):
    """The test accuracy of two blocks of `mixer` on a task with an answer at each token."""
    task = Task(*made(rows, 0), *made(1000, 1), prepare=lambda x: x)
    net = Net(64, 2, True, False, USUAL)
    reading = Reading(task, task.train.shape[1], classes, embedding)
    contestant = Contestant(partial(Classifier, mixer, net, reading, each=True))
    conditions = Conditions((0,), steps, 64, rate, Watch(100, 100, {}, 0), "cpu", False, False)
    return trials.accuracy(trials.learn(contestant, task, conditions, 0, None, mixer)[0].eval(), task)


UNABLE = {"synthesizer_frozen": 0.9, "external_over_slots": 0.2, "external_over_tokens": 0.9}
"""Mixers that do not learn to copy in 600 steps, and what they stay below: the last moves sums of exponents only."""


@pytest.mark.slow
@pytest.mark.parametrize("mixer", MIXERS)
def test_copying_from_a_fixed_distance(mixer):
    found = learnt(mixer, copied, 4096, partial(nn.Embedding, 17), 17, 600, 3e-3)
    if mixer in UNABLE:
        assert found < UNABLE[mixer]
    else:
        assert found >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["attention", "amlp"])
def test_recalling_what_a_key_stood_with(mixer):
    assert learnt(mixer, recalled, 20000, Pair, 16, 600, 3e-3) >= 0.95
    assert learnt("external_over_slots", recalled, 20000, Pair, 16, 100, 3e-3) < 0.2
