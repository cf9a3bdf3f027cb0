"""Spreading: the threshold's values, the same words as a queue would take, and no drift from topic to topic."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from made import ROWS

from stages.core import params
from stages.core.errors import Refusal
from stages.words.spreading import Spreading, spread, tau
from stages.words.terms import Terms

USUAL = params.typed(Terms, ROWS["terms"]["train"], "tests").spreading


def test_the_threshold_rises_as_in_the_article():
    assert [round(tau(t, 0.6, 1.0, 0.35), 3) for t in range(4)] == [0.6, 0.718, 0.801, 0.86]
    assert tau(9, 0.6, 1.0, 0.0) == 0.6


def queue(vectors: np.ndarray, seeds: list[int], how: Spreading) -> dict[int, int]:
    """The spreading word by word, as the article tells it."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    depth, waiting = dict.fromkeys(seeds, 0), deque(seeds)
    while waiting:
        word = waiting.popleft()
        cosines = unit @ unit[word]
        cosines[word] = -np.inf
        for other in np.argsort(-cosines)[: how.nearest].tolist():
            if other not in depth and cosines[other] >= tau(depth[word], how.least, how.most, how.alpha):
                depth[other] = depth[word] + 1
                waiting.append(other)
    return depth


@pytest.mark.parametrize("nearest", [5, 200])
def test_it_takes_what_a_queue_takes(nearest):
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(150, 3)).astype(np.float32)
    how = replace(USUAL, nearest=nearest, least=0.9)
    depth, similarity = spread(vectors, np.array([3, 77]), how)
    assert {i: d for i, d in enumerate(depth.tolist()) if d >= 0} == queue(vectors, [3, 77], how)
    assert len(set(depth.tolist())) > 3
    assert (np.isnan(similarity) == (depth < 0)).all()
    assert (similarity[depth > 0] >= 0.9 - 1e-6).all()


def topics() -> np.ndarray:
    """40 words around each of two directions, and 5 words whose cosine with both is 0.65, [85, 50]."""
    draw = np.random.default_rng(1)
    a, b, c = np.eye(50)[:3]
    bridge = 0.65 * (a + b) + np.sqrt(1 - 2 * 0.65**2) * c
    centres = np.array([a] * 40 + [b] * 40 + [bridge] * 5)
    return (centres + 0.01 * draw.normal(size=centres.shape)).astype(np.float32)


def test_the_rising_threshold_stops_the_drift_between_two_topics():
    vectors, seeds = topics(), np.arange(5)
    taken = {}
    for alpha in (0.0, 0.35, 1e9):
        depth, _ = spread(vectors, seeds, replace(USUAL, alpha=alpha))
        taken[alpha] = depth
    recall = {alpha: (depth[5:40] >= 0).mean() for alpha, depth in taken.items()}
    leak = {alpha: (depth[40:80] >= 0).mean() for alpha, depth in taken.items()}
    assert recall[0.35] >= 0.8
    assert leak[0.35] <= 0.05
    assert leak[0.0] > 0.5
    assert taken[1e9].max() == 1


def test_topics_with_contexts_of_their_own_are_told_apart_by_trained_vectors():
    """Two topics of 30 terms, 20 context words each: spreading from 5 seeds of one takes that topic alone."""
    from stages.words.skipgram import fit

    draw, sentences = random.Random(2), []
    for _ in range(2000):
        topic = draw.randrange(2)
        term, context = 50 * topic, 50 * topic + 30
        sentences.append([draw.choice([term + draw.randrange(30), context + draw.randrange(20)]) for _ in range(8)])
    ids = np.array(sentences, dtype=np.int32).ravel()
    usual = params.typed(Terms, ROWS["terms"]["train"], "tests").vectors
    how = replace(usual, dim=20, epochs=30, sample=0.0, rate=0.1, negatives=5, device="cpu")
    vectors, _ = fit(ids, np.arange(0, ids.size + 1, 8), 100, how)
    depth, _ = spread(vectors, np.arange(5), USUAL)
    assert (depth[:30] >= 0).mean() >= 0.8
    assert (depth[50:80] >= 0).mean() <= 0.05


def test_centre_and_negative_move_the_search_and_free_the_threshold():
    vectors = np.array([[1, 0, 0], [0.5, 0.9, 0], [0, 1, 0]], dtype=np.float32)
    how = replace(USUAL, least=0.3)
    assert spread(vectors, np.array([0]), how)[0].tolist() == [0, -1, -1]  # cosine 0.49, held at 0.6
    assert spread(vectors, np.array([0]), how, centre=vectors[2])[0].tolist()[1] == 1
    assert spread(vectors, np.array([0]), how, negative=vectors[1])[0].tolist() == [0, -1, -1]


def test_a_word_without_a_vector_is_never_taken_and_no_seed_is_refused():
    vectors = np.array([[1, 0], [0, 0], [1, 0.1]], dtype=np.float32)
    assert spread(vectors, np.array([0]), USUAL)[0].tolist() == [0, -1, 1]
    with pytest.raises(Refusal, match="no seed"):
        spread(vectors, np.empty(0, dtype=np.int64), USUAL)
