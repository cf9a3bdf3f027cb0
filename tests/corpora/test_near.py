"""MinHash estimates Jaccard's similarity, and near duplicates fall into one group."""

import random

import numpy as np
import pytest

from stages.corpora.near import Near, groups, signatures

PARAMS = Near(shingle=4, bands=16, rows=8, similarity=0.8, seed=3)


def words(seed, length):
    return "".join(random.Random(seed).choices([chr(c) for c in range(0x4E00, 0x4E00 + 500)], k=length))


def jaccard(a, b, n=4):
    one, two = ({t[i : i + n] for i in range(len(t) - n + 1)} for t in (a, b))
    return len(one & two) / len(one | two)


@pytest.mark.parametrize("kept", [40, 200, 350, 390])
def test_the_share_of_equal_minima_estimates_jaccard(kept):
    one = words(1, 400)
    two = one[:kept] + words(2, 400 - kept)
    wide = Near(4, 64, 16, 0.8, 5)
    a, b = signatures([one, two], wide)
    assert (a == b).mean() == pytest.approx(jaccard(one, two), abs=0.05)  # 3 sigma of 1,024 draws


def test_a_text_has_the_same_signature_wherever_it_stands():
    texts = [words(i, 50 + i) for i in range(20)]
    together = signatures(texts, PARAMS)
    for i, text in enumerate(texts):
        assert np.array_equal(together[i], signatures([text], PARAMS)[0])


def test_short_and_empty_texts_are_texts():
    found = signatures(["", "词", "词语", ""], PARAMS)
    assert np.array_equal(found[0], found[3])
    assert not np.array_equal(found[1], found[2])
    assert signatures([], PARAMS).shape == (0, 128)


def test_planted_near_duplicates_are_grouped_with_the_first_and_others_left():
    originals = [words(i, 300) for i in range(200)]
    edited = [text[:150] + "改" + text[151:] for text in originals[:30]]
    found = groups(signatures(originals + edited, PARAMS), PARAMS)
    assert found[:200].tolist() == list(range(200))
    assert found[200:].tolist() == list(range(30))


def test_half_equal_texts_are_no_duplicates():
    texts = [words(0, 200) + words(i, 200) for i in range(1, 40)]
    assert groups(signatures(texts, PARAMS), PARAMS).tolist() == list(range(39))


def test_speed_stays_within_arrays():
    import time

    texts = [words(i, 1000) for i in range(1000)]
    started = time.monotonic()
    signatures(texts, PARAMS)
    assert time.monotonic() - started < 20  # a Python loop over shingles and minima would take minutes
