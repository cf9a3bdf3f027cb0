"""The codebook: gradients to the bit, averages by a loop in float64, revival, k-means, and its entropy by scipy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import entropy as scipy_entropy
from torch.nn import functional

from stages.core.errors import Refusal
from stages.vae import codebook
from stages.vae.codebook import Codebook, Quantiser

HOW = Codebook(
    codes=7,
    dim=3,
    distance="euclidean",
    init="normal",
    update="gradient",
    pull=1.0,
    commitment=0.25,
    decay=0.9,
    smoothing=1e-5,
    weight=1.0,
    revive=0.0,
)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def maps(seed=0, n=5):
    """z [n, 3, 2, 4], of all places apart."""
    return torch.randn(n, HOW.dim, 2, 4, generator=source(seed))


def made(**more):
    found = Quantiser(replace(HOW, **more))
    found.start(maps(9, 50), source(1))
    return found


def test_each_vector_becomes_the_nearest_code():
    quantiser, z = made(), maps()
    found = quantiser(z)
    rows = z.permute(0, 2, 3, 1).reshape(-1, 3)
    expected = cdist(rows.numpy(), quantiser.e.detach().numpy()).argmin(1)
    np.testing.assert_array_equal(found.codes.flatten().numpy(), expected)
    for n, y, x in ((0, 0, 0), (2, 1, 3), (4, 0, 2)):
        assert torch.equal(found.q[n, :, y, x], quantiser.e[found.codes[n, y, x]])
    assert torch.equal(found.q, quantiser.look(found.codes))


def test_distances_are_float32_under_autocast():
    """Two codes that bfloat16 cannot tell apart: the nearer one is found."""
    quantiser = made(codes=2)
    with torch.no_grad():
        quantiser.e.copy_(torch.tensor([[1.0, 0, 0], [1.001, 0, 0]]))
    z = torch.tensor([1.0008, 0, 0]).view(1, 3, 1, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert quantiser(z).codes.item() == 1


def test_the_gradient_of_q_is_that_of_z_to_the_bit():
    quantiser, z = made(), maps().requires_grad_()
    found = quantiser(z)
    for_q = found.q.detach().requires_grad_()
    w = torch.randn(found.q.shape, generator=source(3))
    (of_z,) = torch.autograd.grad((found.q.sin() * w).sum(), z)
    (of_q,) = torch.autograd.grad((for_q.sin() * w).sum(), for_q)
    assert torch.equal(of_z, of_q)


def test_a_reconstruction_leaves_the_codebook_alone():
    quantiser, z = made(), maps().requires_grad_()
    found = quantiser(z)
    assert torch.autograd.grad(found.q.square().sum(), quantiser.e, allow_unused=True) == (None,)


def test_the_loss_is_the_articles():
    """mean (sg z - e)^2 + 0.25 mean (z - sg e)^2, its gradients by hand."""
    quantiser, z = made(), maps().requires_grad_()
    found = quantiser(z)
    of_e, of_z = torch.autograd.grad(quantiser.loss(found), [quantiser.e, z])
    rows, k = z.detach().permute(0, 2, 3, 1).reshape(-1, 3), found.codes.flatten()
    gap = rows - quantiser.e.detach()[k]
    by_hand = torch.zeros(7, 3)
    for row, code in zip(gap, k.tolist(), strict=True):
        by_hand[code] -= 2 * row / gap.numel()
    torch.testing.assert_close(of_e, by_hand)
    torch.testing.assert_close(of_z.permute(0, 2, 3, 1).reshape(-1, 3), 0.25 * 2 * gap / gap.numel())
    averaged = made(update="ema")
    found = averaged(z)
    torch.testing.assert_close(averaged.loss(found), 0.25 * found.commitment)
    assert not averaged.e.requires_grad


@pytest.mark.parametrize(("weight", "eps"), [(1.0, 0.3), (0.0, 1e-5)])
def test_averages_are_those_of_a_loop(weight, eps):
    quantiser = made(update="ema", weight=weight, smoothing=eps)
    e = quantiser.e.double().numpy().copy()
    counts, sums = np.full(7, weight), e.copy()
    for i in range(6):
        z = maps(20 + i)
        rows = z.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
        found = quantiser(z)
        quantiser.update(found, source())
        n, m = np.zeros(7), np.zeros((7, 3))
        for row in rows:
            k = ((row - e) ** 2).sum(1).argmin()
            n[k] += 1
            m[k] += row
        counts, sums = 0.9 * counts + 0.1 * n, 0.9 * sums + 0.1 * m
        e = sums / ((counts + eps) / (counts.sum() + 7 * eps) * counts.sum())[:, None]
        np.testing.assert_allclose(quantiser.e.numpy(), e, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(quantiser.counts.numpy(), counts, rtol=1e-5)


def test_averages_that_start_from_nothing_throw_away_what_the_first_batch_leaves_out():
    """e = M / N~ with N near 0 and M not: the collapse of common code."""
    for weight, far in ((1.0, False), (0.0, True)):
        quantiser = made(update="ema", weight=weight)
        with torch.no_grad():
            quantiser.e[3] = quantiser.sums[3] = 9.0  # which no vector is near
        quantiser.update(quantiser(maps()), source())
        assert (quantiser.e[3].norm() > 1e3) == far


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_a_code_that_nothing_finds_is_revived_onto_a_vector(update):
    quantiser = made(update=update, revive=0.5)
    with torch.no_grad():
        quantiser.e[3] = quantiser.sums[3] = 50.0
    before = quantiser.e.detach().clone()
    for i in range(8):  # 0.9^7 < 0.5 < 0.9^6
        quantiser.update(found := quantiser(maps(30 + i)), source(i))
        kept = torch.equal(quantiser.e[3], before[3]) if update == "gradient" else quantiser.e[3, 0] > 10
        assert kept == (i < 6)
        if i == 6:
            assert (found.rows == quantiser.e[3]).all(1).any()
            assert quantiser.counts[3] == 1.0
    assert (quantiser.counts > 0.5).all()


def test_cosine_codes_do_not_know_lengths():
    quantiser, z = made(distance="cosine"), maps()
    found, longer = quantiser(z), quantiser(5 * z)
    assert torch.equal(found.codes, longer.codes)
    torch.testing.assert_close(found.q.norm(dim=1), torch.ones(5, 2, 4))
    rows, e = (functional.normalize(x, dim=1) for x in (found.rows, quantiser.e))
    assert torch.equal(found.codes.flatten(), (rows @ e.T).argmax(1))


def test_k_means_finds_known_clusters_and_data_takes_different_vectors():
    centres = 10 * torch.randn(7, 3, generator=source(5))
    z = (centres.repeat(40, 1) + 0.01 * torch.randn(280, 3, generator=source(6))).T.reshape(1, 3, 28, 10)
    quantiser = Quantiser(replace(HOW, init="kmeans", codes=7))
    best = min(_placed(quantiser, z, centres, seed) for seed in range(5))  # Lloyd may stop short
    assert best < 0.02
    quantiser = Quantiser(replace(HOW, init="data"))
    quantiser.start(z, source())
    assert len(quantiser.e.detach().unique(dim=0)) == 7


def _placed(quantiser, z, centres, seed):
    quantiser.start(z, source(seed))
    return torch.cdist(centres, quantiser.e.detach()).amin(1).max().item()


def test_an_unknown_start_is_refused():
    with pytest.raises(Refusal, match=r"codebook.init is 'kmean'"):
        Quantiser(replace(HOW, init="kmean")).start(maps(), source())


def test_entropy_is_scipys_and_of_the_whole_set():
    codes = torch.randint(0, 50, (40, 4, 4), generator=source()) ** 2 // 50
    counts = codebook.usage(codes, 64)
    assert codebook.entropy(counts) == pytest.approx(scipy_entropy(np.bincount(codes.flatten().numpy(), minlength=64)))
    batches = [np.exp(codebook.entropy(codebook.usage(part, 64))) for part in codes.split(2)]
    assert np.mean(batches) < np.exp(codebook.entropy(counts))
    quantiser = made()
    quantiser.counts.copy_(torch.tensor([1.0, 2, 3, 0, 0, 1, 5]))
    assert quantiser.perplexity().item() == pytest.approx(np.exp(scipy_entropy([1, 2, 3, 1, 5])))
