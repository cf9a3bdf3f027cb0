"""What each latent holds: questions of two known factors, one latent of theirs exchanged, and written again.

a = (topic a, pattern a), b = (topic b, pattern b), with neither alike;  z_m of a <- z_m of b
swapped topic      (topic b, pattern a) is written         swapped pattern    (topic a, pattern b)
changed topic      (another topic, pattern a)              changed pattern    (topic a, another pattern)
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import torch

from stages.text.univae.data import Sentences


def pairs(sentences: Sentences, most: int, seed: int) -> np.ndarray:
    """Up to `most` pairs [n, 2] of sentences whose topics and patterns both differ."""
    chance, n = np.random.default_rng(seed), len(sentences.texts)
    drawn = chance.integers(n, size=(4 * most, 2))
    topics, patterns = np.array(sentences.topics), np.array(sentences.patterns)
    a, b = drawn.T
    return drawn[(topics[a] != topics[b]) & (patterns[a] != patterns[b])][:most]


def exchanged(latents: torch.Tensor, pairs: np.ndarray, scale: int) -> torch.Tensor:
    """The latents of the first of each pair with that of `scale` from the second, [n, scales, latent]."""
    mixed = latents[pairs[:, 0]].clone()
    mixed[:, scale] = latents[pairs[:, 1], scale]
    return mixed


def judged(
    written: list[str], sentences: Sentences, pairs: np.ndarray, known: dict[str, tuple[str, str]]
) -> dict[str, float]:
    """The shares of the outcomes above among pairs, of unchanged questions, and of what is none of the `known`.

    Those are the (topic, pattern) of every question there is.
    """
    count: Counter[str] = Counter()
    for text, (a, b) in zip(written, pairs, strict=True):
        mine, theirs = ((sentences.topics[i], sentences.patterns[i]) for i in (a, b))
        topic, pattern = known.get(text, ("", ""))
        count["unknown"] += text not in known
        count["unchanged"] += (topic, pattern) == mine
        count["swapped_topic"] += (topic, pattern) == (theirs[0], mine[1])
        count["swapped_pattern"] += (topic, pattern) == (mine[0], theirs[1])
        count["changed_topic"] += topic != mine[0] and pattern == mine[1]
        count["changed_pattern"] += topic == mine[0] and pattern != mine[1]
    return {name: found / len(pairs) for name, found in count.items()}


def table(texts: list[str], pairs: np.ndarray, written: list[list[str]]) -> pa.Table:
    """Two sentences, and what the first became with each latent of the second."""
    columns = {"sentence": [texts[a] for a, _ in pairs], "other": [texts[b] for _, b in pairs]}
    return pa.table(columns | {f"latent_{m + 1}_of_other": column for m, column in enumerate(written)})
