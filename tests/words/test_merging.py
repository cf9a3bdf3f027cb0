"""What a merge takes off the information per character, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.words import merging


def text(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of a Markov chain, whether the next follows, and lengths of the words."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, 12, 3000)
    ids[1::5] = (ids[0::5] * 3 + 1) % 12  # some pairs belong together
    joined = draw.random(ids.size) < 0.9
    joined[-1] = False
    return ids, joined, draw.integers(1, 4, 12)


@pytest.mark.parametrize("seed", range(5))
def test_merging_lowers_the_information_per_character_by_the_formula(seed):
    ids, joined, lengths = text(seed)
    pair, gain = merging.best_pair(ids, joined)
    before = merging.per_character(np.bincount(ids, minlength=12), lengths)
    merged, _ = merging.merge(ids, joined, pair)
    longer = np.append(lengths, lengths[list(pair)].sum())
    after = merging.per_character(np.bincount(merged, minlength=13), longer)
    assert abs(before[2] - after[2] - gain / before[1]) < 1e-9
    assert (longer[merged]).sum() == lengths[ids].sum()


def test_the_best_pair_is_that_of_brute_force():
    ids, joined, _ = text(7)
    n, found = ids.size, {}
    for a, b, follows in zip(ids, ids[1:], joined, strict=False):
        if follows and a != b:
            found[a, b] = found.get((a, b), 0) + 1
    share = np.bincount(ids) / n
    gains = {pair: float(merging.gain(count / n, share[pair[0]], share[pair[1]])) for pair, count in found.items()}
    pair, gain = merging.best_pair(ids, joined)
    assert gain == pytest.approx(max(gains.values()))
    assert gains[pair] == gain


@given(st.floats(1e-6, 0.5), st.floats(1e-6, 0.5), st.floats(1e-4, 1))
def test_the_gain_is_the_formula_of_the_article_and_never_below_its_bound(p_a, p_b, part):
    p_ab = part * min(p_a, p_b)
    rest = sum((p - p_ab) * np.log1p(-p_ab / p) if p > p_ab else 0 for p in (p_a, p_b))
    by_hand = p_ab * np.log(p_ab / (p_a * p_b)) - (1 - p_ab) * np.log1p(-p_ab) + rest
    gain = merging.gain(np.array(p_ab), np.array(p_a), np.array(p_b))
    assert gain == pytest.approx(by_hand, abs=1e-12)
    assert gain >= merging.bound(p_ab, p_a, p_b) - 1e-12


def test_a_pair_does_not_span_sentences_nor_repeat_a_word():
    ids, joined = np.array([0, 1, 0, 1, 2, 2]), np.array([True, False, False, True, True, False])
    found, counts = merging.pairs(ids, joined)
    assert found.tolist() == [[0, 1], [1, 2]]
    assert counts.tolist() == [1, 1]
    merged, follows = merging.merge(ids, joined, (0, 1))
    assert merged.tolist() == [3, 0, 1, 2, 2]
    assert follows.tolist() == [False, False, True, True, False]
    with pytest.raises(ValueError, match="beside"):
        merging.best_pair(np.array([0, 0]), np.array([True, False]))
