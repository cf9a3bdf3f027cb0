"""How good generated images are, in the features of a network trained on the data set itself; no Inception.

    Frechet distance   |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2))     https://arxiv.org/abs/1706.08500
    KID                unbiased MMD^2 with k(a, b) = (a.b / dim + 1)^3                https://arxiv.org/abs/1801.01401
    precision, recall  share of fakes in a ball of the reals, of reals in one of the fakes         .../abs/1904.06991
    density, coverage  mean balls of the reals around a fake / k; share of those with a fake       .../abs/2002.09797

The ball of a point reaches to its k-th nearest neighbour among its own. The Frechet distance is of raw features, all
else of features standardised by the mean and deviation of the training set. A distance of a network trained here is
no "FID" and has no unit: it is read against the same distance for a Gaussian fitted to the pixels (references.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from stages.core.errors import Refusal

if TYPE_CHECKING:
    from stages.nets.features import Judge

K = 5  # https://arxiv.org/abs/2002.09797
BLOCKS, BLOCK = 10, 500  # of KID
SURE = 0.9  # a confident classification
PRESENT = 0.01  # least share of a class that is there
CELLS = 2**25
"""Distances in memory at a time: 128 MB, and as much again while they are made."""


def measure(judge: Judge, fakes: torch.Tensor, seed: int) -> dict[str, float]:
    """All of the metrics of `fakes` [n, channels, height, width] in [0, 1]; `seed` draws the blocks of KID.

    fd; fd_of_gaussian, the share of what a Gaussian fitted to the pixels gets; kid, kid_spread (deviation over
    blocks); precision, recall, density, coverage; nearest_ratio, the mean distance to the nearest training image over
    that of the test images, where below 0.5 means copying; and, where the data set has labels, those of `classes`.
    Raises `Refusal` for no more images than there are features, or for images that are not finite.
    """
    found = judge.features(fakes)
    if len(found) <= found.shape[1]:
        raise Refusal(f"{len(found)} images are too few to measure with {found.shape[1]} features: sample more")
    if not torch.isfinite(found).all():
        raise Refusal("the images to measure are not all finite: the model that made them diverged")
    metrics = compare(judge, judge.reference, found, seed)
    metrics["fd_of_gaussian"] = metrics["fd"] / judge.scale["gaussian"]
    if judge.task == "labels":
        metrics |= classes(judge.probabilities(fakes), judge.images.train_labels)
    return metrics


def compare(judge: Judge, real: torch.Tensor, fake: torch.Tensor, seed: int) -> dict[str, float]:
    """The metrics of features `fake` [n, dim] against `real` [m, dim], and against the nearest of the training set."""
    a, b, train = (judge.standardised(x) for x in (real, fake, judge.train))
    mean, spread = kid(a, b, seed)
    near = nearest(train, b) / judge.scale["nearest_test"]
    return {"fd": frechet(real, fake), "kid": mean, "kid_spread": spread, "nearest_ratio": near, **neighbours(a, b)}


def frechet(a: torch.Tensor, b: torch.Tensor) -> float:
    """The Frechet distance of the normal laws with the moments of `a` [n, dim] and `b` [m, dim], in float64.

    Rounding may leave tiny negative eigenvalues; they count as 0. A biased estimate: more samples make it smaller.
    """
    a, b = a.double(), b.double()
    c1, c2 = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(c1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c2 @ root).clamp(min=0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + c1.trace() + c2.trace() - 2 * cross).item()


def kid(real: torch.Tensor, fake: torch.Tensor, seed: int) -> tuple[float, float]:
    """(mean, standard deviation) of the unbiased MMD^2 over blocks of both sides drawn by `seed`; may be negative."""
    size = min(BLOCK, len(real), len(fake))
    generator = torch.Generator().manual_seed(seed)
    x, y = (_blocks(side.double(), size, generator) for side in (real, fake))  # [blocks, size, dim]
    found = _within(_kernel(x, x)) + _within(_kernel(y, y)) - 2 * _kernel(x, y).mean((1, 2))
    return found.mean().item(), found.std().item()


def _blocks(x: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    rows = torch.stack([torch.randperm(len(x), generator=generator)[:size] for _ in range(BLOCKS)])
    return x[rows.to(x.device)]


def _kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x @ y.mT / x.shape[-1] + 1) ** 3


def _within(k: torch.Tensor) -> torch.Tensor:
    """The mean of k [blocks, size, size] off the diagonal."""
    n = k.shape[-1]
    return (k.sum((1, 2)) - k.diagonal(dim1=1, dim2=2).sum(1)) / (n * (n - 1))


def neighbours(real: torch.Tensor, fake: torch.Tensor, k: int = K) -> dict[str, float]:
    """precision, recall, density and coverage of `fake` [m, dim] against `real` [n, dim]."""
    around_real, around_fake = radii(real, k), radii(fake, k)
    balls = torch.zeros(len(fake), device=fake.device)  # of reals, around each fake
    recalled, covered = [], []
    done = 0
    for d in distances(real, fake):  # [rows, m]
        reach = around_real[done : done + len(d), None]
        balls += (d <= reach).sum(0)
        recalled.append((d <= around_fake).any(1))
        covered.append((d <= reach).any(1))
        done += len(d)
    shares = {"precision": balls > 0, "recall": torch.cat(recalled), "coverage": torch.cat(covered)}
    return {name: share.double().mean().item() for name, share in shares.items()} | {"density": balls.mean().item() / k}


def radii(x: torch.Tensor, k: int) -> torch.Tensor:
    """The distance of each of `x` [n, dim] to its k-th nearest other one; [n]. Raises `Refusal` for n <= k."""
    if len(x) <= k:
        raise Refusal(f"{len(x)} images have no {k} neighbours each: sample more")
    return torch.cat([d.topk(k + 1, largest=False).values[:, -1] for d in distances(x, x)])


def nearest(among: torch.Tensor, x: torch.Tensor) -> float:
    """The mean distance of `x` [n, dim] to the nearest of `among` [m, dim]."""
    return torch.cat([d.amin(1) for d in distances(x, among)]).double().mean().item()


def distances(a: torch.Tensor, b: torch.Tensor) -> Iterator[torch.Tensor]:
    """The Euclidean distances of some rows of `a` to all of `b`, until all rows are done: memory stays bounded."""
    for rows in a.split(max(1, CELLS // len(b))):
        yield torch.cdist(rows, b)


def classes(probabilities: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """What classes there are by `probabilities` [n, classes], against the true `labels` [m].

    classes: how many have more than 1 % of the images; label_kl: of their histogram to the true one, nats;
    confident: share of images whose class has more than 0.9.
    """
    size = probabilities.shape[1]
    share = torch.bincount(probabilities.argmax(1), minlength=size).double() / len(probabilities)
    truth = torch.bincount(labels, minlength=size).double() / len(labels)
    return {
        "classes": float((share > PRESENT).sum()),
        "label_kl": (torch.xlogy(share, share) - torch.xlogy(share, truth)).sum().item(),
        "confident": (probabilities.amax(1) > SURE).double().mean().item(),
    }
