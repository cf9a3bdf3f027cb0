"""GlobalPointer: every span of a text scored as a whole, a score a kind of span.

Articles: https://kexue.fm/archives/8373 (GlobalPointer), https://kexue.fm/archives/7359 (the loss),
https://kexue.fm/archives/8265 (RoPE); paper: Su et al. 2022 (https://arxiv.org/abs/2208.03054).

    [q_h, k_h] = W_h x,   s_h(i, j) = (R_i q_h,i) . (R_j k_h,j) / sqrt(size),   -inf where j < i or a place is hidden
    many spans: log(1 + sum over others of e^s) + log(1 + sum over spans of e^-s), a span where s > 0
    one span:   softmax over all cells (i, j); the first cell says that there is none

The numbers: scores depend on i - j alone for equal q and k, to 1e-5; the loss is that of a loop over cells to 1e-6; no
cell that is padded or below the diagonal has a gradient (tests/text/test_clue_pointer.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.nets.transformer import rotated
from stages.text.bert.model import initial
from stages.text.clue.samples import NOTHING, Batch

SIZE = 64  # of q and k, https://kexue.fm/archives/8373


class GlobalPointer(nn.Module):
    """Scores [n, kinds, t, t] of all spans of `kinds`, the diagonal and above of the places in the window."""

    def __init__(self, dim: int, kinds: int, bias: bool) -> None:
        super().__init__()
        self.kinds, self.project = kinds, nn.Linear(dim, kinds * 2 * SIZE, bias)
        frequencies = 10000.0 ** -(torch.arange(0, SIZE, 2) / SIZE)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.apply(initial)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """hidden [n, 1, t, dim] -> scores."""
        t = hidden.shape[2]
        x = self.project(hidden[:, 0]).unflatten(-1, (self.kinds, 2, SIZE)).permute(3, 0, 2, 1, 4)
        places = torch.arange(t, device=hidden.device)
        q, k = rotated(x.float(), places[:, None] * self.frequencies, pairs=True)  # [n, kinds, t, SIZE] each
        scores = q @ k.transpose(-1, -2) / SIZE**0.5
        return scores.masked_fill(~self.allowed(places, batch)[:, None], -torch.inf)

    def allowed(self, places: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Which cells count, [n, t, t]: start and end are seen, and the end is not before the start."""
        seen = (places >= batch.window[:, :1]) & (places < batch.window[:, 1:])  # [n, t]
        return seen[:, :, None] & seen[:, None] & (places[:, None] <= places)


class Spans(GlobalPointer):
    """Any number of spans of each kind."""

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The multi-label cross entropy about the cells `targets` [n, most, 3], mean over samples and kinds."""
        n, kinds, t, _ = scores.shape
        kind, start, end = targets.unbind(-1)
        nowhere = kinds * t * t  # a cell more, for targets that are none
        cell = ((kind * t + start) * t + end).where(kind != NOTHING, nowhere)
        marked = torch.zeros(n, nowhere + 1, dtype=torch.bool, device=scores.device)
        right = marked.scatter_(1, cell, True)[:, :-1].view(n, kinds, t * t)
        return multilabel(scores.flatten(2), right).mean()

    def answers(self, scores: torch.Tensor) -> list[list[tuple[int, int, int]]]:
        """The spans (kind, start, end) of each sample, in order."""
        found: list[list[tuple[int, int, int]]] = [[] for _ in scores]
        for sample, *cell in (scores > 0).nonzero().tolist():
            found[sample].append(tuple(cell))
        return found


class OneSpan(GlobalPointer):
    """One span, or none: cell (0, 0), the place of [CLS], which is seen beside the window."""

    def allowed(self, places: torch.Tensor, batch: Batch) -> torch.Tensor:
        """As of `GlobalPointer`, with place 0."""
        seen = ((places >= batch.window[:, :1]) & (places < batch.window[:, 1:])) | (places == 0)
        return seen[:, :, None] & seen[:, None] & (places[:, None] <= places)

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean cross entropy, nats, of the cells [n, t t] about `targets` [n, 1, 3]."""
        _, start, end = targets[:, 0].unbind(-1)
        return functional.cross_entropy(scores.flatten(1), start * scores.shape[-1] + end)

    def answers(self, scores: torch.Tensor) -> list[tuple[float, int, int]]:
        """(score, start, end) of the best span of each sample that is not at place 0."""
        t = scores.shape[-1]
        best, cell = scores[:, 0, 1:, 1:].flatten(1).max(1)
        start, end = cell // (t - 1) + 1, cell % (t - 1) + 1
        return list(zip(best.tolist(), start.tolist(), end.tolist(), strict=True))


def multilabel(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """log(1 + sum over others of e^s) + log(1 + sum over the right ones of e^-s) over the last axis."""
    one = torch.zeros_like(scores[..., :1])  # e^0
    others = torch.cat([scores.masked_fill(right, -torch.inf), one], -1)
    own = torch.cat([(-scores).masked_fill(~right, -torch.inf), one], -1)
    return others.logsumexp(-1) + own.logsumexp(-1)
