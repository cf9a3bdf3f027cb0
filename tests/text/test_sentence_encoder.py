"""The sentence encoder: what it reads, that it learns, goes on after a kill, and is judged by hand-made truths."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import spearmanr

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Inputs
from stages.corpora.pairs.dataset import save
from stages.text.characters import FIRST, PAD, UNKNOWN, alphabet, numbered
from stages.text.encoders import KINDS, Encoder, Reader
from stages.text.sentence_encoder import SentenceEncoder, train
from stages.text.sentence_evaluate import EvaluateEncoder, bag, encoded, evaluate, judged

ROW = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["systems"]["sentence_encoder"]
READER = Reader("convolution", 16, 1, 2, 3, 0.1, 8, 12)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Names asked about in two forms that share the name only; the last names are for the test."""
    names = [f"{a}{b}" for a in "甲乙丙丁戊己" for b in "金木水火土日"]
    asked = [(f"{name}要花多少钱", f"去{name}的费用", f"{name}在哪里") for name in names]
    rows = [(a, b, c, i) for i, (a, b, c) in enumerate(asked[:30])]
    test = [(a, other, score) for a, b, c in asked[30:] for other, score in ((b, 1.0), (c, 0.0))]
    out = tmp_path_factory.mktemp("pairs") / "pairs"
    save(rows, test, "made", out)
    return out


def small(**more):
    how = typed(SentenceEncoder, ROW["train"], "row")
    quick = {"encoder": READER, "batch": 16, "chunk": 5, "steps": 60, "rate": 0.01, "seeds": (0,)}
    return replace(how, **{**quick, **more})


def judging(**more):
    return replace(typed(EvaluateEncoder, ROW["evaluate"], "row"), **more)


def test_characters_are_numbered_by_frequency_and_unknown_ones_are_one():
    known = alphabet(["天天上", "上天", "甲"], 2)
    assert known == ["天", "上"]
    rows = numbered(["上天甲", "", "天上天上天"], known, 4)
    assert rows.tolist() == [
        [FIRST + 1, FIRST, UNKNOWN, PAD],
        [UNKNOWN, PAD, PAD, PAD],
        [FIRST, FIRST + 1, FIRST, FIRST + 1],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_a_sentence_changes_nothing(kind):
    torch.manual_seed(0)
    net = Encoder(replace(READER, kind=kind), 20).eval()
    rows = torch.randint(1, 20, (5, 7))
    rows[2, 4:] = PAD
    padded = torch.cat([rows, torch.zeros(5, 5, dtype=torch.long)], 1)
    assert (net(rows) - net(padded)).abs().max() < 1e-5
    other = rows.clone()
    other[:, 0] = 3
    assert (net(rows) - net(other)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_bags_of_characters_cannot_know(kind, data, tmp_path):
    train(Inputs(input=data), small(encoder=replace(READER, kind=kind), steps=40), tmp_path / "model")
    found = evaluate(tmp_path / "model", Inputs(truth=data), judging())
    assert found.metrics["spearman"] > found.metrics["bag_spearman"] + 0.3
    assert found.metrics["cache_off"] < 1e-5
    assert found.claims[0].passed
    assert found.tables["nearest"].num_rows == 6


def test_the_same_bytes_again_and_after_a_kill(data, tmp_path, killed):
    def weights(name, spool=None, how=None):
        train(Inputs(input=data, spool=spool), how or small(steps=20), tmp_path / name)
        return (tmp_path / name / "seed_0.safetensors").read_bytes()

    whole = weights("one")
    assert weights("two") == whole
    assert killed(lambda: weights("killed", tmp_path / "spool")) == [10]
    assert weights("killed", tmp_path / "spool") == whole
    assert weights("other", how=small(steps=20, seeds=(0, 1))) == whole  # seeds do not touch each other


def test_chunks_change_nothing_but_what_dropout_draws(data, tmp_path):
    still = replace(READER, dropout=0.0)
    ends = []
    for chunk in (3, 16):
        train(Inputs(input=data), small(encoder=still, steps=15, chunk=chunk), tmp_path / str(chunk))
        ends.append(tables.read(tmp_path / str(chunk) / "history.parquet")["loss"].to_numpy())
    assert np.abs(ends[0] - ends[1]).max() < 1e-3


def test_simcse_learns_from_single_sentences(data, tmp_path):
    how = small(pairs="dropout", negatives=False, steps=20)
    found = train(Inputs(input=data), how, tmp_path / "model")
    assert found.history["loss_0"][-1] < found.history["loss_0"][0]


def test_judging_is_its_definition():
    rng = np.random.default_rng(0)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 6, 3)))
    same = np.array([True, False, True, True, False, True])
    second = ["w", "x", "y", "z", "x", "w"]
    b[5] = b[0]  # one text, one vector
    found = judged(a, b, same, second)
    assert found["spearman"] == pytest.approx(spearmanr((a * b).sum(1), same)[0])
    ranks = []
    for i in (0, 2, 3, 5):
        others = {second[j]: a[i] @ b[j] for j in (0, 2, 3)}
        ranks.append(1 + sum(value > others[second[i]] for value in others.values()))
    assert found["mrr"] == pytest.approx(np.mean([1 / rank for rank in ranks]))
    assert found["recall_1"] == np.mean([rank == 1 for rank in ranks])
    # who has one vector for all is not praised for ties
    assert judged(np.ones((6, 1)), np.ones((6, 1)), same, second)["mrr"] == pytest.approx(1 / 3)


def test_bags_are_counts_of_characters_of_length_1():
    a, b = bag(["天天上", "上"], ["天", "甲"], weighted=False)
    assert (a * b).sum(1) == pytest.approx([2 / 5**0.5, 0.0])


def test_vectors_have_length_1():
    torch.manual_seed(0)
    vectors = encoded(Encoder(READER, 20).eval(), torch.randint(1, 20, (5, 7)))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"batch": 31}, "lower the batch"),
        ({"loss": "triplet"}, "choices: info_nce"),
        ({"pairs": "none"}, "choices: given, dropout"),
        ({"encoder": replace(READER, kind="recurrent")}, "choices: transformer, convolution"),
        ({"encoder": replace(READER, kernel=4)}, "odd"),
        ({"encoder": replace(READER, kind="transformer", heads=3)}, "no multiple"),
    ],
)
def test_bad_params_are_named(more, says, data, tmp_path):
    with pytest.raises(Refusal, match=says):
        train(Inputs(input=data), small(**more), tmp_path / "model")


def test_missing_data_is_named(data, tmp_path):
    with pytest.raises(Refusal, match="needs an `input`"):
        train(Inputs(), small(), tmp_path / "model")
    with pytest.raises(Refusal, match="judged on a `truth`"):
        evaluate(tmp_path, Inputs(), judging())
    out = tmp_path / "plain"
    save([("甲", "乙", "", 0), ("丙", "丁", "", 1)], [("甲", "乙", 1.0), ("甲", "丁", 0.0)], "made", out)
    with pytest.raises(Refusal, match="set `negatives` to false"):
        train(Inputs(input=out), small(batch=2), tmp_path / "model")
