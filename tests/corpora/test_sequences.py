"""Made sequences have the entropies that they are said to have; sentences are those of the text."""

import json

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from stages.core import tables
from stages.core.errors import Refusal
from stages.corpora.sequences import sentences, topics
from stages.corpora.sequences.sentences import Sentences
from stages.corpora.sequences.topics import Topics

MADE = Topics(topics=3, symbols=4, length=5, sharpness=1.5, train=50, test=20_000, seed=3)


def test_chains_are_drawn_as_they_are(tmp_path):
    chance = np.random.default_rng(0)
    chains = chance.dirichlet(np.ones(4), size=(3, 4))
    labels = chance.integers(3, size=50_000)
    rows = topics.drawn(chains, labels, 6, chance)
    counts = np.zeros((3, 4, 4))
    np.add.at(counts, (labels[:, None], rows[:, :-1], rows[:, 1:]), 1)
    assert counts / counts.sum(-1, keepdims=True) == pytest.approx(chains, abs=0.02)
    assert np.bincount(rows[:, 0]) / len(rows) == pytest.approx(0.25, abs=0.01)


def test_the_entropies_are_those_of_all_sequences(tmp_path):
    """By going through all 4^5 sequences; the estimate of 20,000 test sequences is within four standard errors."""
    found = topics.topics(None, MADE, tmp_path / "made").metrics
    chance = np.random.default_rng(MADE.seed)
    weights = np.exp(MADE.sharpness * chance.standard_normal((3, 4, 4)))
    chains = weights / weights.sum(-1, keepdims=True)
    every = np.stack(np.meshgrid(*[range(4)] * 5, indexing="ij"), -1).reshape(-1, 5)
    each = topics.log_likelihoods(chains, every)
    assert np.exp(each).sum(0) == pytest.approx(1)
    whole, known = np.log(np.exp(each).mean(1)), -(np.exp(each) * each).sum(0).mean()
    entropy = -(np.exp(whole) * whole).sum()
    error = 4 * np.sqrt((np.exp(whole) * whole**2).sum() - entropy**2) / np.sqrt(MADE.test)
    assert found["entropy"] == pytest.approx(entropy, abs=error)
    assert found["entropy_of_topic"] == pytest.approx(known, abs=2 * error)
    assert found["entropy_of_topic"] < found["entropy"] < found["entropy_of_topic"] + np.log(3)
    held = load_file(tmp_path / "made/sequences.safetensors")
    assert (held["test"].min(), held["test"].max()) == (1, 4)


def test_the_same_seed_makes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        topics.topics(None, MADE, tmp_path / name)
    for name in ("sequences.safetensors", "dataset.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def corpus(folder, *texts):
    folder.mkdir()
    tables.write(pa.table({"text": list(texts)}), folder / "documents.parquet")
    return folder


def test_sentences_are_runs_of_chinese_characters(tmp_path):
    source = corpus(
        tmp_path / "in", "春眠不觉晓，处处闻啼鸟。x夜来ABC风雨声", "处处闻啼鸟\n花落知多少？好", "", "no Chinese"
    )
    out = tmp_path / "out"
    sentences.sentences(source, Sentences(3, 6, 100, 0, 0.5, 0), out)
    held, told = load_file(out / "sequences.safetensors"), json.loads((out / "dataset.json").read_text())
    rows = np.concatenate([held["train"], held["test"]])
    assert rows.shape == (4, 6)
    found = {"".join(told["symbols"][i] for i in row) for row in rows}
    assert found == {"春眠不觉晓", "处处闻啼鸟", "风雨声", "花落知多少"}
    assert (held["train_labels"] == -1).all()


def test_a_sentence_with_a_rare_character_is_left_out():
    rows, characters = sentences.encoded(pa.array(["好人好", "人好", "好坏"]), 3, 2)
    assert characters == ["好", "人"]
    assert rows.tolist() == [[1, 2, 1], [2, 1, 0]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shortest": 9}, "shortest <= longest"),
        ({"symbols": 0}, "symbols of 1"),
        ({"shortest": 6}, "has 0 sentences of 6 to 6 Chinese characters"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, change, told):
    source = corpus(tmp_path / "in", "春眠不觉晓，处处闻啼鸟。")
    asked = {"shortest": 3, "longest": 6, "symbols": 100, "most": 0, "test_share": 0.5, "seed": 0} | change
    with pytest.raises(Refusal, match=told):
        sentences.sentences(source, Sentences(**asked), tmp_path / "out")
    with pytest.raises(Refusal, match="topics, train and test must be 1"):
        topics.topics(None, Topics(0, 4, 5, 1.0, 5, 5, 0), tmp_path / "made")
