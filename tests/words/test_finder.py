"""Word_Finder: the words of the plain recipe, and redundancy removal against a word-by-word account of it."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from math import log
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made import serial, write_corpus, zipf_text

from stages.core.errors import Refusal
from stages.words import finder
from stages.words.encoded import encode
from stages.words.ngrams import Plan

HAN = re.compile("[\u4e00-\u9fa5]+")
USUAL = finder.WordFinder(min_proba=1e-6, min_pmi=0.5, max_length=16, bound="length")


def found(folder: Path, texts: list[str], how: finder.WordFinder) -> dict[str, int]:
    corpus = encode(write_corpus(folder, texts) / "documents.parquet", "han", folder / "ids")
    table = finder.find(corpus, how, Plan(1 << 14, 4), serial, folder / "ids")
    return dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True))


def glued(texts: list[str], how: finder.WordFinder) -> Counter:
    """The raw candidates by strings: runs of glued neighbours."""
    pieces = [piece for text in texts for piece in HAN.findall(text)]
    one = Counter(c for piece in pieces for c in piece)
    two = Counter(piece[i : i + 2] for piece in pieces for i in range(len(piece) - 1))
    total, words = one.total(), Counter()
    for piece in pieces:
        word = piece[0]
        for a, b in pairwise(piece):
            p = two[a + b] / total
            if p > how.min_proba and log(p / (one[a] * one[b] / total**2)) > how.min_pmi:
                word += b
            else:
                words[word] += 1
                word = b
        words[word] += 1
    words = Counter({word: count for word, count in words.items() if len(word) <= how.max_length})
    return Counter({word: count for word, count in words.items() if count > how.min_proba * words.total()})


def pruned(words: Counter, how: finder.WordFinder) -> dict[str, int]:
    """Redundancy removal, length by length, one word after the other."""
    counts, alive = dict(words), set(words)
    for n in range(max(map(len, words)), 1, -1):
        total, gone = sum(counts.values()), []
        log_p = {word: log(counts[word] / total) for word in alive}
        for word in [word for word in alive if len(word) == n]:
            best = [(0.0, [])]
            for j in range(1, n + 1):
                options = []
                for i in range(j):
                    part = word[i:j]
                    score = log_p.get(part) if part != word else None
                    if j - i == 1:
                        score = max(log_p.get(part, -1e9), log(how.min_proba))
                    if score is not None:
                        options.append((best[i][0] + score, [*best[i][1], part]))
                best.append(max(options))
            if log_p[word] - best[-1][0] < n - 1:
                gone.append((word, best[-1][1]))
        for word, parts in gone:
            alive.remove(word)
            for part in parts:
                if part in counts:
                    counts[part] += counts[word]
        for word, _ in gone:
            counts[word] = 0
    return {word: counts[word] for word in alive if counts[word]}


@pytest.mark.parametrize("min_pmi", [0.5, 2.0])
def test_candidates_are_runs_of_glued_neighbours(tmp_path, min_pmi):
    how = finder.WordFinder(1e-5, min_pmi, 16, "none")
    texts = [zipf_text(4000, seed=i) for i in range(4)]
    assert found(tmp_path, texts, how) == dict(glued(texts, how))


def test_redundancy_removal_is_the_word_by_word_account(tmp_path):
    texts = [zipf_text(6000, seed=i, alphabet=60) for i in range(4)]
    raw = glued(texts, USUAL)
    kept = pruned(raw, USUAL)
    mine = found(tmp_path, texts, USUAL)
    assert mine == kept
    assert len(kept) < len(raw)


def test_a_word_goes_where_its_parts_explain_it_and_stays_where_they_do_not():
    counts = {"市场": 400, "经济": 400, "市场经济": 30, "葡萄牙": 30, "的": 2000, "葡": 1, "萄": 1, "牙": 5}
    table = pa.table({"word": list(counts), "count": list(counts.values())})
    kept = finder.without_redundancy(table, USUAL)
    left = dict(zip(kept["word"].to_pylist(), kept["count"].to_pylist(), strict=True))
    assert "市场经济" not in left
    assert left["市场"] == left["经济"] == 430
    assert left["葡萄牙"] == 30
    assert sum(left.values()) == sum(counts.values()) + 30


def test_what_cannot_be_done_is_refused(tmp_path):
    with pytest.raises(Refusal, match="min_pmi"):
        found(tmp_path / "a", ["甲，乙"], USUAL)
    with pytest.raises(Refusal, match="max_length"):
        found(tmp_path / "c", ["甲乙" * 50], finder.WordFinder(1e-6, 0.1, 16, "one"))
    with pytest.raises(Refusal, match="length, one, none"):
        found(tmp_path / "b", ["甲乙" * 50], finder.WordFinder(1e-6, 0.1, 16, "two"))


@pytest.mark.real
def test_a_third_to_a_half_of_the_candidates_of_real_text_is_redundant(tmp_path, real_texts):
    """The article says 30 to 50 %; measured on 1 MB of news."""
    raw = found(tmp_path / "raw", real_texts, finder.WordFinder(1e-6, 0.5, 16, "none"))
    shares = {}
    for bound in ("length", "one"):
        kept = found(tmp_path / bound, real_texts, finder.WordFinder(1e-6, 0.5, 16, bound))
        shares[bound] = 1 - len(kept) / len(raw)
    print(f"redundant: {shares}")
    assert 0.3 <= shares["one"] <= 0.5 or 0.3 <= shares["length"] <= 0.5, shares
    assert np.isfinite(list(shares.values())).all()
