"""The longest join against a naive trie, solidity against dictionaries, neighbours against brute force."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from made import CJK, brute_force, named, serial, write_corpus, zipf_text

from stages.words import encoded, ngrams, segment, solidity
from stages.words.encoded import ID
from stages.words.neighbours import neighbours


def longest_join(piece: str, solid: set[str]) -> list[str]:
    """The author's scan, with a set for the trie."""
    words, start, end = [], 0, 1
    for i in range(len(piece)):
        if i == end:
            words.append(piece[start:end])
            start, end = i, i + 1
        for n in (2, 3, 4):
            if i + n <= len(piece) and piece[i : i + n] in solid:
                end = max(end, i + n)
    return [*words, piece[start:end]]


def back_check(word: str, solid: set[str]) -> bool:
    if len(word) <= 4:
        return len(word) <= 2 or word in solid
    return all(word[i : i + 4] in solid for i in range(len(word) - 3))


def prepared(tmp_path: Path, texts: list[str], min_count: int, thresholds: tuple[float, ...]):
    folder = write_corpus(tmp_path, texts)
    corpus = encoded.encode(folder / "documents.parquet", "cjk", tmp_path / "scratch")
    counted = ngrams.count(corpus, ngrams.Plan(min_count=min_count), serial, tmp_path / "scratch")
    return corpus, counted, solidity.solid(counted, thresholds)


def solid_strings(corpus, counted, firm) -> set[str]:
    kept = ngrams.Ngrams({n: k for n, (k, _) in firm.items()}, {n: k for n, (k, _) in firm.items()}, 0)
    return set().union(*(words for words in named(corpus, kept).values()))


def text_of(corpus: encoded.Encoded, word: bytes) -> str:
    return "".join(chr(corpus.characters[i]) for i in np.frombuffer(word, ID))


def candidates(corpus, firm, tmp_path, max_length: int = 16, chunk: int = 1000):
    keys = [keys for keys, _ in firm.values()]
    found, chunks = segment.candidates(corpus, keys, 4, max_length, chunk, serial, tmp_path / "scratch")
    words = found["word"].to_pylist()
    return dict(zip((text_of(corpus, w) for w in words), found["count"].to_pylist(), strict=True)), found, chunks


def test_solidity_is_the_least_over_all_cuts(tmp_path):
    texts = [zipf_text(20_000)]
    corpus, counted, _ = prepared(tmp_path, texts, 3, (0, 0, 0))
    counts = Counter({w: c for n, cs in brute_force(texts).items() for w, c in cs.items()})
    total = sum(brute_force(texts)[1].values())
    for n in (2, 3, 4):
        found = dict(zip(named(corpus, counted)[n], solidity.solidity(counted, n).tolist(), strict=True))
        assert found
        assert all(
            math.isclose(s, min(math.log(total * counts[w] / (counts[w[:i]] * counts[w[i:]])) for i in range(1, n)))
            for w, s in found.items()
        )


@pytest.mark.parametrize("chunk", [13, 1000, 1_000_000])
def test_longest_join_equals_a_naive_trie(tmp_path, chunk):
    texts = [zipf_text(20_000, alphabet=40), zipf_text(3_000, seed=2)]
    corpus, counted, firm = prepared(tmp_path, texts, 3, (0.5, 1.5, 2.5))
    solid = solid_strings(corpus, counted, firm)
    joined = Counter(w for text in texts for p in CJK.findall(text) for w in longest_join(p, solid))
    expected = {w: c for w, c in joined.items() if back_check(w, solid) and len(w) <= 16}
    assert max(map(len, expected)) > 4
    assert len(expected) < len(joined)
    assert candidates(corpus, firm, tmp_path, chunk=chunk)[0] == expected


def test_longest_join_equals_a_naive_trie_on_real_text(tmp_path, real_texts):
    corpus, counted, firm = prepared(tmp_path, real_texts, 5, (2, 4, 6))
    solid = solid_strings(corpus, counted, firm)
    joined = Counter(w for text in real_texts for p in CJK.findall(text) for w in longest_join(p, solid))
    assert candidates(corpus, firm, tmp_path)[0] == {
        w: c for w, c in joined.items() if back_check(w, solid) and len(w) <= 16
    }


def test_back_check_removes_what_only_the_join_made(tmp_path):
    """The article's example: 各项 and 项目 are in G, 各项目 is not; the join makes it, the back-check removes it."""
    texts = ["各项，" * 30 + "项目，" * 30 + "各项目，" * 3 + "甲乙丙丁，" * 400]
    corpus, counted, firm = prepared(tmp_path, texts, 2, (1.5, 4, 6))
    solid = solid_strings(corpus, counted, firm)
    assert {"各项", "项目"} <= solid
    assert "各项目" not in solid
    ids = corpus.read(0, corpus.size + 3)
    members = segment.Solid(np.concatenate([keys for keys, _ in firm.values()]))
    cuts = np.flatnonzero(~segment.glued(corpus.size, members.at(ids, corpus.size, 4)))
    joined = {text_of(corpus, ids[a:b].tobytes()) for a, b in itertools.pairwise(cuts)}
    final = candidates(corpus, firm, tmp_path)[0]
    assert "各项目" in joined
    assert "各项目" not in final
    assert final["各项"] == 30
    assert final["项目"] == 30


def test_neighbour_entropies_and_document_frequency_by_brute_force(tmp_path):
    texts = [zipf_text(8_000, seed=s) for s in range(4)]
    corpus, counted, firm = prepared(tmp_path, texts, 3, (1, 2, 3))
    solid = solid_strings(corpus, counted, firm)
    sides, documents = defaultdict(lambda: (Counter(), Counter())), defaultdict(set)
    for number, text in enumerate(texts):
        for piece in CJK.findall(text):
            place = 0
            for word in longest_join(piece, solid):
                end = place + len(word)
                sides[word][0][piece[place - 1] if place else ""] += 1
                sides[word][1][piece[end] if end < len(piece) else ""] += 1
                documents[word].add(number)
                place = end
    _, found, chunks = candidates(corpus, firm, tmp_path, chunk=500)
    plan = ngrams.Plan(partitions=4)
    words = found["word"].combine_chunks()
    left, right, frequency = neighbours(corpus, words, chunks, plan, serial, tmp_path / "scratch")

    def entropy(counts: Counter) -> float:
        return -sum(c / counts.total() * math.log(c / counts.total()) for c in counts.values())

    for i, word in enumerate(text_of(corpus, w) for w in words.to_pylist()):
        assert left[i] == pytest.approx(entropy(sides[word][0]), abs=1e-9)
        assert right[i] == pytest.approx(entropy(sides[word][1]), abs=1e-9)
        assert frequency[i] == len(documents[word])
