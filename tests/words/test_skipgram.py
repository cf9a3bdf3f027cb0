"""Skip-gram: gradients against autograd, the optimum against its closed form, the same bytes after a kill, speed."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from stages.core.errors import Refusal
from stages.nets.nce import Categorical
from stages.nets.threads import one_thread
from stages.words import skipgram, steps
from stages.words.skipgram import SkipGram, fit

USUAL = SkipGram(
    dim=16, window=3, negatives=5, exponent=0.75, sample=0.0, epochs=2, rate=0.025, least_rate=1e-4,
    form="word2vec", batch=256, seed=0, device="cpu", bf16=False, compile=False,
)  # fmt: skip


@pytest.fixture(autouse=True)
def calm():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


def chain(tokens: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Words of a Markov chain in sentences of 7."""
    draw = np.random.default_rng(seed)
    after = draw.dirichlet(np.full(size, 0.3), size).cumsum(axis=1)
    ids = np.zeros(tokens, dtype=np.int32)
    for i, u in enumerate(draw.random(tokens - 1), 1):
        ids[i] = min(np.searchsorted(after[ids[i - 1]], u), size - 1)
    return ids, np.arange(0, tokens + 7, 7).clip(max=tokens)


def pairs(words: np.ndarray, reach: np.ndarray, window: int) -> list[tuple[int, int]]:
    """The pairs of positions that `reach` stands for."""
    found = []
    for i, code in enumerate(reach.tolist()):
        left, right = divmod(code, window + 1)
        found += [(i, j) for j in range(i - left, i + right + 1) if j != i]
    return found


@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("form", skipgram.FORMS)
def test_the_gradients_are_those_of_the_loss_pair_by_pair(form, window):
    draw = np.random.default_rng(0)
    words = draw.integers(0, 40, 128).astype(np.int32)
    words, reach = skipgram.thinned(words, 0, np.array([0, 50, 128]), np.ones(40), window, draw)
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(40, 6, generator=generator).requires_grad_() for _ in range(2))
    noise = Categorical(torch.rand(40, generator=generator))
    shift = skipgram.FORMS[form](noise.log_prob(torch.arange(40)).float(), 5)
    drawn = noise.sample(steps.SHARED, generator)
    loss = torch.zeros(())
    for i, j in pairs(words, reach, window):
        loss += torch.nn.functional.softplus(-(u[words[i]] @ v[words[j]] - shift[words[j]]))
        loss += 5 * torch.nn.functional.softplus(v[drawn] @ u[words[i]] - shift[drawn]).mean()
    loss.backward()
    moved = steps.Step(u.detach().clone(), v.detach().clone(), shift, window, 5, bf16=False)
    padded = torch.from_numpy(np.pad(words.astype(np.int64), window))
    rate = 1e-3
    moved(padded, torch.from_numpy(reach), drawn, torch.tensor(rate))
    assert window == 20 or loss.item() > 0
    torch.testing.assert_close(u.detach() - moved.u, rate * u.grad, atol=2e-6, rtol=1e-3)
    torch.testing.assert_close(v.detach() - moved.v, rate * v.grad, atol=2e-6, rtol=1e-3)
    assert moved.load.count_nonzero() == 0


def test_bfloat16_changes_the_gradients_little():
    """The products of a GPU, tried on the CPU."""
    draw = np.random.default_rng(0)
    words, reach = skipgram.thinned(draw.integers(0, 40, 128), 0, np.array([0, 128]), np.ones(40), 3, draw)
    drawn = torch.from_numpy(draw.integers(0, 40, steps.SHARED))
    padded, reach = torch.from_numpy(np.pad(words, 3)), torch.from_numpy(reach)
    moved = []
    for bf16 in (False, True):
        u, v = (torch.randn(40, 16, generator=torch.Generator().manual_seed(i)) for i in range(2))
        steps.Step(u, v, torch.zeros(40), 3, 5, bf16)(padded, reach, drawn, torch.tensor(1e-2))
        moved.append(torch.cat([u, v]))
    start = torch.cat([torch.randn(40, 16, generator=torch.Generator().manual_seed(i)) for i in range(2)])
    whole, rough = (side - start for side in moved)
    assert 0 < (rough - whole).norm() / whole.norm() < 0.02


def test_windows_are_reduced_evenly_and_end_with_the_sentence():
    ids = np.arange(40_000, dtype=np.int32)
    offsets = np.array([0, 3, 3, 20_000, 40_000])
    words, reach = skipgram.thinned(ids[:30_000], 0, offsets, np.ones(40_000), 4, np.random.default_rng(0))
    left, right = np.divmod(reach, 5)
    assert (words == ids[:30_000]).all()
    assert left[0] == left[3] == left[20_000] == right[2] == right[19_999] == right[29_999] == 0
    inner = slice(10, 19_000)
    assert (left[inner] == right[inner]).all()
    np.testing.assert_allclose(np.bincount(left[inner], minlength=5)[1:] / 18_990, 0.25, atol=0.02)


def test_frequent_words_are_thinned_out_as_word2vec_does():
    counts = np.array([900_000, 99_000, 1_000])
    keep = skipgram.kept(counts, 1e-3)
    np.testing.assert_allclose(keep[:2], [(np.sqrt(900) + 1) / 900, (np.sqrt(99) + 1) / 99])
    assert keep[2] == 1
    assert (skipgram.kept(counts, 0) == 1).all()
    ids = np.repeat(np.arange(3, dtype=np.int32), counts)
    words, _ = skipgram.thinned(ids, 0, np.array([0, ids.size]), keep, 2, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(words), counts * keep, rtol=0.02)


@pytest.mark.parametrize(("exponent", "k"), [(1.0, 5), (0.75, 1)])
@pytest.mark.parametrize("form", ["word2vec", "nce"])
def test_the_optimum_is_shifted_mutual_information(exponent, k, form):
    """Check 4 of section 1: 30 words, full rank, the expected loss in full.

    word2vec: <u, v> = log p(i, j) / (p(i) q(j)) - log k; nce: <u, v> = log p(j | i).
    """
    ids, _ = chain(200_000, 30)
    joint = np.zeros((30, 30))
    np.add.at(joint, (ids[:-1], ids[1:]), 1)
    joint += joint.T
    counts = torch.from_numpy(joint)
    p_i, p_j = counts.sum(1, keepdim=True) / counts.sum(), counts.sum(0) / counts.sum()
    q = p_j**exponent / (p_j**exponent).sum()
    shift = skipgram.FORMS[form](q.log(), k)
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(30, 32, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    optimiser = torch.optim.LBFGS([u, v], max_iter=1000, tolerance_grad=1e-12, tolerance_change=0, history_size=50,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = u @ v.T - shift
        pulled = (counts / counts.sum() * torch.nn.functional.softplus(-logits)).sum()
        value = pulled + k * (p_i * q * torch.nn.functional.softplus(logits)).sum()
        value.backward()
        return value

    optimiser.step(loss)
    expected = (counts / counts.sum() / (p_i * q)).log() - np.log(k) if form == "word2vec" else (
        counts / counts.sum(1, keepdim=True)
    ).log()  # fmt: skip
    often = counts >= 50
    assert often.sum() > 200
    assert ((u @ v.T - expected)[often]).abs().max() < 1e-2


def test_training_comes_near_the_optimum_by_samples():
    """The trainer itself, with window 1 and all its sampling: products follow the shifted mutual information."""
    ids, offsets = chain(150_000, 20)
    settings = replace(USUAL, dim=24, window=1, exponent=1.0, negatives=3, epochs=25, rate=0.1)
    u, v = fit(ids, offsets, 20, settings)
    joint = np.zeros((20, 20))
    inside = np.setdiff1d(np.arange(ids.size - 1), offsets[1:] - 1)
    np.add.at(joint, (ids[inside], ids[inside + 1]), 1)
    joint += joint.T
    p = joint.sum(0) / joint.sum()
    q = np.bincount(ids) / ids.size
    often = joint >= 1000
    wanted = np.log(joint[often] / joint.sum()) - np.log((p[:, None] * q)[often]) - np.log(3)
    off = (u @ v.T)[often] - wanted
    assert often.sum() > 50
    assert np.abs(off).mean() < 0.1
    assert np.corrcoef((u @ v.T)[often], wanted)[0, 1] > 0.98


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(skipgram, "CHUNK", 10_000)
    monkeypatch.setattr(skipgram, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    ids, offsets = chain(25_000, 50)
    settings = replace(USUAL, sample=1e-2)
    whole = fit(ids, offsets, 50, settings)

    class Killed(Exception):
        pass

    def thinned(part, begin, *rest, after=skipgram.thinned, seen=[]):  # noqa: B006
        seen.append(begin)
        if len(seen) == 5:
            raise Killed
        return after(part, begin, *rest)

    monkeypatch.setattr(skipgram, "thinned", thinned)
    with pytest.raises(Killed):
        fit(ids, offsets, 50, settings, tmp_path)
    again = fit(ids, offsets, 50, settings, tmp_path)
    for side in range(2):
        assert again[side].tobytes() == whole[side].tobytes()


@pytest.mark.parametrize(("size", "batch", "rate"), [(2, 256, 0.025), (30, 8192, 0.025), (30, 1024, 0.2)])
def test_few_words_in_large_batches_do_not_run_away(size, batch, rate):
    ids, offsets = chain(50_000, size)
    u, v = fit(ids, offsets, size, replace(USUAL, batch=batch, rate=rate, epochs=3))
    assert max(np.abs(u).max(), np.abs(v).max()) < 10


def test_a_word_that_never_occurs_keeps_its_place():
    ids, offsets = chain(2_000, 5)
    u, v = fit(ids, offsets, 8, USUAL)
    assert u.shape == v.shape == (8, 16)
    assert u.dtype == v.dtype == np.float32
    assert (v[5:] == 0).all()


@pytest.mark.slow
def test_a_step_costs_the_same_for_a_hundred_times_the_vocabulary():
    """Check 5 of section 1: only the rows that a batch names are touched; what is left is the memory's latency."""

    def seconds(size: int) -> float:
        generator = torch.Generator().manual_seed(0)
        step = steps.Step(torch.zeros(size, 100), torch.zeros(size, 100), torch.zeros(size), 5, 10, bf16=False)
        noise = Categorical(torch.ones(size))
        times = []
        for _ in range(300):
            words = torch.randint(0, size, (2048 + 10,), generator=generator)
            drawn = noise.sample(2048 // steps.SHARING * steps.SHARED, generator)
            begin = time.perf_counter()
            step(words, torch.full((2048,), 3 * 6 + 3), drawn, torch.tensor(0.025))
            times.append(time.perf_counter() - begin)
        return float(np.median(times))

    ratio = min(seconds(1_000_000) / seconds(10_000) for _ in range(3))
    print(f"step at a vocabulary of 1e6 over 1e4: {ratio:.2f}")
    assert ratio < 1.5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"negatives": 0}, "negatives is 0"),
        ({"batch": 100}, "batch is 100, but it must be a multiple of 128"),
        ({"dim": 0}, "must be at least 1"),
        ({"form": "glove"}, "form is 'glove'.*choices: word2vec, nce"),
    ],
)
def test_settings_out_of_range_are_refused(change, sentence):
    ids, offsets = chain(100, 5)
    with pytest.raises(Refusal, match=sentence):
        fit(ids, offsets, 5, replace(USUAL, **change))


def test_a_text_of_one_word_is_refused():
    with pytest.raises(Refusal, match="fewer than two words"):
        fit(np.zeros(1, np.int32), np.array([0, 1]), 1, USUAL)
