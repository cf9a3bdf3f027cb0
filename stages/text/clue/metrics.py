"""Scores as CLUE's official scripts compute them.

    accuracy     the share of answers that are right
    exact, F1    CMRC 2018: equal but for case and signs; and of the longest stretch that both have in common
    F1           CLUENER: of spans over all kinds (micro), and of entities by their words, mean over kinds (macro)

https://github.com/ymcui/cmrc2018 (cmrc2018_evaluate.py), https://github.com/CLUEbenchmark/CLUENER2020 (score.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from statistics import fmean

SIGNS = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
"""Signs that do not count; the script lists '……' too, which no single character is."""

HAN = re.compile("[\u4e00-\u9fa5]")
PIECES = re.compile(r"[^\W_]+|[^\w\s]|_")

Entity = tuple[str, int, int]
"""Kind, first and last character."""


def accuracy(right: Sequence[object], found: Sequence[object]) -> float:
    """The share of equals; 0 of nothing."""
    return fmean(a == b for a, b in zip(right, found, strict=True)) if right else 0.0


def exact(answers: Iterable[str], found: str) -> float:
    """1 where `found` is one of the answers."""
    return float(_plain(found) in [_plain(answer) for answer in answers])


def overlap(answers: Iterable[str], found: str) -> float:
    """F1 of the longest common stretch of characters and Latin words; the best over the answers, 0 of none."""
    return max((_overlap(segments(answer), segments(found)) for answer in answers), default=0.0)


def segments(text: str) -> list[str]:
    """Han characters one by one, and what stands between them in words, in lower case and without SIGNS."""
    found, between = [], ""
    for character in text.lower().strip():
        if character in SIGNS:
            continue
        if HAN.match(character):
            found += [*PIECES.findall(between), character]
            between = ""
        else:
            between += character
    return found + PIECES.findall(between)


def _plain(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in SIGNS)


def _overlap(answer: list[str], found: list[str]) -> float:
    common = SequenceMatcher(None, answer, found, autojunk=False).find_longest_match().size
    return 2 * common / (len(answer) + len(found)) if common else 0.0


def micro(right: Sequence[Iterable[Entity]], found: Sequence[Iterable[Entity]]) -> float:
    """F1 of the spans of all texts together; 0 where there is none."""
    pairs = [(set(a), set(b)) for a, b in zip(right, found, strict=True)]
    return _f1(sum(len(a & b) for a, b in pairs), sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs))


def macro(
    right: Sequence[Mapping[str, Iterable[str]]], found: Sequence[Mapping[str, Iterable[str]]], kinds: Sequence[str]
) -> dict[str, float]:
    """F1 by kind of the entities {kind: words} of texts, a word once a text, and their mean as ""; 0 of a kind unseen.

    Where the script divides by zero this is 0.
    """
    scores = {}
    for kind in kinds:
        pairs = [(set(a.get(kind, ())), set(b.get(kind, ()))) for a, b in zip(right, found, strict=True)]
        scores[kind] = _f1(
            sum(len(a & b) for a, b in pairs), sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs)
        )
    return {**scores, "": fmean(scores.values())}


def _f1(common: int, right: int, found: int) -> float:
    return 2 * common / (right + found) if common else 0.0
