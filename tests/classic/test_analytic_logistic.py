"""The analytic classifier against Bayes' rule, scikit-learn, its own other way, and bad input."""

import warnings

import numpy as np
import pytest
from scipy import special
from sklearn import datasets
from sklearn.covariance import oas
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedShuffleSplit

from stages.classic.logistic.analytic import Statistics, fit, fit_parts
from stages.core.errors import Refusal

SETS = ["digits", "wine", "breast_cancer"]


def loaded(name):
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def drawn(n=200, d=6, k=3, seed=0):
    chance = np.random.default_rng(seed)
    y = chance.integers(k, size=n)
    return chance.standard_normal((n, d)) + 2 * chance.standard_normal((k, d))[y], y


def test_probabilities_are_those_of_bayes_where_the_assumption_holds():
    chance, n, d = np.random.default_rng(0), 200_000, 10
    prior, means = np.array([0.5, 0.3, 0.2]), chance.standard_normal((3, d))
    mixing = np.eye(d) + 0.3 * chance.standard_normal((d, d))
    y = chance.choice(3, size=n, p=prior)
    x = means[y] + chance.standard_normal((n, d)) @ mixing
    inverse = np.linalg.inv(mixing.T @ mixing)
    off = x[:, None] - means  # [n, 3, d]
    true = special.softmax(np.log(prior) - 0.5 * np.einsum("nkd,de,nke->nk", off, inverse, off), axis=1)
    for shrinkage in ("auto", 0.0):
        assert np.abs(fit(x, y, shrinkage=shrinkage).probabilities(x) - true).mean() <= 2e-3


@pytest.mark.parametrize("name", SETS)
def test_plain_it_is_discriminant_analysis(name):
    x, y = loaded(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = LinearDiscriminantAnalysis().fit(x, y)
    mine = fit(x, y, shrinkage=0.0)
    assert (mine.predict(x) == peer.predict(x)).mean() >= 0.99
    if name == "wine":  # the others' features depend on one another
        apart = mine.logits(x) - peer.decision_function(x)
        np.testing.assert_allclose(apart - apart[:, :1], 0, atol=1e-6)


def test_by_hand_in_two_classes():
    x, y = drawn(k=2)
    mean = np.stack([x[y == i].mean(0) for i in range(2)])
    rest = x - mean[y]
    inverse = np.linalg.inv(rest.T @ rest / len(x))
    w = (mean[1] - mean[0]) @ inverse
    b = 0.5 * (mean[0] @ inverse @ mean[0] - mean[1] @ inverse @ mean[1]) + np.log((y == 1).sum() / (y == 0).sum())
    found = fit(x, y, shrinkage=0.0)
    np.testing.assert_allclose(found.W[:, 1] - found.W[:, 0], w, rtol=1e-9)
    np.testing.assert_allclose(found.b[1] - found.b[0], b, rtol=1e-9)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, "auto"])
def test_both_ways_and_all_parts_give_one_classifier(shrinkage):
    x, y = drawn()
    whole = fit(x, y, shrinkage=shrinkage)
    white = Statistics(y).add(x, y).solve(shrinkage, whitened=True)
    np.testing.assert_allclose(white.W, whole.W, atol=1e-8 * np.abs(whole.W).max())
    np.testing.assert_allclose(white.b, whole.b, atol=1e-8 * np.abs(whole.b).max())
    parts = Statistics(np.unique(y))
    for part in np.array_split(np.arange(len(x)), 7):
        parts.add(x[part], y[part])
    np.testing.assert_allclose(parts.solve(shrinkage).W, whole.W, atol=1e-10 * np.abs(whole.W).max())


def test_the_shrinkage_is_the_oracle_approximating_one_of_scikit_learn():
    x, y = drawn(n=40, d=20, k=2)
    mean = np.stack([x[y == i].mean(0) for i in range(2)])
    rest = (x - mean[y]) / (x - mean[y]).std(0)
    n = len(x) / (len(x) - 2)  # the peer takes no note of the two means that were estimated
    assert fit(x, y).shrinkage == pytest.approx(oas(rest, assume_centered=True)[1] * n, rel=0.05)


def test_few_digits_are_enough_with_shrinkage_and_not_without():
    x, y = loaded("digits")
    splits = StratifiedShuffleSplit(10, train_size=50, test_size=len(y) - 50, random_state=1).split(x, y)
    right = {"auto": [], 0.0: []}
    for train, test in splits:
        for shrinkage, found in right.items():
            found.append((fit(x[train], y[train], shrinkage=shrinkage).predict(x[test]) == y[test]).mean())
    assert np.mean(right["auto"]) >= 0.82 > np.mean(right[0.0]) + 0.1


def test_weights_count_samples_as_often():
    x, y = drawn(n=60)
    often = np.random.default_rng(1).integers(1, 4, size=len(x))
    repeated = fit(np.repeat(x, often, 0), np.repeat(y, often), shrinkage=0.2)
    weighted = fit(x, y, shrinkage=0.2, weight=often)
    np.testing.assert_allclose(weighted.W, repeated.W, rtol=1e-9)
    np.testing.assert_allclose(weighted.b, repeated.b, rtol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: np.column_stack([x, np.full(len(x), 7.0)]),  # a constant
        lambda x: np.column_stack([x, x[:, :3]]),  # repeated features
        lambda x: x * np.array([1e-6, 1.0, 1e6, 1.0, 1.0, 1.0]),  # other units
        lambda x: x + 1e7,  # far from 0
        lambda x: np.column_stack([x, np.random.default_rng(2).standard_normal((len(x), 300))]),  # d > n
    ],
)
def test_features_that_are_awkward_do_no_harm(change):
    x, y = drawn(n=240)
    x = change(x)
    found = fit(x[:120], y[:120])
    majority = np.bincount(y[120:]).max() / 120
    assert np.isfinite(found.W).all()
    assert (found.predict(x[120:]) == y[120:]).mean() > majority + 0.1


def test_single_precision_is_summed_in_double():
    x, y = drawn(n=20_000)
    np.testing.assert_allclose(fit(x.astype(np.float32) + 1000, y).W, fit(x + 1000, y).W, rtol=2e-3, atol=2e-3)


def test_a_class_that_never_came_is_never_predicted_and_labels_may_have_gaps():
    x, y = drawn()
    found = fit_parts([(x[:100], y[:100] * 5), (x[100:], y[100:] * 5)], classes=[0, 5, 7, 10])
    assert found.probabilities(x)[:, 2].max() == 0
    np.testing.assert_allclose(found.probabilities(x).sum(1), 1)
    assert set(found.predict(x)) == {0, 5, 10}
    assert fit(x, np.array(["a", "b", "c"])[y]).predict(x)[0] in "abc"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x, y: (x, y * 0), "two are needed"),
        (lambda x, y: (np.where(np.arange(6) == 2, np.nan, x), y), "feature 2"),
        (lambda x, y: (x[:, 0], y), "must be"),
        (lambda x, y: (x[:-1], y), "must be"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, told):
    with pytest.raises(Refusal, match=told):
        fit(*change(*drawn()))


def test_more_refusals():
    x, y = drawn()
    with pytest.raises(Refusal, match="label 9"):
        Statistics(y).add(x, np.full(len(y), 9))
    with pytest.raises(Refusal, match="shrinkage is 2"):
        fit(x, y, shrinkage=2.0)
    with pytest.raises(Refusal, match=r"\[n, 6\]"):
        Statistics(y).add(x, y).add(x[:, :4], y)
