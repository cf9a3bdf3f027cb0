"""The whole way from documents to words.parquet."""

from __future__ import annotations

import random
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import plain, serial, write_corpus, zipf_text

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.words import vocabulary
from stages.words.encoded import encode
from stages.words.new_words import NewWords, plan, train

PLAIN = plain(min_count=3, thresholds=(1.0, 2.0, 3.0), workers=1)
GAINS = replace(PLAIN, gains=(2.0, 3.0, 4.0))


def words_of(tmp_path: Path, texts: list[str], how: NewWords) -> list[dict]:
    folder = write_corpus(tmp_path, texts)
    train(Inputs(input=folder), how, tmp_path / "out")
    return tables.read(tmp_path / "out" / "words.parquet").to_pylist()


@pytest.mark.parametrize(
    "how", [PLAIN, GAINS, replace(PLAIN, counting="prefix_of_frequent")], ids=["plain", "gains", "kenlm"]
)
def test_words_are_sorted_and_never_blank(tmp_path, how):
    found = words_of(tmp_path, ["　\t " + zipf_text(20_000)], how)
    assert len(found) > 100
    assert all(row["word"].strip() == row["word"] != "" for row in found)
    assert [(-r["count"], r["word"]) for r in found] == sorted((-r["count"], r["word"]) for r in found)
    assert len({row["word"] for row in found}) == len(found)
    assert not (tmp_path / "out" / "scratch").exists()


@pytest.mark.parametrize("how", [PLAIN, GAINS], ids=["plain", "gains"])
def test_same_bytes_however_it_is_computed(tmp_path, how):
    texts = [zipf_text(10_000, seed=s) for s in range(4)]
    ways = [how, replace(how, memory_gib=0.01), replace(how, workers=2, memory_gib=0.01), replace(how, backend="torch")]
    folder = write_corpus(tmp_path, texts)
    made = []
    for i, way in enumerate(ways):
        train(Inputs(input=folder), way, tmp_path / str(i))
        made.append((tmp_path / str(i) / "words.parquet").read_bytes())
    assert made.count(made[0]) == len(ways)


def test_gains_find_the_words_a_text_was_made_of(tmp_path):
    rng = random.Random(0)
    lexicon = ["市场", "经济", "蝴蝶", "的", "在", "人", "葡萄牙", "发展", "中国"]
    text = "".join(rng.choice(lexicon) + ("，" if rng.random() < 0.1 else "") for _ in range(5000))
    how = replace(PLAIN, thresholds=(-1.0, -1.0, -1.0))
    found = {r["word"] for r in words_of(tmp_path / "gains", [text], replace(how, gains=(3.0, 5.0, 7.0)))}
    assert set(lexicon) <= found
    assert len(found - set(lexicon)) <= 3


def test_gains_drop_what_its_parts_explain_and_the_plain_form_keeps_it(tmp_path):
    text = "市场经济，" * 50 + "市场，经济，" * 50 + zipf_text(20_000)
    plain = {r["word"] for r in words_of(tmp_path / "plain", [text], PLAIN)}
    gains = {r["word"] for r in words_of(tmp_path / "gains", [text], replace(PLAIN, gains=(3.0, 5.0, 7.0)))}
    assert {"市场", "经济", "市场经济"} <= plain
    assert {"市场", "经济"} <= gains
    assert "市场经济" not in gains


def test_recount_finds_the_most_probable_cut(tmp_path):
    folder = write_corpus(tmp_path, ["甲乙丙。甲乙丙甲乙丙", "丙乙"])
    corpus = encode(folder / "documents.parquet", "cjk", tmp_path)
    ids = {chr(c): i for i, c in enumerate(corpus.characters)}

    def key(word: str) -> int:
        return sum(ids[c] << (16 * (len(word) - 1 - i)) for i, c in enumerate(word))

    words = {"甲": 1, "乙": 1, "丙": 5, "甲乙": 5, "乙丙": 1}
    keys = sorted(words, key=key)
    start = vocabulary.Vocabulary(
        np.array([key(w) for w in keys], np.uint64), np.array([float(words[w]) for w in keys])
    )
    for chunk in (1, 3, 100):
        counts = vocabulary.recount(corpus, start, chunk, serial, tmp_path).counts
        assert dict(zip(keys, counts, strict=True)) == {"甲": 0, "乙": 1, "丙": 4, "甲乙": 3, "乙丙": 0}
    gains = dict(zip(keys, vocabulary.gain(start), strict=True))
    assert gains["甲乙"] == pytest.approx(np.log(5 / 13) - 2 * np.log(1 / 13))
    assert gains["甲"] == np.inf


@pytest.mark.parametrize(
    ("texts", "how", "message"),
    [
        ([], PLAIN, "alphabet"),
        (["。。"], PLAIN, "alphabet"),
        (["甲乙"], PLAIN, "no word is left"),
        ([zipf_text(1000)], replace(PLAIN, min_count=10**9), "no word is left"),
        ([zipf_text(1000)], replace(PLAIN, counting="prefix_of_frequent", min_count=10**9), "no word is left"),
        (["123，" * 9], replace(PLAIN, digits="drop"), "no word is left"),
        ([zipf_text(1000)], replace(PLAIN, thresholds=(1.0,)), "thresholds"),
        ([zipf_text(1000)], replace(PLAIN, gains=(1.0,)), "gains"),
        ([zipf_text(1000)], replace(PLAIN, counting="exactly"), "exact"),
        ([zipf_text(1000)], replace(PLAIN, alphabet="latin"), "cjk"),
        ([zipf_text(1000)], replace(PLAIN, executor="threads"), "processes"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(tmp_path, texts, how, message):
    with pytest.raises(Refusal, match=message) as refusal:
        words_of(tmp_path, texts, how)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out" / "words.parquet").exists()


def test_a_corpus_without_a_column_text_is_refused(tmp_path):
    folder = write_corpus(tmp_path, ["甲"])
    tables.write(tables.read(folder / "documents.parquet").drop_columns("text"), folder / "documents.parquet")
    with pytest.raises(Refusal, match="text"):
        train(Inputs(input=folder), PLAIN, tmp_path / "out")


def test_order_two_and_options(tmp_path):
    text = "K线图。" * 20 + zipf_text(3000) + "2026，" * 20
    found = {r["word"] for r in words_of(tmp_path / "a", [text], PLAIN)}
    assert {"K线图", "2026"} <= found
    found = {
        r["word"] for r in words_of(tmp_path / "b", [text], replace(PLAIN, digits="drop", order=2, thresholds=(1.0,)))
    }
    assert not any(word.isdigit() for word in found)
    top = words_of(tmp_path / "c", [text], replace(PLAIN, top=10, max_length=2))
    assert len(top) == 10
    assert max(len(row["word"]) for row in top) <= 2


def test_one_long_line_costs_no_more_than_short_ones(tmp_path):
    text = zipf_text(600_000).replace("\r\n", "")
    lines = [text[i : i + 50] for i in range(0, len(text), 50)]
    words_of(tmp_path / "warm", [text[:10_000]], PLAIN)
    seconds = []
    for i, texts in enumerate((lines, [text], [text.replace("，", "").replace("。", "").replace(" ", "")])):
        folder = write_corpus(tmp_path / str(i), texts)
        begin = time.perf_counter()
        train(Inputs(input=folder), PLAIN, tmp_path / str(i) / "out")
        seconds.append(time.perf_counter() - begin)
    assert max(seconds[1:]) <= 2 * seconds[0] + 0.3


def test_chunks_and_partitions_follow_the_memory(tmp_path):
    folder = write_corpus(tmp_path, [zipf_text(50_000)])
    corpus = encode(folder / "documents.parquet", "cjk", tmp_path)
    large = replace(corpus, size=10**10)
    for gib in (0.5, 2, 8):
        how = plan(large, plain(memory_gib=gib))
        keys = 3 * 8 * large.size / how.partitions
        assert how.chunk * 256 + 0 <= gib * 2**30
        assert 3 * keys <= max(gib * 2**30, 0.5 * 2**30) * 2
    assert plan(large, plain(memory_gib=0.5)).partitions > plan(large, plain(memory_gib=8)).partitions


def test_memory_stays_bounded(tmp_path):
    """A fourfold corpus takes about the same memory: chunks and partitions are what is held."""
    text = zipf_text(200_000)
    peaks = []
    for times in (2, 20):
        folder = write_corpus(tmp_path / str(times), [text] * times)
        tracemalloc.start()
        train(Inputs(input=folder), replace(PLAIN, memory_gib=0.3, min_count=3 * times), tmp_path / str(times) / "out")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
