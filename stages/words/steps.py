"""One step of skip-gram: the gradients of all pairs of a batch, by products of matrices (see skipgram.py).

u      [batch, dim]                       the words of the batch as centres
v      [batch + 2w, dim]                  the same and the w before and after, as context
pull   [batch / 16, 16, 16 + 2w]          sigma(-l) of all pairs: u v^T block by block, where a band counts
push   [batch / 128, 128, 64]             -sigma(l) of words against shared noise: u n^T
du = pull v + push n,    dv = pull^T u,    dn = push^T u
"""

from __future__ import annotations

import torch

BLOCK = 16  # centre words of a product
SHARING, SHARED = 128, 64  # so many words share so many words of noise
FARTHEST = 3.0  # rate times the pairs, those with noise too, whose gradients one row takes in one step


class Step:
    """Moves the vectors `u` and `v` [size, dim], in place; `shift` [size] is taken from every <u_i, v_j> by j."""

    def __init__(
        self, u: torch.Tensor, v: torch.Tensor, shift: torch.Tensor, window: int, negatives: int, bf16: bool
    ) -> None:
        self.u, self.v, self.shift = u, v, shift
        self.window, self.negatives, self.bf16 = window, negatives, bf16
        self.places = places(window).to(u.device)
        self.load = torch.zeros(2, len(u), device=u.device)  # pairs of each row of u and v; zero between steps

    def __call__(self, words: torch.Tensor, reach: torch.Tensor, noise: torch.Tensor, rate: torch.Tensor) -> None:
        """Move the vectors by one batch.

        `words` [batch + 2w] int64, the first and last w only as context; `reach` [batch] int64, the row of `places` of
        each word; `noise` [batch / 128 * 64] int64, drawn words.
        """
        centres = words[self.window : len(words) - self.window]
        counted = self.places.index_select(0, reach)  # [batch, 2w + 1]
        pairs = counted.sum(1)  # of each word
        du, dv, dn = self.gradients(centres, words, noise, counted, pairs)
        of_noise = pairs.view(-1, SHARING).sum(1, keepdim=True) * (self.negatives / SHARED)
        of_noise = of_noise.expand(-1, SHARED).reshape(-1)
        load_u, load_v = self.load
        load_u.index_add_(0, centres, pairs * (1 + self.negatives))
        load_v.index_add_(0, centres, pairs).index_add_(0, noise, of_noise)
        self.u.index_add_(0, centres, du * _rate(load_u, centres, rate))
        moves = dv * _rate(load_v, words, rate), dn * _rate(load_v, noise, rate)
        self.v.index_add_(0, words, moves[0]).index_add_(0, noise, moves[1])
        load_u.index_fill_(0, centres, 0)
        load_v.index_fill_(0, centres, 0).index_fill_(0, noise, 0)

    def gradients(
        self,
        centres: torch.Tensor,
        words: torch.Tensor,
        noise: torch.Tensor,
        counted: torch.Tensor,
        pairs: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ascent directions (du [batch, dim], dv [batch + 2w, dim], dn [noise, dim]) of the rows that a batch names."""
        w, dim, kind = self.window, self.u.shape[1], torch.bfloat16 if self.bf16 else torch.float32
        u, v, n = (x.index_select(0, i).to(kind) for x, i in ((self.u, centres), (self.v, words), (self.v, noise)))
        shift_words, shift_noise = (self.shift.index_select(0, i) for i in (words, noise))
        blocks, near = u.view(-1, BLOCK, dim), v.unfold(0, BLOCK + 2 * w, BLOCK)  # near: [batch / 16, dim, 16 + 2w]
        logits = band(torch.bmm(blocks, near), w).float() - shift_words.unfold(0, 2 * w + 1, 1).view(
            -1, BLOCK, 2 * w + 1
        )
        pull = torch.zeros(len(blocks), BLOCK, BLOCK + 2 * w, dtype=kind, device=u.device)
        band(pull, w).copy_(torch.sigmoid(-logits) * counted.view(logits.shape))
        groups, drawn = u.view(-1, SHARING, dim), n.view(-1, SHARED, dim)
        logits = torch.bmm(groups, drawn.transpose(1, 2)).float() - shift_noise.view(-1, 1, SHARED)
        weight = (pairs * (-self.negatives / SHARED)).view(-1, SHARING, 1)
        push = (torch.sigmoid(logits) * weight).to(kind)
        du = torch.bmm(pull, near.transpose(1, 2)).view(-1, SHARING, dim) + torch.bmm(push, drawn)
        dv = folded(torch.bmm(pull.transpose(1, 2), blocks))
        dn = torch.bmm(push.transpose(1, 2), groups)
        return du.view(-1, dim).float(), dv.float(), dn.view(-1, dim).float()


def places(window: int) -> torch.Tensor:
    """Which of the 2w + 1 places around a word count, when `a` words to its left and `b` to its right do.

    Row a (w + 1) + b of [(w + 1)^2, 2w + 1] float32, ones and zeros.
    """
    place, sides = torch.arange(-window, window + 1), torch.arange(window + 1)
    a, b = sides.repeat_interleave(window + 1)[:, None], sides.repeat(window + 1)[:, None]
    return ((place >= -a) & (place <= b) & (place != 0)).float()


def band(blocks: torch.Tensor, window: int) -> torch.Tensor:
    """The diagonals 0..2w of each block, as a view: [n, 16, 16 + 2w] -> [n, 16, 2w + 1]."""
    return blocks.flatten(1).unfold(1, 2 * window + 1, blocks.shape[2] + 1)


def folded(blocks: torch.Tensor) -> torch.Tensor:
    """Overlapping blocks, each 16 rows after the one before, added up: [n, 16 + 2w, dim] -> [16 n + 2w, dim]."""
    n, rows, dim = blocks.shape
    whole = blocks.new_zeros(n + -(-rows // BLOCK) - 1, BLOCK, dim)
    for i, part in enumerate(blocks.split(BLOCK, dim=1)):  # parts of 16 rows do not overlap
        whole[i : i + n, : part.shape[1]] += part
    return whole.view(-1, dim)[: (n - 1) * BLOCK + rows]


def _rate(load: torch.Tensor, rows: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """The rate for `rows`, lower where one has many pairs in the step: a sum of many stale gradients overshoots."""
    return torch.minimum(FARTHEST / load.index_select(0, rows), rate).unsqueeze(1)
