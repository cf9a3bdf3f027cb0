"""Words of a subject: breadth-first spreading from seeds by similarity, with a threshold that rises along the way.

Article: https://kexue.fm/archives/6540.

    from a word w at depth t look at the nearest words of  vec(w) + centre - negative  by cosine and take those with
    similarity >= tau(t),        tau(t) = s_min + (s_max - s_min) (1 - exp(-alpha t))

The rising threshold stops the drift along chains of neighbours: with s_min 0.6, s_max 1, alpha 0.35 it is 0.6, 0.718,
0.801, 0.860. All words of one depth are spread from at once, which takes the same words at the same depths as a queue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.core.errors import Refusal
from stages.words.similar import unit

AT_ONCE = 1 << 24  # cosines held at a time


@dataclass(frozen=True)
class Spreading:
    """Params of the spreading; words in `seeds`, `centre` and `negative` are looked up in the vocabulary."""

    seeds: tuple[str, ...]  # none: the head of the ranking
    seed_count: int  # of that head
    nearest: int  # neighbours that are looked at
    least: float  # s_min, 0.6 in the article; never below it without centre and negative
    most: float  # s_max
    alpha: float  # 0 keeps the threshold at s_min
    centre: tuple[str, ...]  # words whose mean vector is added
    negative: tuple[str, ...]  # words whose mean vector is taken off


CLAMP = 0.6


def tau(depth: int, least: float, most: float, alpha: float) -> float:
    """The threshold for the neighbours of a word at `depth`."""
    return least + (most - least) * (1 - float(np.exp(-alpha * depth)))


def spread(
    vectors: np.ndarray,
    seeds: np.ndarray,
    params: Spreading,
    centre: np.ndarray | None = None,
    negative: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """How far from the rows `seeds` of `vectors` [n, d] each word was taken: (depth, similarity), [n] each.

    Depth is 0 for seeds and -1 for words that were not taken; similarity is the largest with a word it was taken
    from, 1 for seeds, nan for the rest. `centre` and `negative` are vectors [d]. A word without a vector (zeros) is
    never taken. Raises `Refusal` where there is no seed.
    """
    if len(seeds) == 0:
        raise Refusal("no seed has a vector: name seeds that occur in the domain, or leave `seeds` empty")
    least = params.least if centre is not None or negative is not None else max(params.least, CLAMP)
    shift = (0 if centre is None else centre) - (0 if negative is None else negative)
    whole = unit(vectors)
    real = whole.any(axis=1)
    depth, similarity = np.full(len(vectors), -1), np.full(len(vectors), np.nan)
    depth[seeds], similarity[seeds] = 0, 1.0
    level, t = np.unique(seeds), 0
    while level.size:
        best = np.full(len(vectors), -np.inf, dtype=np.float32)
        step = max(1, AT_ONCE // len(vectors))
        for begin in range(0, level.size, step):
            part = level[begin : begin + step]
            cosines = unit(vectors[part] + shift) @ whole.T
            cosines[np.arange(part.size), part] = -np.inf
            if params.nearest < len(vectors) - 1:
                floor = np.partition(cosines, -params.nearest, axis=1)[:, [-params.nearest]]
                cosines[cosines < floor] = -np.inf
            np.maximum(best, cosines.max(axis=0), out=best)
        level = np.flatnonzero((best >= tau(t, least, params.most, params.alpha)) & (depth < 0) & real)
        t += 1
        depth[level], similarity[level] = t, best[level]
    return depth, similarity
