"""Word_Finder: words by gluing neighbours, without those that shorter words explain.

Articles: https://kexue.fm/archives/6540 and https://kexue.fm/archives/5476; code of the author:
https://github.com/bojone/nlp-zero.

    glue a|b    iff  p(ab) > min_proba  and  ln p(ab) / (p(a) p(b)) > min_pmi;        a word = a run of glued neighbours
    redundancy, longest first:  pmi(w) = ln p(w) - max over cuts of w into other words of  sum ln p(wi)
                                pmi(w) < bound(w)  ->  w goes, its count goes to its parts
    bound(w) = len(w) - 1 (his code) or 1 (his article: F_ab >= p_ab (PMI - 1), see merging.py)

His code takes words of one length in the order of a dictionary, and each removal changes the counts for the next; here
all words of one length are judged by the counts that the longer ones left, so that the order does not matter. (His
loses the pairs after the first corpus, a defect that is not copied.) The number: 30 to 50 % of the candidates are
redundant in the article.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.words import ngrams, segment
from stages.words.dictionary import Dictionary
from stages.words.encoded import ID, Encoded
from stages.words.ngrams import Plan
from stages.words.parallel import Map


@dataclass(frozen=True)
class WordFinder:
    """Params of Word_Finder."""

    min_proba: float  # of pairs and of words
    min_pmi: float  # of neighbours that are glued, nats
    max_length: int  # longer runs are no words
    bound: str  # of redundancy: length, one or none


BOUNDS: Choices = {
    "length": lambda lengths: lengths - 1.0,
    "one": lambda lengths: np.ones(lengths.size),
    "none": lambda lengths: np.full(lengths.size, -np.inf),
}


def find(corpus: Encoded, params: WordFinder, how: Plan, apply: Map, scratch: Path) -> pa.Table:
    """The words of `corpus`: word, count (int64), sorted by count and text. Raises `Refusal` where none is left."""
    choose(BOUNDS, params.bound, "bound")
    counted = ngrams.count(corpus, Plan(how.chunk, how.partitions, how.backend, how.device, 2, 1), apply, scratch)
    pairs, counts = counted.keys[2], counted.counts[2].astype(np.float64)
    total = corpus.total
    single = corpus.frequencies / total
    a, b = (pairs >> np.uint64(16)).astype(np.int64), (pairs & np.uint64(0xFFFF)).astype(np.int64)
    glue = (counts / total > params.min_proba) & (np.log(counts / total / (single[a] * single[b])) > params.min_pmi)
    if not glue.any():
        raise Refusal("no two characters stick together: lower min_pmi or min_proba, or give more text")
    raw, _ = segment.candidates(corpus, [pairs[glue]], 2, params.max_length, how.chunk, apply, scratch)
    least = params.min_proba * (pc.sum(raw["count"]).as_py() or 0)
    raw = raw.filter(pc.greater(raw["count"], least)).combine_chunks()
    if raw.num_rows == 0:
        raise Refusal("every run of glued characters is too long or too rare: raise max_length or min_pmi")
    words = pa.array([_text(corpus, ids) for ids in raw["word"].to_pylist()], pa.string())
    table = without_redundancy(pa.table({"word": words, "count": raw["count"]}), params)
    return table.take(pc.sort_indices(table, sort_keys=[("count", "descending"), ("word", "ascending")]))


def without_redundancy(words: pa.Table, params: WordFinder) -> pa.Table:
    """`words` (word, count) without those whose pmi over their best cut is below the bound; counts go to the parts.

    A character that is no word has the probability `params.min_proba`. A removed word whose cut needs such a
    character adds it to nothing.
    """
    bound = choose(BOUNDS, params.bound, "bound")
    counts = words["count"].to_numpy().astype(np.float64)
    dictionary = Dictionary(words["word"].combine_chunks(), counts)
    texts = np.array(words["word"].to_pylist(), dtype=object)
    alive, total = np.ones(counts.size, dtype=bool), counts.sum()
    for n in range(dictionary.longest, 1, -1):
        mine = np.flatnonzero(dictionary.lengths == n)
        if mine.size == 0:
            continue
        log_p = np.where(alive, np.log(np.maximum(counts, 1e-300) / total), -np.inf)
        best, part, length = _cuts(texts[mine], n, dictionary, np.append(log_p, np.log(params.min_proba)))
        gone = log_p[mine] - best < bound(dictionary.lengths[mine])
        alive[mine[gone]] = False
        columns = np.flatnonzero(gone)
        at, moved = np.full(columns.size, n), counts[mine[columns]]
        while columns.size:  # from the end of each removed word to its beginning, part by part
            word = part[at, columns]
            real = word < counts.size
            np.add.at(counts, word[real], moved[real])
            at = at - length[at, columns]
            at, columns, moved = at[at > 0], columns[at > 0], moved[at > 0]
        counts[mine[gone]] = 0
        total = counts.sum()
    return pa.table({"word": words["word"], "count": counts.astype(np.int64)}).filter(pa.array(alive & (counts > 0)))


def _cuts(
    texts: np.ndarray, n: int, dictionary: Dictionary, log_p: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best cut of words of n characters into shorter ones: its sum of ln p [m], and for the part that ends behind
    each character j its word (the last of `log_p` for none) and its length, [n + 1, m]."""
    codes = np.frombuffer("\0".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), "<u4")
    found = dictionary.at(codes)[:n].reshape(n, -1, n + 1)
    found = np.where(found < 0, log_p.size - 1, found)
    best = np.zeros((n + 1, texts.size))
    part, length = np.zeros((n + 1, texts.size), dtype=np.int64), np.ones((n + 1, texts.size), dtype=np.int64)
    for j in range(1, n + 1):
        best[j] = -np.inf
        for size in range(1, j + (j < n)):  # the whole word is no part of itself
            word = found[size - 1, :, j - size]
            score = best[j - size] + np.where((word == log_p.size - 1) & (size > 1), -np.inf, log_p[word])
            if size == 1:  # a character that was removed or never was a word
                score = np.maximum(score, best[j - 1] + log_p[-1])
                word = np.where(np.isneginf(log_p[word]), log_p.size - 1, word)
            better = score > best[j]
            best[j][better], part[j][better], length[j][better] = score[better], word[better], size
    return best[n], part, length


def _text(corpus: Encoded, ids: bytes) -> str:
    return corpus.characters[np.frombuffer(ids, ID)].astype("<u4").tobytes().decode("utf-32-le")
