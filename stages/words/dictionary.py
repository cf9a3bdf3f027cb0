"""Cut an encoded corpus with a dictionary of words of any length: the most probable path, as arrays of word numbers.

Articles: https://kexue.fm/archives/6920 (the cut), https://kexue.fm/archives/6540 (which cuts the domain corpus so).

    path = argmax of the sum of  ln c(w) - ln C,      a character that starts no word stands alone with count 1/2

Unlike segmenter.py, which follows jieba and returns text, this reads the ids of encoded.py and returns numbers. A gap
that no word covers is a cut in every path, so the dynamic program runs on short runs between such gaps and memory
does not depend on the corpus. The number: 1.5 million characters a second on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import Refusal
from stages.words.encoded import Encoded
from stages.words.lookup import Lookup
from stages.words.viterbi import best_cut
from stages.words.vocabulary import RARE

CHUNK = 1 << 18  # positions
CODE = np.uint64(21)  # bits of a code point


@dataclass(frozen=True)
class Cut:
    """A cut corpus: `rows` [tokens] int32, the word of each token (-1: a character in no word), `places` [tokens]
    int64, where it starts among the ids of the corpus, and `lengths` [words + 1] int64 of the words (the last: 1)."""

    rows: np.ndarray
    places: np.ndarray
    lengths: np.ndarray

    def counts(self) -> np.ndarray:
        """How often each word was cut, [words] int64."""
        return np.bincount(self.rows[self.rows >= 0], minlength=self.lengths.size - 1)

    def joined(self) -> np.ndarray:
        """Does the next token follow without a gap, [tokens] bool?"""
        follows = np.zeros(self.rows.size, dtype=bool)
        follows[:-1] = self.places[:-1] + self.lengths[self.rows[:-1]] == self.places[1:]
        return follows

    def documents(self, corpus: Encoded) -> np.ndarray:
        """Number of the document of each token, [tokens] int64."""
        return np.searchsorted(corpus.documents(), self.places, side="right") - 1


class Dictionary:
    """Words ready to cut with: `words` (distinct, not empty) and how often each occurs, [words] float64."""

    def __init__(self, words: pa.Array, counts: np.ndarray) -> None:
        if len(words) == 0:
            raise Refusal("a dictionary needs at least one word: the vocabulary is empty")
        self.lengths = pc.utf8_length(words).to_numpy(zero_copy_only=False).astype(np.int64)
        self.longest = int(self.lengths.max())
        log_total = np.log(np.maximum(counts, RARE).sum())
        score = np.log(np.maximum(counts, RARE)) - log_total
        codes = np.frombuffer("".join(words.to_pylist()).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
        begins = np.cumsum(self.lengths) - self.lengths
        state = np.zeros(len(words), dtype=np.uint64)
        steps, known = [], 1
        word_of_state = [np.full(1, -1, dtype=np.int64)]
        for n in range(self.longest):  # one level of the trie at a time
            longer = np.flatnonzero(self.lengths > n)
            keys, which = np.unique(state[longer] << CODE | codes[begins[longer] + n], return_inverse=True)
            state[longer] = known + which
            ends = np.full(keys.size, -1, dtype=np.int64)
            done = self.lengths[longer] == n + 1
            ends[which[done]] = longer[done]
            steps.append(keys)
            word_of_state.append(ends)
            known += keys.size
        self.steps = Lookup(np.concatenate(steps))  # the i-th step leads to state i + 1
        self.word = np.concatenate(word_of_state)
        self.score = np.append(score, np.log(RARE) - log_total)  # the last is that of a character in no word

    def at(self, codes: np.ndarray) -> np.ndarray:
        """The word of n characters that starts at each position of `codes` (0: no character), [longest, size] int32.

        -1 where there is none.
        """
        found = np.full((self.longest, codes.size), -1, dtype=np.int32)
        codes = codes.astype(np.uint64)
        x = np.flatnonzero(codes)
        state = np.zeros(x.size, dtype=np.uint64)
        for n in range(self.longest):
            reached = self.steps.find(state << CODE | codes[x + n]) + 1
            x, state = x[reached > 0], reached[reached > 0].astype(np.uint64)
            found[n, x] = self.word[state]
            inside = x + n + 1 < codes.size
            x, state = x[inside], state[inside]
        return found


def cut(corpus: Encoded, dictionary: Dictionary, folder: Path) -> Cut:
    """The most probable cut of the whole corpus; its arrays lie in `folder` (made where missing) and are mapped."""
    folder.mkdir(parents=True, exist_ok=True)
    begin, size = 0, CHUNK
    with (folder / "rows").open("wb") as rows_file, (folder / "places").open("wb") as places_file:
        while begin < corpus.size:
            end = min(begin + size, corpus.size)
            rows, places, done = _cut(corpus.characters[corpus.read(begin, end)], dictionary, end == corpus.size)
            if done == 0:  # one run fills the chunk
                size *= 2
                continue
            rows.astype(np.int32).tofile(rows_file)
            (places + begin).astype(np.int64).tofile(places_file)
            begin, size = begin + done, CHUNK
    rows, places = (_mapped(folder / name, kind) for name, kind in (("rows", np.int32), ("places", np.int64)))
    return Cut(rows, places, np.append(dictionary.lengths, 1))


def _cut(codes: np.ndarray, dictionary: Dictionary, last: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows and places of the tokens in the first `done` positions, and `done`; all positions where it is the `last`."""
    found = dictionary.at(codes)
    cover = np.zeros(codes.size + 1, dtype=np.int32)  # the gap before position x is covered: sum of cover[: x + 1] > 0
    for n in range(2, dictionary.longest + 1):
        x = np.flatnonzero(found[n - 1] >= 0)
        cover[x + 1] += 1  # x is distinct
        cover[x + n] -= 1
    gaps = np.append(np.flatnonzero(np.cumsum(cover[:-1]) == 0), codes.size)
    if not last:  # a word that ends behind the chunk was not seen
        gaps = gaps[gaps <= codes.size - dictionary.longest]
    if gaps.size < 2:
        return np.empty(0), np.empty(0), 0
    begins, ends = gaps[:-1], gaps[1:]
    words = codes[begins] != 0
    scores = np.where(found >= 0, dictionary.score[found], -np.inf)
    single = np.isneginf(scores[0])
    scores[0][single] = dictionary.score[-1]
    starts = best_cut(begins[words], ends[words], scores)
    places = np.flatnonzero(starts)
    bounds = np.zeros(codes.size + 1, dtype=bool)
    bounds[places] = bounds[gaps] = True
    bounds = np.flatnonzero(bounds)
    lengths = bounds[np.searchsorted(bounds, places) + 1] - places
    return found[lengths - 1, places], places, int(gaps[-1])


def _mapped(path: Path, kind: type) -> np.ndarray:
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, dtype=kind)
