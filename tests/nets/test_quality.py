"""The metrics against closed forms, direct sums, scipy and scikit-learn, and against planted facts."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.neighbors import NearestNeighbors

from stages.nets import quality
from stages.nets.threads import one_thread


@pytest.fixture(autouse=True)
def calm():
    with one_thread():
        yield


def points(n, dim, seed, shift=0.0, scale=1.0):
    return shift + scale * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def with_moments(mean, covariance, n=500, seed=0):
    """Points whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return torch.from_numpy(x @ np.linalg.cholesky(covariance).T + mean)


def test_frechet_distance_of_commuting_normals_is_the_closed_form():
    """|m1 - m2|^2 + sum (s1 - s2)^2 for covariances diag(s^2)."""
    m1, m2 = np.array([0.0, 1.0, -2.0]), np.array([1.0, 1.0, 0.5])
    s1, s2 = np.array([1.0, 2.0, 0.1]), np.array([0.5, 3.0, 0.1])
    a, b = with_moments(m1, np.diag(s1**2), seed=1), with_moments(m2, np.diag(s2**2), seed=2)
    expected = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
    assert quality.frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert quality.frechet(b, a) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dim", [2, 7, 32])
def test_frechet_distance_of_normals_that_do_not_commute_is_that_of_scipys_square_root(dim):
    rng = np.random.default_rng(dim)
    (m1, c1), (m2, c2) = ((rng.standard_normal(dim), np.cov(rng.standard_normal((dim, 3 * dim)))) for _ in range(2))
    assert np.abs(c1 @ c2 - c2 @ c1).max() > 0.1
    root = scipy.linalg.sqrtm(c1 @ c2).real
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * root)
    assert quality.frechet(with_moments(m1, c1, seed=3), with_moments(m2, c2, seed=4)) == pytest.approx(expected, 1e-8)


def test_frechet_distance_in_two_dimensions_by_the_formula_for_the_trace():
    """tr (AB)^(1/2) = (tr AB + 2 det(AB)^(1/2))^(1/2) for 2 x 2."""
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, -0.4], [-0.4, 0.5]])
    root = math.sqrt(np.trace(a @ b) + 2 * math.sqrt(np.linalg.det(a @ b)))
    found = quality.frechet(with_moments(np.zeros(2), a, seed=5), with_moments(np.ones(2), b, seed=6))
    assert found == pytest.approx(2 + np.trace(a + b) - 2 * root, rel=1e-8)


def test_features_that_are_always_zero_and_identical_sets_do_no_harm():
    x = torch.relu(points(200, 8, 7))
    x[:, 3:] = 0
    assert quality.frechet(x, x) == pytest.approx(0, abs=1e-9)
    moved = x.clone()
    moved[:, 0] += 3
    assert quality.frechet(x, moved) == pytest.approx(9, rel=1e-5)


def test_kid_is_the_direct_double_sum(monkeypatch):
    """All points in every block: all blocks are the same."""
    x, y = points(12, 5, 8), points(12, 5, 9, shift=0.3)

    def k(a, b):
        return (float(a @ b) / 5 + 1) ** 3

    n = len(x)
    same = sum(k(s[i], s[j]) for s in (x.double(), y.double()) for i in range(n) for j in range(n) if i != j)
    cross = sum(k(a, b) for a in x.double() for b in y.double())
    mean, spread = quality.kid(x, y, seed=0)
    assert mean == pytest.approx(same / (n * (n - 1)) - 2 * cross / n**2, rel=1e-9)
    assert spread == pytest.approx(0, abs=1e-9)


def test_kid_is_unbiased_and_its_blocks_are_small():
    """Of one law it is 0 on the mean, with negative values; of two laws it is what the moments say."""
    found = [quality.kid(points(100, 4, s), points(100, 4, 1000 + s), s)[0] for s in range(60)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))
    assert min(found) < 0 < max(found)
    _, spread = quality.kid(points(2000, 4, 1), points(2000, 4, 2), 0)
    assert 0 < spread < 0.1
    assert quality._blocks(points(2000, 4, 1), 500, torch.Generator().manual_seed(0)).shape == (10, 500, 4)
    # k(x, x') of N(0, 1) against a point mass at 1 in one dimension: E(xx' + 1)^3 = 4, E(x + 1)^3 = 4, (1 + 1)^3 = 8
    shift, _ = quality.kid(points(4000, 1, 3), torch.ones(4000, 1), 0)
    assert shift == pytest.approx(4 + 8 - 2 * 4, abs=0.5)


def brute(real, fake, k):
    """Precision, recall, density and coverage as their definitions say, with scikit-learn's neighbours."""
    radius = [NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k] for x in (real, fake)]
    d = np.sqrt(((real[:, None] - fake[None]) ** 2).sum(2))
    inside = d <= radius[0][:, None]
    return {
        "precision": inside.any(0).mean(),
        "recall": (d <= radius[1][None]).any(1).mean(),
        "density": inside.sum(0).mean() / k,
        "coverage": inside.any(1).mean(),
    }


@pytest.mark.parametrize(("n", "m", "shift", "k"), [(150, 120, 0.0, 5), (100, 160, 1.0, 3), (90, 90, 0.5, 1)])
def test_neighbours_are_those_of_brute_force_whatever_the_pieces(monkeypatch, n, m, shift, k):
    real, fake = points(n, 6, 10), points(m, 6, 11, shift)
    expected = brute(real.double().numpy(), fake.double().numpy(), k)
    for cells in (2**25, 1000, 1):
        monkeypatch.setattr(quality, "CELLS", cells)
        assert quality.neighbours(real, fake, k) == pytest.approx(expected, abs=1e-6)


def test_nearest_is_the_mean_distance_to_the_nearest_and_nothing_for_copies(monkeypatch):
    among, x = points(300, 6, 12), points(80, 6, 13)
    expected = NearestNeighbors(n_neighbors=1).fit(among).kneighbors(x)[0].mean()
    monkeypatch.setattr(quality, "CELLS", 7000)
    assert quality.nearest(among, x) == pytest.approx(expected, rel=1e-4)
    assert quality.nearest(among, among[:50]) < 0.002


def clusters(counts, seed=0):
    """Six clusters far apart, with so many points each."""
    centres = 20 * torch.eye(6)
    return torch.cat([points(n, 6, seed + i) + centres[i] for i, n in enumerate(counts)])


def test_a_lost_mode_shows_in_recall_and_coverage_and_bad_samples_in_precision_and_density():
    real = clusters([100] * 6)
    lost = quality.neighbours(real, clusters([120] * 5 + [0], seed=50))
    assert lost["coverage"] < 0.85
    assert 0.7 < lost["recall"] <= 5 / 6
    assert lost["precision"] > 0.9
    fakes = clusters([100] * 6, seed=90)
    fakes[:300] += 200
    assert quality.neighbours(real, fakes)["precision"] == pytest.approx(0.5, abs=0.05)
    assert quality.neighbours(real, fakes)["density"] == pytest.approx(0.5, abs=0.1)
    assert quality.neighbours(real, clusters([100] * 6, seed=70))["density"] == pytest.approx(1, abs=0.15)
    one = quality.neighbours(real, real[:1].expand(200, -1).clone())
    assert one["coverage"] < 0.05


def test_classes_are_counted_and_their_histogram_is_compared():
    sure = torch.eye(4)[torch.tensor([0] * 50 + [1] * 49 + [2] * 1)] * 0.96 + 0.01
    found = quality.classes(sure, torch.tensor([0, 0, 1, 1, 2, 3]))
    assert found["classes"] == 2  # the third has 1 %, which is not more
    share, truth = np.array([0.5, 0.49, 0.01]), np.array([2, 2, 1]) / 6
    assert found["label_kl"] == pytest.approx((share * np.log(share / truth)).sum(), rel=1e-9)
    assert found["confident"] == 1.0
    unsure = torch.full((10, 4), 0.25)
    assert quality.classes(unsure, torch.tensor([0, 1, 2, 3]))["confident"] == 0.0


@pytest.mark.slow
def test_ten_thousand_against_ten_thousand_stays_under_a_gigabyte():
    import os
    import subprocess
    import sys

    code = (
        "import resource, torch; from stages.nets import quality\n"
        "x, y = torch.randn(2, 10_000, 128)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "quality.neighbours(x, y); quality.nearest(x, y)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert float(done.stdout) < 1.0
