"""Classical learners against scikit-learn, exhaustive search, and what must hold of ensembles and folds."""

import itertools
import warnings
from functools import partial

import numpy as np
import pytest
from scipy import stats
from sklearn import datasets, ensemble, linear_model, metrics, naive_bayes, tree

from stages.classic.suite import bayes, ensembles, folds, models, system
from stages.classic.suite.softmax import softmax
from stages.classic.suite.tree import Bins, grow
from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target

PEERS = {
    "gaussian": (bayes.gaussian, naive_bayes.GaussianNB()),
    "multinomial": (bayes.multinomial, naive_bayes.MultinomialNB()),
    "bernoulli": (bayes.bernoulli, naive_bayes.BernoulliNB()),
}


@pytest.mark.parametrize("data", system.DATA)
@pytest.mark.parametrize("name", PEERS)
def test_naive_bayes_is_scikit_learn_s(name, data):
    x, y = system.load(data)
    mine, peer = PEERS[name]
    found, true = mine(x[::2], y[::2], int(y.max()) + 1), peer.fit(x[::2], y[::2])
    joint = true.predict_joint_log_proba(x[1::2])
    np.testing.assert_allclose(found.joint(x[1::2]), joint, rtol=1e-8, atol=1e-8)
    assert (found.probabilities(x[1::2]).argmax(1) == true.predict(x[1::2])).all()


@pytest.mark.parametrize("data", system.DATA)
def test_logistic_regression_is_scikit_learn_s(data):
    x, y = system.load(data)
    x = x[:, x.std(0) > 0]
    x = (x - x.mean(0)) / x.std(0)
    penalty, classes = 0.01, int(y.max()) + 1
    found = softmax(x, y, classes, penalty)
    if classes == 2:  # scikit-learn has one row of coefficients then, with twice the penalty's effect on it
        peer = linear_model.LogisticRegression(C=2 / (penalty * len(y)), tol=1e-10, max_iter=5000).fit(x, y)
        weights = found.weights[1] - found.weights[0]
        np.testing.assert_allclose(weights, peer.coef_[0], atol=1e-3)
    else:
        peer = linear_model.LogisticRegression(C=1 / (penalty * len(y)), tol=1e-10, max_iter=5000).fit(x, y)
        np.testing.assert_allclose(found.weights, peer.coef_, atol=1e-3)
    p = found.probabilities(x)
    np.testing.assert_allclose(metrics.log_loss(y, p), metrics.log_loss(y, peer.predict_proba(x)), atol=1e-6)
    whole = metrics.log_loss(y, p) + penalty / 2 * (found.weights**2).sum()
    assert found.loss == pytest.approx(whole, abs=1e-9)


def exhaustive(x, t, w):
    """The best gain of all questions x_j > c."""

    def square(rows):
        total = w[rows].sum()
        return ((w[rows, None] * t[rows]).sum(0) ** 2).sum() / total if total else 0.0

    best = 0.0
    for j in range(x.shape[1]):
        for c in np.unique(x[:, j])[:-1]:
            right = x[:, j] > c
            best = max(best, square(right) + square(~right) - square(np.ones(len(x), bool)))
    return best


def test_the_first_question_is_the_best_of_all():
    chance = np.random.default_rng(0)
    for _ in range(20):
        x, w = chance.integers(0, 6, (30, 4)).astype(float), chance.random(30)
        t = np.eye(3)[chance.integers(3, size=30)] if chance.random() < 0.5 else chance.normal(size=(30, 2))
        bins = Bins.of(x)
        stump = grow(bins.codes(x), t, w, depth=1)
        leaf = stump.leaf(bins.codes(x))

        def square(rows, w=w, t=t):
            return ((w[rows, None] * t[rows]).sum(0) ** 2).sum() / w[rows].sum()

        gain = sum(square(leaf == k) for k in np.unique(leaf)) - square(np.ones(30, bool))
        assert gain == pytest.approx(exhaustive(x, t, w))
        for k in np.unique(leaf):
            rows = leaf == k
            np.testing.assert_allclose(stump.value[k], (w[rows, None] * t[rows]).sum(0) / w[rows].sum())


def test_a_whole_tree_knows_its_samples_by_heart_and_a_shallow_one_is_shallow():
    x, y = system.load("digits")
    whole = ensembles.decision_tree(x, y, 10)
    assert (whole.probabilities(x).argmax(1) == y).all()
    bins = Bins.of(x)
    shallow = grow(bins.codes(x), np.eye(10)[y], depth=3)
    assert shallow.depth == 3
    assert len(np.unique(shallow.leaf(bins.codes(x)))) == 8
    peer = tree.DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, y)
    mine = (shallow.predict(bins.codes(x)).argmax(1) == y).mean()
    assert mine == pytest.approx(peer.score(x, y), abs=0.01)


def test_a_weight_of_two_is_a_sample_twice():
    chance = np.random.default_rng(1)
    x, y, w = chance.normal(size=(40, 3)), chance.integers(3, size=40), chance.integers(1, 4, 40)
    codes = Bins.of(x).codes(x)
    weighed = grow(codes, np.eye(3)[y], w.astype(float), depth=4)
    repeated = grow(np.repeat(codes, w, 0), np.eye(3)[np.repeat(y, w)], depth=4)
    np.testing.assert_allclose(weighed.predict(codes), repeated.predict(codes))


def test_values_beyond_what_was_seen_fall_to_the_nearest_side():
    x = np.arange(8.0)[:, None]
    stump = ensembles.decision_tree(x, (x[:, 0] > 3.2).astype(int), 2)
    assert stump.probabilities(np.array([[-1e9], [3.4], [3.6], [1e9]])).argmax(1).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("data", ["wine", "breast_cancer"])
def test_forests_are_as_right_as_scikit_learn_s(data):
    x, y = system.load(data)
    classes, parts = int(y.max()) + 1, list(folds.stratified(y, 5, 0))
    mine, peer = [], []
    for train, test in parts:
        found = ensembles.forest(x[train], y[train], classes, 60)
        mine += [(found.probabilities(x[test]).argmax(1) == y[test])]
        other = ensemble.RandomForestClassifier(60, random_state=0).fit(x[train], y[train])
        peer += [other.predict(x[test]) == y[test]]
    assert np.concatenate(mine).mean() == pytest.approx(np.concatenate(peer).mean(), abs=0.01)


@pytest.mark.parametrize("boost", [ensembles.adaboost, ensembles.boosting])
@pytest.mark.parametrize("data", ["breast_cancer", "iris"])
def test_what_boosting_minimises_falls_with_every_tree(boost, data):
    x, y = system.load(data)
    losses = np.array(boost(x, y, int(y.max()) + 1, 30).losses)
    assert len(losses) > 3
    if boost is ensembles.boosting or y.max() == 1:  # SAMME's loss of several classes is no sum of these steps
        assert (np.diff(losses) < 1e-12).all()
    assert losses[-1] < losses[0] / 2


def test_stacking_learns_nothing_from_random_labels():
    """Members that know their samples by heart would leak without the folds."""
    chance, right = np.random.default_rng(0), []
    for seed in range(6):
        x, y = chance.normal(size=(300, 5)), chance.integers(2, size=300)
        stacked = ensembles.stacking(x[:200], y[:200], 2, (ensembles.decision_tree, bayes.gaussian), seed=seed)
        right += list(stacked.probabilities(x[200:]).argmax(1) == y[200:])
    assert abs(np.mean(right) - 0.5) < 3 * 0.5 / len(right) ** 0.5


def test_stacking_leans_on_the_member_that_knows():
    x, y = system.load("iris")

    def guess(x, y, classes):
        law = np.random.default_rng(0).dirichlet(np.ones(classes), 1000)
        return bayes.Bayes(lambda new: np.log(law[: len(new)]), 0)

    parts = list(folds.stratified(y, 5, 0))
    members = (guess, bayes.gaussian)
    scored = {"stacking": [], "alone": []}
    for train, test in parts:
        stacked = ensembles.stacking(x[train], y[train], 3, members)
        scored["stacking"] += list(stacked.probabilities(x[test]).argmax(1) == y[test])
        alone = bayes.gaussian(x[train], y[train], 3)
        scored["alone"] += list(alone.probabilities(x[test]).argmax(1) == y[test])
    assert np.mean(scored["stacking"]) == pytest.approx(np.mean(scored["alone"]), abs=0.02)


def test_folds_part_the_samples_and_keep_the_shares():
    y = np.repeat([0, 1, 2], [50, 30, 7])
    tests = [test for _, test in folds.stratified(y, 5, 3)]
    assert sorted(np.concatenate(tests)) == list(range(87))
    for train, test in folds.stratified(y, 5, 3):
        assert not set(train) & set(test)
        counts = np.bincount(y[test], minlength=3)
        assert (np.abs(counts - np.bincount(y) / 5) < 1).all()
    again = [test for _, test in folds.stratified(y, 5, 4)]
    assert any(set(a) != set(b) for a, b in zip(tests, again, strict=True))


def test_scores_are_scikit_learn_s():
    chance = np.random.default_rng(0)
    p, y = chance.dirichlet(np.ones(4), 200), chance.integers(4, size=200)
    found = folds.scores(p, y)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, p.argmax(1)))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(y, p.argmax(1), average="macro"))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p, labels=range(4)))
    edges, sure, right, gap = np.linspace(0, 1, 11), p.max(1), p.argmax(1) == y, 0.0
    for low, high in itertools.pairwise(edges):
        rows = (sure >= low) & (sure < high)
        gap += abs(sure[rows].mean() - right[rows].mean()) * rows.mean() if rows.any() else 0
    assert found["calibration"] == pytest.approx(gap)


def test_the_corrected_test_is_the_plain_one_with_more_variance():
    chance = np.random.default_rng(0)
    a, b = chance.normal(0.5, 1, 10), chance.normal(0, 1, 10)
    plain = stats.ttest_rel(a, b)
    t = plain.statistic * (1 / 10 / (1 / 10 + 0.25)) ** 0.5
    assert folds.corrected(a, b, 0.2) == pytest.approx(2 * stats.t.sf(abs(t), 9))
    assert folds.corrected(a, a, 0.2) == 1


def test_the_stage_measures_every_model_on_the_same_folds(tmp_path):
    names = ("majority", "naive_bayes", "logistic", "tree")
    system.train(Inputs(), system.Suite(("iris", "wine"), names, 5, 2, 0), tmp_path / "model")
    rows = tables.read(tmp_path / "model/scores.parquet")
    assert rows.num_rows == 2 * 4 * 10
    target = Target("logistic.iris.accuracy", "as scikit-learn", "at least", 0.94)
    found = system.evaluate(tmp_path / "model", Inputs(), system.EvaluateSuite((target,)))
    assert found.claims[0].passed
    assert found.metrics["majority.iris.accuracy"] == pytest.approx(1 / 3)
    ranks = {row["model"]: row["rank"] for row in found.tables["accuracies"].to_pylist()}
    assert ranks["majority"] == 4
    assert sum(ranks.values()) == pytest.approx(10)


@pytest.mark.slow
def test_the_table_of_the_specification():
    """Each cell within two standard errors of scikit-learn's on ten folds, and two points."""
    anchors = {
        "naive_bayes": (0.957, 0.972, 0.937, 0.841), "logistic": (0.957, 0.983, 0.975, 0.969),
        "tree": (0.947, 0.919, 0.927, 0.855), "forest": (0.950, 0.978, 0.960, 0.976),
        "mlp": (0.960, 0.983, 0.977, 0.979), "mlp_3": (0.947, 0.981, 0.978, 0.971),
    }  # fmt: skip
    for place, data in enumerate(system.DATA):
        x, y = system.load(data)
        for name, row in anchors.items():
            found = [each["accuracy"] for each in system.measured(name, x, y, system.Suite((data,), (name,), 5, 2, 0))]
            print(data, name, round(np.mean(found), 3), row[place])
            error = np.std(found, ddof=1) / len(found) ** 0.5
            assert abs(np.mean(found) - row[place]) < 2 * error * 2**0.5 + 0.005


def test_bad_tables_are_refused():
    with pytest.raises(Refusal, match="no data set of the suite"):
        system.load("moons")
    x, y = datasets.load_iris(return_X_y=True)
    broken = x.copy()
    broken[3, 1] = np.nan
    with pytest.raises(Refusal, match="no finite number"):
        models.predicted(bayes.gaussian, broken, y, x, 3)
    with pytest.raises(Refusal, match="no sample to learn from"):
        models.predicted(bayes.gaussian, x[y < 2], y[y < 2], x, 3)
    constant = np.concatenate([x, np.ones((len(x), 1))], 1)
    for name in ("logistic", "naive_bayes", "tree"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _, p = models.predicted(models.MODELS[name], constant, y, constant[:5], 3)
        assert np.isfinite(p).all()


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_gives_a_law_and_beats_the_majority(name):
    x, y = system.load("iris")
    fit = models.MODELS[name]
    fit = partial(fit, trees=10) if name in ("forest", "adaboost", "boosting") else fit
    found, p = models.predicted(fit, x[::2], y[::2], x[1::2], 3)
    np.testing.assert_allclose(p.sum(1), 1)
    assert p.min() >= 0
    assert found.size > 0
    if name != "majority":
        assert (p.argmax(1) == y[1::2]).mean() > 0.88
