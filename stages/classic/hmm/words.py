"""Words cut by a hidden Markov model of the places that characters take in them.

Article: https://kexue.fm/archives/3922. The tags are s (a word of one character), b, m, e (its beginning, middle, end);
independent tags give what cannot be (bbb), transitions forbid it.

    dictionary      emissions from words with counts, log((count + 1) / total of the tag); transitions by hand
    first_order     all counted in segmented text, which begins in b or s and ends in e or s
    second_order    states are pairs of tags: P(t_k | t_{k-2}, t_{k-1}), mixed with the first order
    independent     each character's most frequent tag: what transitions are worth

The numbers: F1 on the PKU test 0.80 from its training text; from a dictionary 0.60 by jieba's counts, 0.80 by that
text's own. Half a million characters a second and core, and more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stages.classic.hmm.model import HMM, viterbi
from stages.core.errors import Refusal
from stages.core.params import Choices

S, B, M, E = range(4)
HAND = {(S, S): 0.3, (S, B): 0.7, (B, M): 0.3, (B, E): 0.7, (M, M): 0.3, (M, E): 0.7, (E, S): 0.3, (E, B): 0.7}
"""Transitions as the article sets them."""

MIXED = 0.9  # share of the second order where it has been seen


@dataclass(frozen=True)
class Text:
    """Segmented text as arrays."""

    characters: np.ndarray  # uint32 [n], code points
    tags: np.ndarray  # int64 [n]
    lengths: np.ndarray  # int64 [sentences]


@dataclass(frozen=True)
class Tagger:
    """A model of tags, and the characters that it knows, in order; of states that are pairs of tags the last counts."""

    model: HMM
    characters: np.ndarray

    def starts(self, characters: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Whether a word begins at each of `characters` [n] of sentences of `lengths`; bool [n]."""
        tags = viterbi(self.model, numbered(characters, self.characters), lengths)[0] % 4
        found = (tags == S) | (tags == B)
        begins = np.cumsum(lengths) - lengths
        found[begins[lengths > 0]] = True
        return found


Starts = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(code points [n], lengths of the sentences) -> whether a word begins at each, bool [n]."""


def cut(starts: Starts, sentences: Sequence[str]) -> list[list[str]]:
    """The words of each sentence."""
    text, lengths = encoded(sentences)
    begins = starts(text, lengths)
    joined, ends, found = "".join(sentences), np.cumsum(lengths), []
    for end, length in zip(ends.tolist(), lengths.tolist(), strict=True):
        at = [*(np.flatnonzero(begins[end - length : end]) + end - length).tolist(), end]
        found.append([joined[a:b] for a, b in pairwise(at)])
    return found


def encoded(sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The code points of all sentences, uint32 [n], and how many each has."""
    joined = "".join(sentences)
    characters = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return characters, np.array([len(sentence) for sentence in sentences], dtype=np.int64)


def read(sentences: Sequence[Sequence[str]]) -> Text:
    """Sentences given as their words; raises `Refusal` where there is not one."""
    words = [word for sentence in sentences for word in sentence if word]
    if not words:
        raise Refusal("there is no word to learn from: give sentences as lists of words")
    characters, sizes = encoded(words)
    ends = np.cumsum(sizes)
    tags = np.full(len(characters), M)
    tags[ends - sizes], tags[ends - 1] = B, E
    tags[ends[sizes == 1] - 1] = S
    return Text(characters, tags, np.array([sum(map(len, sentence)) for sentence in sentences], dtype=np.int64))


def numbered(characters: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The place of each of `characters` among those `known`, in order; -1 where it is not."""
    place = np.searchsorted(known, characters).clip(max=max(len(known) - 1, 0))
    return np.where(known[place] == characters, place, -1) if len(known) else np.full(len(characters), -1)


def dictionary(words: Mapping[str, float]) -> Tagger:
    """From words and how often they occur, as the article does it: no text is needed."""
    text = read([[word] for word in words])
    known, places = np.unique(text.characters, return_inverse=True)
    often = np.repeat(np.array([count for word, count in words.items() if word], float), text.lengths[text.lengths > 0])
    counts = np.bincount(text.tags * len(known) + places, often, 4 * len(known)).reshape(4, -1)
    with np.errstate(divide="ignore"):
        transition = np.log(np.array([[HAND.get((i, j), 0.0) for j in range(4)] for i in range(4)]))
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    emission = np.log((np.pad(counts, ((0, 0), (0, 1))) + 1) / total)
    return Tagger(HMM(np.zeros(4), transition, emission, np.zeros(4)), known)


def independent(text: Text) -> Tagger:
    """Each character by itself."""
    tagger = first_order(text)
    flat = np.full(4, -np.log(4))
    share = np.log(np.bincount(text.tags, minlength=4).clip(min=1) / len(text.tags))
    model = HMM(flat, np.tile(flat, (4, 1)), tagger.model.emission + share[:, None], np.zeros(4))
    return Tagger(model, tagger.characters)


def first_order(text: Text) -> Tagger:
    """Counted: where sentences begin and end, what follows what, which characters stand where; one added to each."""
    known, places = np.unique(text.characters, return_inverse=True)
    emission = _shares(
        np.bincount(text.tags * (len(known) + 1) + places, minlength=4 * (len(known) + 1)).reshape(4, -1) + 1
    )
    ends = np.cumsum(text.lengths)[text.lengths > 0] - 1
    begins = ends + 1 - text.lengths[text.lengths > 0]
    inner = np.ones(len(text.tags), dtype=bool)
    inner[ends] = False
    after = np.flatnonzero(inner)
    moves = np.bincount(text.tags[after] * 4 + text.tags[after + 1], minlength=16).reshape(4, 4).astype(float)
    leaves = np.bincount(text.tags[ends], minlength=4)
    whole = _shares(_legal(moves, leaves))
    start = np.bincount(text.tags[begins], minlength=4) + np.array([1, 1, 0, 0])
    return Tagger(HMM(_shares(start[None])[0], whole[:, :4], emission, whole[:, 4]), known)


def second_order(text: Text) -> Tagger:
    """States are pairs of tags, numbered 4 times the first and the second; first tags of sentences come after e."""
    once = first_order(text)
    ends = np.cumsum(text.lengths)[text.lengths > 0]
    begins = ends - text.lengths[text.lengths > 0]
    before = np.concatenate([[E], text.tags[:-1]])
    before[begins] = E  # as if another word had gone before
    pair = 4 * before + text.tags
    inner = np.ones(len(pair), dtype=bool)
    inner[ends - 1] = False
    after = np.flatnonzero(inner)
    seen = np.bincount(pair[after] * 4 + text.tags[after + 1], minlength=64).reshape(16, 4).astype(float)
    leaves = np.bincount(pair[ends - 1], minlength=16)
    plain = np.exp(np.concatenate([once.model.transition, once.model.end[:, None]], 1))  # [4, 5]
    counts = np.concatenate([seen, leaves[:, None]], 1)
    total = counts.sum(1, keepdims=True)
    mixed = MIXED * counts / np.maximum(total, 1) + (1 - MIXED) * np.tile(plain, (4, 1))
    mixed = np.where(total > 0, mixed, np.tile(plain, (4, 1)))  # [16, 5]
    transition = np.zeros((16, 16))
    states = np.arange(16)
    for tag in range(4):
        transition[states, 4 * (states % 4) + tag] = mixed[:, tag]
    start = np.zeros(16)
    start[4 * E + np.arange(4)] = np.exp(once.model.start)
    with np.errstate(divide="ignore"):
        model = HMM(np.log(start), np.log(transition), np.tile(once.model.emission, (4, 1)), np.log(mixed[:, 4]))
    return Tagger(model, once.characters)


WAYS: Choices = {"independent": independent, "first_order": first_order, "second_order": second_order}
"""What learns from segmented text."""


def _legal(moves: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """Counts [4, 5] of what follows each tag, the end included, one added to what is possible."""
    counts = np.concatenate([moves, leaves[:, None]], 1)
    for tag, follows in ((S, (S, B, 4)), (B, (M, E)), (M, (M, E)), (E, (S, B, 4))):
        counts[tag, list(follows)] += 1
    return counts


def _shares(counts: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(counts / counts.sum(1, keepdims=True))


@dataclass(frozen=True)
class Score:
    """Of words: a word is right where both its ends are."""

    recall: float
    precision: float
    f1: float


def score(gold: np.ndarray, found: np.ndarray) -> Score:
    """Two cuts of the same characters, given as the places where words begin, bool [n] each."""
    both = gold & found
    begins = np.flatnonzero(gold | found)
    right = both[begins] & np.append(both[begins[1:]], True)  # the next begin of either is one of both
    recall, precision = right.sum() / max(gold.sum(), 1), right.sum() / max(found.sum(), 1)
    return Score(float(recall), float(precision), float(2 * recall * precision / max(recall + precision, 1e-12)))
