"""The library: costs by hand, the bounds of entropy, collapse, and nearness as mutual information."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch
from made import ROWS
from scipy.stats import spearmanr

from stages.core import params, tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.words import library, shelves
from stages.words.library import COSTS, Library

USUAL = params.typed(Library, ROWS["library"]["train"], "tests")
SMALL = replace(USUAL, made=replace(USUAL.made, books=30, categories=3, readers=3000), dims=(3,), starts=1, steps=100)
JUDGE = params.typed(shelves.EvaluateLibrary, ROWS["library"]["evaluate"], "tests")


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library") / "model"
    library.train(Inputs(), SMALL, folder)
    return folder


def test_pairs_are_those_of_one_record_within_the_window():
    items, offsets = np.array([0, 1, 2, 2, 3, 0, 1]), np.array([0, 4, 7])
    by_hand = np.zeros((4, 4), dtype=int)
    for a, b in [(0, 1), (1, 2), (3, 0), (0, 1)]:
        by_hand[a, b] += 1
        by_hand[b, a] += 1
    assert (library.pairs(items, offsets, 4, 1) == by_hand).all()
    for a, b in [(0, 2), (1, 2), (0, 2), (3, 1)]:
        by_hand[a, b] += 1
        by_hand[b, a] += 1
    assert (library.pairs(items, offsets, 4, 9) == by_hand).all()


def test_the_made_readers_are_as_the_params_say():
    items, offsets, categories = library.made(USUAL.made)
    lengths = np.diff(offsets)
    assert set(lengths.tolist()) == {2, 3, 4, 5}
    assert all(len(set(items[a:b])) == b - a for a, b in pairwise(offsets[:501]))
    homes = [np.bincount(categories[items[a:b]]).max() / (b - a) for a, b in pairwise(offsets)]
    assert np.mean(homes) == pytest.approx(0.9, abs=0.03)
    counts = np.bincount(items, minlength=100)
    assert counts[:5].mean() / counts[95:].mean() > 5


@pytest.mark.parametrize("cost", ["l2", "dot", "t"])
def test_a_cost_is_the_negative_logarithm_of_its_law(cost):
    v = np.random.default_rng(0).normal(size=(6, 2))
    squares = ((v[:, None] - v[None]) ** 2).sum(axis=2)
    weights = {"l2": np.exp(-squares), "dot": np.exp(v @ v.T), "t": 1 / (1 + squares)}[cost]
    np.fill_diagonal(weights, 0)
    q = weights / weights.sum(axis=1, keepdims=True)
    found = COSTS[cost](torch.from_numpy(v)).numpy()
    there = ~np.eye(6, dtype=bool)
    assert np.allclose(found[there], -np.log(q[there]))


def test_the_entropy_stays_between_its_bounds_and_the_categories_part(placed):
    found = shelves.evaluate(placed, Inputs(), JUDGE)
    low, high = found.metrics["conditional_entropy"], found.metrics["upper_bound"]
    for cost in ("l2", "dot", "t"):
        assert low <= found.metrics[f"{cost}_3_s"] < high
        assert found.metrics[f"{cost}_3_spread"] > 0.1
    assert found.metrics["modules"] == 3
    failed = [claim.check for claim in found.claims if not claim.passed and "S - H" not in claim.check]
    assert not [check for check in failed if "nearest" not in check and "permuted" not in check], failed
    assert set(found.figures) == {"bounds", "shelves"}


def test_without_a_norm_everything_collapses(placed):
    v = shelves.places(placed)["distance", 3]
    assert np.linalg.norm(v, axis=1).max() < 1e-3


def test_walk_and_purity_are_those_by_hand():
    v = np.array([[0.0], [1], [10], [11]])
    p = np.zeros((4, 4))
    p[0, 1] = p[1, 0] = p[2, 3] = p[3, 2] = 0.25
    found = shelves.measured(v, p, np.array([0, 0, 1, 1]), "l2", 1)
    far = [1, 10, 11, 9, 10, 1]
    assert found["walk"] == pytest.approx(1 / np.mean(far))
    assert found["purity"] == 1.0
    assert shelves.conditional_entropy(p) == pytest.approx(0.0)
    assert shelves.purity_of(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])) == 0.75


def test_a_free_matrix_of_logits_reaches_the_lower_bound():
    """With as many numbers as books, `dot` can write any symmetric law: S comes near H(j|i)."""
    counts = library.pairs(*library.made(replace(USUAL.made, books=12, categories=2))[:2], 12, 4)
    v = library.best(counts, "dot", 12, replace(SMALL, decay=0.0, steps=300))
    p = counts / counts.sum()
    s = float(library.average(COSTS["dot"], torch.from_numpy(v), torch.from_numpy(p)))
    assert 0 <= s - shelves.conditional_entropy(p) < 0.01


def test_near_are_words_of_high_mutual_information_not_words_often_together():
    """A toy text: words of 4 subjects with frequencies by Zipf's law; the ten best neighbours by PMI, not by count."""
    records = library.made(replace(USUAL.made, books=60, categories=4, readers=8000, exponent=1.2, loyal=0.7))
    counts = library.pairs(*records[:2], 60, 4)
    v = library.best(counts, "dot", 10, replace(SMALL, steps=200))
    p = counts / counts.sum()
    share = p.sum(axis=1)
    there = (counts >= 5) & ~np.eye(60, dtype=bool)
    pmi = np.log(p[there] / np.outer(share, share)[there])
    unit = v / np.linalg.norm(v, axis=1, keepdims=True)
    near = (unit @ unit.T)[there]
    assert spearmanr(near, pmi)[0] - spearmanr(near, counts[there])[0] >= 0.2


def test_records_of_ones_own_are_placed_and_short_ones_refused(tmp_path):
    items = [[0, 1, 2], [2, 1], [3], [], [0, 2], [4, 4]]
    table = pa.table({"borrower": range(6), "items": pa.array(items, pa.list_(pa.int32()))})
    tables.write(table, tmp_path / "records.parquet")
    library.train(Inputs(input=tmp_path), SMALL, tmp_path / "model")
    counts, categories = shelves.read(tmp_path / "model")
    assert counts.sum() == 10
    assert counts[0].tolist() == [0, 1, 2, 0, 0]
    assert (categories == -1).all()
    assert np.isfinite(shelves.places(tmp_path / "model")["dot", 3]).all()
    tables.write(table.slice(2, 2), tmp_path / "short/records.parquet")
    with pytest.raises(Refusal, match="two different books"):
        library.train(Inputs(input=tmp_path / "short"), SMALL, tmp_path / "none")


def test_the_same_bytes_twice(placed, tmp_path):
    library.train(Inputs(), SMALL, tmp_path / "again")
    for name in ("places", "pairs", "books"):
        assert (tmp_path / "again" / f"{name}.parquet").read_bytes() == (placed / f"{name}.parquet").read_bytes()
