"""Couplets of antithetic words that we wrote, by a grammar: the right second line of every first one is known.

Words face words, not characters: 明 faces 清 in 明月, and 暗 alone, so a table of characters does not do.
What is repeated in the first line is repeated in the second, and no character faces itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.couplets.dataset import Pair, save

SHAPES = (
    "n2 v2",
    "n v n v",
    "d2 n2",
    "n2 a2",
    "n2 v n2",
    "t2 n v n",
    "n.1 n.1 v n2",
    "q2 n v a",
    "n2 v2 n2",
    "d2 n2 v2",
    "v.1 n v.1 n a2",
    "n2 n2 v n2",
    "t2 n2 v n2",
    "d2 n2 v a n",
    "q2 n2 v a n",
    "n2 v n.1 n.1 v a",
    "m n m n v n2",
    "n2 v2 n2 v2",
    "t2 n2 n2 a2",
    "n2 v2 ， n2 v2",
    "n2 n2 v n2 a n v",
    "n2 v n2 ， n2 v n2",
    "n.1 v n2 a ， n.1 v n2 a",
)
"""Kinds of words as they follow each other; those of one number are one word, and the comma is itself."""

Word = tuple[str, str]


@dataclass(frozen=True)
class CoupletLexicon:
    """Params of the couplets."""

    train: int  # pairs
    validation: int
    test: int
    seed: int


def couplet_lexicon(source: Path | None, params: CoupletLexicon, out: Path) -> Findings:
    """Write couplets to `out`, all of them different; `source` is not used. Raises `Refusal` for an empty part."""
    sizes = {"train": params.train, "validation": params.validation, "test": params.test}
    if min(sizes.values()) < 1:
        raise Refusal("params.yaml: train, validation and test of couplet_lexicon must be 1 at least")
    chance, known = np.random.default_rng(params.seed), words()
    found: dict[str, str] = {}
    while len(found) < sum(sizes.values()):
        made = composed(SHAPES[chance.integers(len(SHAPES))], known, chance)
        found |= dict([made]) if fits(*made) else {}
    names = [name for name, size in sizes.items() for _ in range(size)]
    rows: list[Pair] = [(*pair, name) for pair, name in zip(found.items(), names, strict=True)]
    return save(rows, out)


def words() -> dict[str, list[Word]]:
    """The entries of lexicon.txt by their kind."""
    found: dict[str, list[Word]] = {}
    for line in Path(__file__).with_name("lexicon.txt").read_text(encoding="utf-8").splitlines():
        if line and line[0] != "#":
            kind, _, entries = line.partition(": ")
            found.setdefault(kind, []).extend((e[: len(e) // 2], e[len(e) // 2 :]) for e in entries.split())
    return found


def composed(shape: str, known: dict[str, list[Word]], chance: np.random.Generator) -> Word:
    """A couplet of the shape, of words at random, either half of each in the first line."""
    chosen: dict[str, Sequence[str]] = {}
    parts = []
    for place, slot in enumerate(shape.split()):
        kind, _, number = slot.partition(".")
        if kind in known:
            word = known[kind][chance.integers(len(known[kind]))]
            word = word[:: 1 - 2 * int(chance.integers(2))]
            parts.append(chosen.setdefault(slot if number else str(place), word))
        else:
            parts.append((kind, kind))
    first, second = ("".join(half) for half in zip(*parts, strict=True))
    return first, second


def fits(first: str, second: str) -> bool:
    """Whether equal characters of either line face equal ones of the other, and none itself but the comma."""
    pairs = {pair for pair in zip(first, second, strict=True) if pair != ("，", "，")}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and all(a != b for a, b in pairs)
