"""The codebook of a VQ-VAE: K vectors, of which each vector of the encoder becomes the nearest.

Article: https://kexue.fm/archives/6760; paper: van den Oord et al. 2017 (https://arxiv.org/abs/1711.00937).

    k = argmin_j |z - e_j|        q = e_k + (z - sg z): the value of e_k, the gradient of z (straight-through)

    gradient    loss + pull mean (sg z - e_k)^2 + commitment mean (z - sg e_k)^2
    ema         N_k <- g N_k + (1 - g) n_k,  M_k <- g M_k + (1 - g) sum of its z,  e_k = M_k / N~_k,
                N~_k = (N_k + eps) / (N + K eps) N with N = sum N_k;  loss + commitment mean (z - sg e_k)^2

A code that is hardly used (N_k < revive) is put where the encoder is: onto one of its vectors at random. Averages that
start from N = 0 but M = e, as in common code, throw each code far off that the first batch leaves out: that is how a
codebook collapses. The number: of 256 codes for digits a perplexity of 3 is left after 500 steps, 32 after 1700; with
revival it is 198 at once (systems rows `vq_256_ema`, `vq_256_revival`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from stages.core import distributed
from stages.core.params import Choices, choose

LLOYD = 10  # rounds of k-means


@dataclass(frozen=True)
class Codebook:
    """Params of a codebook."""

    codes: int  # K
    dim: int  # d
    distance: Literal["euclidean", "cosine"]  # cosine: of vectors on the unit sphere
    init: str  # uniform, normal, data, kmeans
    update: Literal["gradient", "ema"]
    pull: float  # weight of moving codes to the encoder; of gradient
    commitment: float  # weight of moving the encoder to its codes
    decay: float  # g, of the counts N_k
    smoothing: float  # eps
    weight: (
        float  # N_k at the start; with 0, as in the paper's own code, what the first batch leaves out is thrown far off
    )
    revive: float  # a code of fewer vectors a batch than this is put elsewhere; 0: never


class Quantised(NamedTuple):
    """What a quantiser makes of z."""

    q: torch.Tensor  # [n, d, h, w], with the gradient of z
    codes: torch.Tensor  # [n, h, w] int64
    pull: torch.Tensor  # 0-dim, mean (sg z - e)^2
    commitment: torch.Tensor  # 0-dim, mean (z - sg e)^2
    rows: torch.Tensor  # [n h w, d], z without graph, for `update`


class Quantiser(nn.Module):
    """A codebook `e` [K, d] with the running counts N and sums M; call `start` before the training."""

    def __init__(self, how: Codebook) -> None:
        super().__init__()
        self.how = how
        self.e = nn.Parameter(torch.zeros(how.codes, how.dim), requires_grad=how.update == "gradient")
        self.register_buffer("counts", torch.ones(how.codes))  # N
        self.register_buffer("sums", torch.zeros(how.codes, how.dim))  # M

    @torch.no_grad()
    def start(self, z: torch.Tensor, source: torch.Generator) -> None:
        """Put the codes where `init` says, given a batch z [n, d, h, w] of the encoder (of all processes)."""
        place = choose(INITS, self.how.init, "codebook.init")
        self.e.copy_(place(self._ranged(_rows(z)), self.how.codes, source))
        self.sums.copy_(self.e)
        self.counts.fill_(self.how.weight)

    def forward(self, z: torch.Tensor) -> Quantised:
        """The nearest codes of z [n, d, h, w], found in float32 also under autocast: distances are differences."""
        n, _, h, w = z.shape
        with torch.autocast(z.device.type, enabled=False):
            rows = self._ranged(_rows(z))  # [n h w, d]
            table = self._ranged(self.e)
            k = nearest(rows.detach(), table.detach())
            e = functional.embedding(k, table)
            pull = (rows.detach() - e).square().mean()
            commitment = (rows - e.detach()).square().mean()
            q = e.detach() + (rows - rows.detach())  # z + sg[e - z], but of e's value to the last bit
        return Quantised(_map(q, n, h, w), k.view(n, h, w), pull, commitment, rows.detach())

    def look(self, codes: torch.Tensor) -> torch.Tensor:
        """The vectors [n, d, h, w] of codes [n, h, w]."""
        return _map(functional.embedding(codes.flatten(), self._ranged(self.e)), *codes.shape)

    def loss(self, found: Quantised) -> torch.Tensor:
        """What the codebook adds to the loss of a training; 0-dim."""
        pull = self.how.pull * found.pull if self.how.update == "gradient" else 0.0
        return pull + self.how.commitment * found.commitment

    @torch.no_grad()
    def update(self, found: Quantised, source: torch.Generator) -> None:
        """After a step of training: count, move the codes where that is by averages, revive.

        Of several processes, each with an equal share of the batch, all do the same.
        """
        size = distributed.world()[1]
        n, sums = (distributed.average(part) * size for part in tally(found.rows, found.codes, self.how.codes))
        self.counts.lerp_(n, 1 - self.how.decay)
        if self.how.update == "ema":
            self.sums.lerp_(sums, 1 - self.how.decay)
            self.e.copy_(self.sums / smoothed(self.counts, self.how.smoothing)[:, None])
        if self.how.revive:
            dead, there = self.counts < self.how.revive, anywhere(found.rows, self.how.codes, source)
            self.e.copy_(torch.where(dead[:, None], there, self.e))
            self.sums.copy_(torch.where(dead[:, None], there, self.sums))
            self.counts.masked_fill_(dead, 1.0)  # as at the start: time to be found

    def perplexity(self) -> torch.Tensor:
        """exp of the entropy of the running counts: how many codes are at work now; 0-dim."""
        share = self.counts / self.counts.sum()
        return (-torch.xlogy(share, share).sum()).exp()

    def _ranged(self, x: torch.Tensor) -> torch.Tensor:
        return functional.normalize(x, dim=1) if self.how.distance == "cosine" else x


def nearest(rows: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """argmin_j |z - e_j| = argmin_j |e_j|^2 / 2 - <z, e_j> of rows z [n, d] in `table` [K, d]; [n]."""
    return torch.addmm(table.square().sum(1) / 2, rows, table.T, alpha=-1).argmin(1)


def tally(rows: torch.Tensor, codes: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """How many of `rows` [n, d] each of `size` codes has, [K], and their sum, [K, d]; without synchronisation."""
    k = codes.flatten()
    counts = rows.new_zeros(size).index_add_(0, k, rows.new_ones(len(k)))
    return counts, rows.new_zeros(size, rows.shape[1]).index_add_(0, k, rows)


def smoothed(counts: torch.Tensor, eps: float) -> torch.Tensor:
    """Laplace smoothing that keeps the sum: (N_k + eps) / (N + K eps) N."""
    whole = counts.sum()
    return (counts + eps) / (whole + len(counts) * eps) * whole


def anywhere(rows: torch.Tensor, count: int, source: torch.Generator) -> torch.Tensor:
    """`count` of the rows [n, d] of all processes at random, the same in each; [count, d]."""
    rank, size = distributed.world()
    at = torch.randint(len(rows) * size, (count,), generator=source, device=rows.device) - rank * len(rows)
    mine = (at >= 0) & (at < len(rows))
    return distributed.average(torch.where(mine[:, None], rows[at.clamp(0, len(rows) - 1)], 0)) * size


def usage(codes: torch.Tensor, size: int) -> torch.Tensor:
    """How often each of `size` codes occurs in `codes`, which must be those of a whole data set; [size]."""
    return torch.bincount(codes.flatten(), minlength=size)


def entropy(counts: torch.Tensor) -> float:
    """The entropy in nats of the frequencies that belong to `counts` [K]."""
    share = counts.double() / counts.sum()
    return -torch.xlogy(share, share).sum().item()


def _uniform(rows: torch.Tensor, size: int, source: torch.Generator) -> torch.Tensor:
    return 0.1 * torch.rand(size, rows.shape[1], generator=source, device=rows.device) - 0.05  # as the article's


def _normal(rows: torch.Tensor, size: int, source: torch.Generator) -> torch.Tensor:
    return torch.randn(size, rows.shape[1], generator=source, device=rows.device)


def _data(rows: torch.Tensor, size: int, source: torch.Generator) -> torch.Tensor:
    """Vectors of the encoder, none twice where there are enough."""
    order = torch.randperm(len(rows), generator=source, device=rows.device)
    return rows[order[torch.arange(size, device=rows.device) % len(rows)]]


def _kmeans(rows: torch.Tensor, size: int, source: torch.Generator) -> torch.Tensor:
    """The centres of k-means by Lloyd from `_data`; one that has lost all its vectors stays."""
    table = _data(rows, size, source)
    for _ in range(LLOYD):
        counts, sums = tally(rows, nearest(rows, table), size)
        table = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], table)
    return table


INITS: Choices = {"uniform": _uniform, "normal": _normal, "data": _data, "kmeans": _kmeans}
"""Where codes start: (vectors of the encoder [n, d], K, generator) -> [K, d]."""


def _rows(z: torch.Tensor) -> torch.Tensor:
    """z [n, d, h, w] -> [n h w, d] float32."""
    return z.float().movedim(1, -1).reshape(-1, z.shape[1])


def _map(rows: torch.Tensor, n: int, h: int, w: int) -> torch.Tensor:
    """[n h w, d] -> [n, d, h, w]."""
    return rows.view(n, h, w, -1).movedim(-1, 1)
