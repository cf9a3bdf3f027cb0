"""Skip-gram with negative sampling.

Article: https://kexue.fm/archives/5617; paper: Mikolov et al. 2013 (https://arxiv.org/abs/1310.4546).

    a pair (i, j)   softplus(-l(i, j)) + k E_{n ~ q} softplus(l(i, n)),    q(j) ~ count(j)^exponent
    word2vec        l(i, j) = <u_i, v_j>                  at the optimum  <u_i, v_j> = log p(i, j) / (p(i) q(j)) - log k
    nce             l(i, j) = <u_i, v_j> - log(k q(j))    at the optimum  <u_i, v_j> = log p(j | i)

No vector is gathered for a pair. A step (steps.py) takes consecutive words, each read once: blocks of 16 against their
neighbourhood give all logits in one product, of which a band counts, and 128 words share 64 words of noise, weighted
so that a pair has k of them in expectation. The gradients of a row are added up over the step.
The number: words a second and quality against gensim, by benchmarks/bench_vectors.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core import checkpoints, devices
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.progress import counting

if TYPE_CHECKING:
    import torch

    from stages.nets.nce import Categorical
    from stages.words.steps import Step

CHUNK = 1 << 20  # words that are thinned out and sent to the device together
SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass(frozen=True)
class SkipGram:
    """How vectors are trained."""

    dim: int  # of a vector
    window: int  # words on each side, of which a random 1..window count
    negatives: int  # k
    exponent: float  # of the noise law q ~ count^exponent
    sample: float  # words of a larger share of the text than this are thinned out; 0 keeps all
    epochs: int
    rate: float  # of learning, falls to least_rate in a line
    least_rate: float
    form: str  # word2vec or nce
    batch: int  # words a step, a multiple of 128
    seed: int
    device: str  # auto, cpu, cuda
    bf16: bool  # products in bfloat16, on a GPU
    compile: bool  # by torch.compile, on a GPU


def _nothing(log_q: torch.Tensor, k: int) -> torch.Tensor:
    return log_q.new_zeros(log_q.shape)


def _log_kq(log_q: torch.Tensor, k: int) -> torch.Tensor:
    return log_q + float(np.log(k))


FORMS: Choices = {"word2vec": _nothing, "nce": _log_kq}
"""What is taken from <u_i, v_j> by j [size], from log q [size] and k."""


def usual_epochs(characters: float) -> int:
    """Epochs that fit the size of a corpus: 30 up to a million characters, 2 from 15 million on."""
    return int(min(max(30e6 / max(characters, 1), 2), 30))


def fit(
    ids: np.ndarray, offsets: np.ndarray, size: int, settings: SkipGram, spool: Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The vectors (U, V) of the words 0..size-1 as centres and as context, [size, dim] float32 each.

    `ids` int32 are the words of all sentences laid end to end, `offsets` int64 [sentences + 1] tells where each starts.
    With `spool`, a training that was killed goes on, on the CPU to the same bytes.
    Raises `Refusal` for settings out of range and for a text of fewer than two words.
    """
    import torch

    from stages.nets.nce import Categorical
    from stages.nets.threads import one_thread

    _check(ids, settings)
    device = devices.pick(settings.device)
    counts = np.bincount(ids, minlength=size)
    noise = Categorical(torch.from_numpy(counts**settings.exponent * (counts > 0)).to(device))
    step, done = _start(settings, noise, device), 0
    checkpoint = checkpoints.Checkpoint(spool) if spool else None
    if checkpoint and (saved := checkpoint.load()):
        step.u.copy_(saved[0]["u"])
        step.v.copy_(saved[0]["v"])
        done = saved[1]["done"]
    move = torch.compile(step) if settings.compile and device.type == "cuda" else step
    keep, total, saved_at = kept(counts, settings.sample), settings.epochs * ids.size, time.monotonic()
    with counting("vectors", total, "words") as advance, torch.no_grad(), one_thread():
        advance(done)
        while done < total:
            begin = done % ids.size
            part, draw = ids[begin : begin + CHUNK], np.random.default_rng((settings.seed, done))
            words, reach = thinned(part, begin, offsets, keep, settings.window, draw)
            generator = torch.Generator(device).manual_seed(int(draw.integers(2**62)))
            for share, batch in _batches(words, reach, settings, noise, generator):
                rate = settings.rate + (settings.least_rate - settings.rate) * (done + share * part.size) / total
                move(*batch, torch.tensor(rate, device=device))
            done += part.size
            advance(part.size)
            if checkpoint and time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
                checkpoint.save({"u": step.u, "v": step.v}, {"done": done})
                saved_at = time.monotonic()
    if not (step.u.isfinite().all() and step.v.isfinite().all()):
        raise Refusal(f"the vectors ran away at rate {settings.rate}: lower it, or batch")
    return step.u.cpu().numpy(), step.v.cpu().numpy()


def kept(counts: np.ndarray, sample: float) -> np.ndarray:
    """The chance of each word to stay when frequent ones are thinned out: (sqrt(f/t) + 1) t/f, at most 1; [size]."""
    if sample == 0:
        return np.ones(counts.size)
    share = np.maximum(counts / counts.sum(), 1e-300) / sample
    return np.minimum((np.sqrt(share) + 1) / share, 1)


def thinned(
    part: np.ndarray, begin: int, offsets: np.ndarray, keep: np.ndarray, window: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The words of `part`, which starts at `begin` in the text, that stay, and which places around each count.

    The places are rows of `steps.places`: a random 1..window words on each side, none beyond the sentence or the part.
    """
    stays = draw.random(part.size, dtype=np.float32) < keep[part]
    before = np.concatenate([[0], np.cumsum(stays)])
    first, last = np.searchsorted(offsets, [begin, begin + part.size])
    edges = before[np.concatenate([[0], offsets[first:last] - begin, [part.size]])]
    words, lengths = part[stays], np.diff(edges)
    place, radius = np.arange(words.size), draw.integers(1, window + 1, words.size)
    left = np.minimum(radius, place - np.repeat(edges[:-1], lengths))
    right = np.minimum(radius, np.repeat(edges[1:], lengths) - 1 - place)
    return words, left * (window + 1) + right


def _start(settings: SkipGram, noise: Categorical, device: torch.device) -> Step:
    import torch

    from stages.words.steps import Step

    size, generator = len(noise.cumulative), torch.Generator().manual_seed(settings.seed)
    u = (torch.rand(size, settings.dim, generator=generator) - 0.5) / settings.dim
    v = torch.zeros(size, settings.dim)
    log_q = noise.log_prob(torch.arange(size, device=device)).float()
    shift = choose(FORMS, settings.form, "form")(log_q, settings.negatives)
    bf16 = settings.bf16 and device.type == "cuda"
    return Step(u.to(device), v.to(device), shift, settings.window, settings.negatives, bf16)


def _batches(
    words: np.ndarray, reach: np.ndarray, settings: SkipGram, noise: Categorical, generator: torch.Generator
) -> Iterator[tuple[float, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    """(share of the part that is done, (words, reach, noise) of a step), the last one filled up with no pairs."""
    import torch

    from stages.words.steps import SHARED, SHARING

    w = settings.window
    batch = min(settings.batch, max(-(-words.size // SHARING), 1) * SHARING)
    steps = -(-words.size // batch)
    spare = steps * batch - words.size
    filled = torch.from_numpy(np.pad(words.astype(np.int64), (w, w + spare))).to(generator.device)
    reach = torch.from_numpy(np.pad(reach, (0, spare))).to(generator.device)
    drawn = batch // SHARING * SHARED
    noises = noise.sample(steps * drawn, generator)
    for i in range(steps):
        a, b = i * batch, (i + 1) * batch
        yield i / steps, (filled[a : b + 2 * w], reach[a:b], noises[i * drawn : (i + 1) * drawn])


def _check(ids: np.ndarray, settings: SkipGram) -> None:
    from stages.words.steps import SHARING

    if settings.negatives < 1:
        raise Refusal(f"negatives is {settings.negatives}, but without noise all vectors become one: use at least 1")
    if min(settings.dim, settings.window, settings.epochs) < 1 or settings.sample < 0:
        raise Refusal("dim, window and epochs must be at least 1, and sample at least 0")
    if settings.batch < SHARING or settings.batch % SHARING:
        raise Refusal(f"batch is {settings.batch}, but it must be a multiple of {SHARING} words")
    if ids.size < 2:
        raise Refusal("the text has fewer than two words: give more, or lower min_count")
