"""Contrastive losses: a sample is to be nearer to its own than to all others of the batch.

Articles: https://kexue.fm/archives/8471 (their gradient), https://kexue.fm/archives/8348 (SimCSE in Chinese); papers:
van den Oord et al. 2018 (https://arxiv.org/abs/1807.03748), Gao et al. 2021 (https://arxiv.org/abs/2104.08821).

    InfoNCE   -log ( exp s(a_i, b_i) / sum_j exp s(a_i, b_j) ),  s = cosine / temperature, mean over i

SimCSE is InfoNCE of two dropouts of one sentence. Of several processes each holds part of the batch: what is held
against one another is `gathered` from all.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from stages.core import distributed
from stages.core.errors import Refusal
from stages.core.params import Choices

Loss = Callable[..., torch.Tensor]


def info_nce(
    a: torch.Tensor,
    b: torch.Tensor,
    negatives: torch.Tensor | None = None,
    *,
    temperature: float,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """The mean loss, nats, of a_i [n, dim] about b_i among all b and, if given, hard `negatives` [m, dim].

    `same` [n] numbers what is the same: other samples of one's own number are no negatives. Raises `Refusal` for
    a temperature that is not above 0 and for towers of other sizes.
    """
    logits, targets = _logits(a, b, negatives, temperature, same)
    return functional.cross_entropy(logits, targets)


def symmetric(
    a: torch.Tensor,
    b: torch.Tensor,
    negatives: torch.Tensor | None = None,
    *,
    temperature: float,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """InfoNCE of a about b and of b about a, their mean: two towers of equal right. `negatives` are those of a."""
    logits, targets = _logits(a, b, negatives, temperature, same)
    back = logits[:, : len(logits)].T
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(back, targets)) / 2


def joint(a: torch.Tensor, b: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """The article's loss: all 2n samples are one batch h, each about its partner among all but itself; mean, nats.

    L = mean_i ( -s(h_i, h_partner(i)) + log sum_{j != i} exp s(h_i, h_j) )
    """
    h = torch.cat([distributed.gathered(a), distributed.gathered(b)])
    itself = torch.eye(len(h), dtype=torch.bool, device=h.device)
    logits = _cosines(h, h, temperature).masked_fill(itself, -torch.inf)
    partner = torch.arange(len(h), device=h.device).roll(len(h) // 2)
    return functional.cross_entropy(logits, partner)


LOSSES: Choices = {"info_nce": info_nce, "symmetric": symmetric, "joint": joint}
"""Losses of two towers' representations [n, dim], by name."""


def weights_of_others(scores: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
    """p + p' - 2 t [b, b], of which h~ = (p + p' - 2 t) h is the gradient of the article's loss, summed, for s = h h'.

    `scores` [b, b] are symmetric, p their softmax over each row without the diagonal; `partner` [b] is its own inverse.
    """
    itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    p = scores.masked_fill(itself, -torch.inf).softmax(1)
    t = functional.one_hot(partner, len(scores)).to(p)
    return p + p.T - 2 * t


def _logits(
    a: torch.Tensor,
    b: torch.Tensor,
    negatives: torch.Tensor | None,
    temperature: float,
    same: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """s(a_i, b_j) and s(a_i, negative_j) [n, n + m] of all processes, and which j is right [n]."""
    if a.shape != b.shape:
        raise Refusal(f"towers of {tuple(a.shape)} and {tuple(b.shape)}: each sample needs its own partner")
    a, b = distributed.gathered(a), distributed.gathered(b)
    logits = _cosines(a, b, temperature)
    targets = torch.arange(len(a), device=a.device)
    if same is not None:
        same = distributed.gathered(same)
        logits = logits.masked_fill((same[:, None] == same) & (targets[:, None] != targets), -torch.inf)
    if negatives is not None:
        logits = torch.cat([logits, _cosines(a, distributed.gathered(negatives), temperature)], 1)
    return logits, targets


def _cosines(a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
    """cos(a_i, b_j) / temperature [n, m], in float32 at least."""
    if not temperature > 0:
        raise Refusal(f"a temperature of {temperature}: it must be above 0")
    wide = torch.promote_types(a.dtype, torch.float32)
    return functional.normalize(a.to(wide), dim=1) @ functional.normalize(b.to(wide), dim=1).T / temperature
