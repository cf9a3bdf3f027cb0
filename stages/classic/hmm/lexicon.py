"""Words cut by a list of words alone: the baselines that models of tags are held against.

Article: https://kexue.fm/archives/3922 (which names them).

    forward match    from left to right, each time the longest word of the list, or one character
    unigram          the cut with the largest product of P(word) = count / total; dynamic programming over all cuts

A character that is no word counts as one of log P = log(1 / total) - UNKNOWN. All sentences advance in lock-step, as in
model.py. The numbers: on the PKU test .87 and .89 in the literature (tests/classic/test_hmm.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stages.classic.hmm.model import Lockstep
from stages.core.errors import Refusal

LONGEST = 12
"""Characters of the longest word that is looked for."""

UNKNOWN = 5.0


@dataclass(frozen=True)
class Lexicon:
    """Words by their lengths, in order, with their logarithmic shares."""

    words: dict[int, np.ndarray]  # length -> <U[length] [n], ascending
    shares: dict[int, np.ndarray]  # length -> [n]
    unknown: float

    @classmethod
    def of(cls, counts: Mapping[str, float]) -> Lexicon:
        """From words and how often they occur; longer ones than LONGEST are left out. Raises `Refusal` for none."""
        kept = {word: count for word, count in counts.items() if 0 < len(word) <= LONGEST and count > 0}
        if not kept:
            raise Refusal("the list holds no word: give words with counts above 0")
        total = sum(kept.values())
        words, shares = {}, {}
        for length in sorted({len(word) for word in kept}):
            mine = sorted(word for word in kept if len(word) == length)
            words[length] = np.array(mine, dtype=f"<U{length}")
            shares[length] = np.log([kept[word] / total for word in mine])
        return cls(words, shares, float(np.log(1 / total) - UNKNOWN))

    def scores(self, characters: np.ndarray, ends: np.ndarray) -> dict[int, np.ndarray]:
        """length -> log P of the word that begins at each place, [n]; -inf for none, and across `ends` [n] of texts.

        `characters` are code points [n]; ends[i] is the place after the sentence that i lies in.
        """
        n, found = len(characters), {}
        for length, words in self.words.items():
            score = np.full(n, -np.inf)
            if n >= length:
                windows = np.lib.stride_tricks.sliding_window_view(characters.astype("<u4"), length)
                here = np.ascontiguousarray(windows).view(f"<U{length}")[:, 0]
                place = np.searchsorted(words, here).clip(max=len(words) - 1)
                inside = np.arange(len(here)) + length <= ends[: len(here)]
                score[: len(here)] = np.where((words[place] == here) & inside, self.shares[length][place], -np.inf)
            found[length] = score
        single = found.get(1, np.full(n, -np.inf))
        found[1] = np.where(np.isfinite(single), single, self.unknown)
        return dict(sorted(found.items()))


def forward_match(lexicon: Lexicon, characters: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Whether a word begins at each of `characters` [n] of sentences of `lengths`; bool [n]."""
    ends = np.cumsum(lengths)
    longest = np.ones(len(characters), dtype=np.int64)
    for length, score in lexicon.scores(characters, np.repeat(ends, lengths)).items():
        longest[np.isfinite(score)] = length
    starts, at, last = np.zeros(len(characters), dtype=bool), ends - lengths, ends
    while len(at):
        going = at < last
        at, last = at[going], last[going]
        starts[at] = True
        at = at + longest[at]
    return starts


def unigram(lexicon: Lexicon, characters: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The same by the most probable cut; of equals the one whose last word is shorter."""
    n, turned = len(characters), Lockstep.of(lengths)
    scores = lexicon.scores(characters, np.repeat(np.cumsum(lengths), lengths))
    best, took = np.zeros(n), np.ones(n, dtype=np.int64)  # of the text up to and with each place
    for t in range(len(turned.active)):
        place = turned.rows[: turned.active[t]] + t
        most = np.full(len(place), -np.inf)
        for length, score in scores.items():
            if length <= t + 1:
                before = best[place - length] if length <= t else 0.0
                total = before + score[place - length + 1]
                better = total > most
                most[better], took[place[better]] = total[better], length
        best[place] = most
    starts, at, first = np.zeros(n, dtype=bool), turned.last, turned.rows
    while len(at):
        begin = at - took[at] + 1
        starts[begin] = True
        going = begin > first
        at, first = begin[going] - 1, first[going]
    return starts
