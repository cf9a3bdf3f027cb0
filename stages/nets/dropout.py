"""Dropout: which numbers are dropped together, two conventions of its rate, prediction by many draws, and R-Drop.

Articles: https://kexue.fm/archives/4521, https://kexue.fm/archives/8496 (dropout twice); papers: Srivastava et al. 2014
(https://jmlr.org/papers/v15/srivastava14a.html), Gal & Ghahramani 2016 (variational, https://arxiv.org/abs/1512.05287;
many draws, https://arxiv.org/abs/1506.02142), Liang et al. 2021 (R-Drop, https://arxiv.org/abs/2106.14448).

    y = m x,    m = Bernoulli(1 - p) / (1 - p),    E m = 1,  Var m = p / (1 - p),  E (m x)^2 = x^2 / (1 - p)

The mask has the shape `noise_shape`: of an axis where that is 1, all places share one draw. Of sentences [n, length,
dim], (n, 1, dim) is variational dropout, (n, length, 1) drops words. What is linear is the same on average with dropout
and without; relu(W m x) is more on average than relu(W x). The number: at p = 0.6 what is kept is 2.5 times itself,
and the variance of m is 1.5 (systems row `nets_theory`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from stages.core.errors import Refusal
from stages.core.params import Choices
from stages.core.progress import say

Array = TypeVar("Array", torch.Tensor, np.ndarray)


def rate(*bare: float, drop: float | None = None, keep: float | None = None) -> float:
    """The share p that is dropped, from `drop=` as Keras and torch have it or from `keep=` as tf.nn.dropout had it.

    Raises `Refusal` for a number that does not say which of the two it is, for both, for none, and outside [0, 1].
    """
    if bare or (drop is None) == (keep is None):
        raise Refusal("say either drop=, the share that is dropped, or keep=, the share that is kept")
    return _checked(drop if keep is None else 1 - keep)


def masked(x: Array, kept: Array, p: float) -> Array:
    """m x for numpy and torch alike, where `kept` is 1 or 0, of the dtype of `x` and of a shape that broadcasts."""
    return x * (kept * (1 / (1 - p) if p < 1 else 0.0))


def dropout(
    x: torch.Tensor,
    p: float,
    noise_shape: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
    training: bool = True,
) -> torch.Tensor:
    """`x` of any shape with a share `p` of it dropped, `x` itself where p is 0 or there is no training.

    The draws are those of `generator`, on the device of `x`, or of torch's own. Raises `Refusal` for p outside [0, 1],
    integers, and a noise shape of another length or with a number that is neither 1 nor the size of its axis.
    """
    p, shape = _checked(p), _shaped(x.shape, noise_shape)
    if not x.dtype.is_floating_point:
        raise Refusal(f"dropout takes floating-point numbers, not {x.dtype}: embed or convert them first")
    if not training or p == 0:
        return x
    if generator is None and shape == tuple(x.shape):
        return functional.dropout(x, p)
    return masked(x, torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1 - p, generator=generator), p)


def dropout_numpy(
    x: np.ndarray, p: float, noise_shape: Sequence[int] | None, generator: np.random.Generator
) -> np.ndarray:
    """The same for numpy, with a generator of numpy's."""
    p, shape = _checked(p), _shaped(x.shape, noise_shape)
    if not np.issubdtype(x.dtype, np.floating):
        raise Refusal(f"dropout takes floating-point numbers, not {x.dtype}: convert them first")
    return x if p == 0 else masked(x, (generator.random(shape) >= p).astype(x.dtype), p)


def shapes(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """All noise shapes that are legal for `shape`: (3, 4, 5) has eight."""
    return list(dict.fromkeys(itertools.product(*((size, 1) for size in shape))))


def _shaped(shape: Sequence[int], noise_shape: Sequence[int] | None) -> tuple[int, ...]:
    shape, noise = tuple(shape), tuple(shape if noise_shape is None else noise_shape)
    if len(noise) != len(shape) or any(n not in (1, size) for n, size in zip(noise, shape, strict=True)):
        raise Refusal(f"noise_shape is {noise}, but each of its numbers must be 1 or the size of the axis in {shape}")
    return noise


def _checked(p: float) -> float:
    if not 0 <= p <= 1:
        raise Refusal(f"the rate of dropout is {p}: it must be within 0 and 1")
    return p


class Dropout(nn.Module):
    """Dropout whose draws are shared along some axes, whatever the sizes: ``Dropout(0.1, shared=(1,))``."""

    def __init__(self, p: float, shared: Sequence[int] = (), generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.p, self.shared, self.generator = _checked(p), tuple(shared), generator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape that has the axes in `shared`."""
        noise = list(x.shape)
        for axis in self.shared:
            noise[axis] = 1
        return dropout(x, self.p, noise, self.generator, self.training)


class WordTypes(nn.Module):
    """An embedding with dropout of whole words of the vocabulary: one that is dropped is so wherever it stands."""

    def __init__(self, embedding: nn.Embedding, p: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.embedding, self.p, self.generator = embedding, _checked(p), generator

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Numbers of words [...] -> [..., dim]."""
        weight = self.embedding.weight
        kept = dropout(weight.new_ones(len(weight)), self.p, None, self.generator, self.training)  # [vocabulary]
        return self.embedding(ids) * kept[ids][..., None]


DROPPING = (nn.modules.dropout._DropoutNd, nn.MultiheadAttention, Dropout, WordTypes)
"""Modules that draw while they train; attention does it by itself."""

SHARED: Choices = {
    "elements": (),
    "variational": (1,),  # of [n, length, dim]: one mask at every time
    "words": (2,),  # of [n, length, dim]: whole words
    "channels": (-1,),  # of [n, channels, length]
    "maps": (-2, -1),  # of [n, channels, height, width]
    "samples": (0,),  # one mask for all
}
"""Axes along which the variants share a draw."""


@contextmanager
def dropping(net: nn.Module) -> Iterator[None]:
    """Dropout as in training, and all else of `net` as in evaluation; afterwards everything as it was."""
    modes = {module: module.training for module in net.modules()}
    for module in modes:
        module.training = isinstance(module, DROPPING)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@torch.no_grad()
def many_draws(
    net: nn.Module, *inputs: torch.Tensor, draws: int, read: Callable[[torch.Tensor], torch.Tensor] = torch.clone
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation over `draws` masks of what `read` (softmax, say) makes of the outputs of `net`.

    Raises `Refusal` for fewer than two draws.
    """
    if draws < 2:
        raise Refusal(f"{draws} draws have no spread: take at least 2")
    with dropping(net):
        mean = read(net(*inputs))
        squares = torch.zeros_like(mean)
        for n in range(2, draws + 1):  # Welford's sums, which keep one draw at a time
            value = read(net(*inputs))
            off = value - mean
            mean = mean + off / n
            squares = squares + off * (value - mean)
    return mean, torch.sqrt(squares / (draws - 1))


def symmetric_kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(KL(p || q) + KL(q || p)) / 2 = Σ (p - q)(log p - log q) / 2 of logits [..., classes]; nats, [...]."""
    log_p, log_q = a.log_softmax(-1), b.log_softmax(-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1) / 2


def r_drop(
    net: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, targets: torch.Tensor, alpha: float
) -> torch.Tensor:
    """The loss of two draws of dropout on one batch: both cross entropies, and `alpha` times their symmetric KL."""
    first, second = net(torch.cat([x, x])).chunk(2)
    entropies = functional.cross_entropy(first, targets) + functional.cross_entropy(second, targets)
    return entropies + alpha * symmetric_kl(first, second).mean()


def before_norms(net: nn.Module) -> list[str]:
    """Names of dropouts in sequences of `net` that a batch norm follows, told to who watches.

    In evaluation the variance there is less than the one that the norm has learnt, by up to 1 / (1 - p)
    (Li et al. 2019, https://arxiv.org/abs/1801.05134).
    """
    found = []
    for name, part in net.named_modules():
        if isinstance(part, nn.Sequential):
            named = list(part.named_children())
            for (key, before), (_, after) in itertools.pairwise(named):
                if isinstance(before, DROPPING) and isinstance(after, _BatchNorm):
                    found.append(f"{name}.{key}".lstrip("."))
    if found:
        say(f"dropout right before batch norm shifts its variance: put {', '.join(found)} after it")
    return found
