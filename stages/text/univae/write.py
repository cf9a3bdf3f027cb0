"""Sentences from latents: greedily, by a beam, or by chance; keys and values of what was written are kept.

A step computes one token of every sentence. In the layers with a latent, W_out z is one more place that is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from stages.nets.transformer import Block, rotated
from stages.text.univae.model import UniVAE


@dataclass
class Kept:
    """Keys and values of every layer, [layers, n, heads, 1 + t, head]; the first place is the latent's."""

    keys: torch.Tensor
    values: torch.Tensor

    def chosen(self, rows: torch.Tensor) -> Kept:
        """Those of `rows` [n]."""
        return Kept(self.keys[:, rows], self.values[:, rows])


class Writer:
    """Writes from latents [n, scales, latent], up to `length` tokens with [CLS] and [SEP]."""

    def __init__(self, net: UniVAE, length: int, cls: int, sep: int) -> None:
        self.net, self.length, self.cls, self.sep = net, length, cls, sep
        self.angles = net.body.angles(length)

    def begin(self, latents: torch.Tensor) -> Kept:
        """What is seen before anything is written."""
        net, c = self.net, self.net.body.blocks[0].attention.c
        shape = (len(net.body.blocks), len(latents), c.heads, 1 + self.length, c.head)
        kept = Kept(latents.new_zeros(shape), latents.new_zeros(shape))
        for m, out in enumerate(net.out):
            i = net.first + m
            _, key, value = self._parts(net.body.blocks[i], out(latents[:, m])[:, None], 0)
            kept.keys[i, :, :, :1], kept.values[i, :, :, :1] = key, value
        return kept

    def step(self, tokens: torch.Tensor, place: int, kept: Kept) -> torch.Tensor:
        """log p [n, vocabulary] of what follows `tokens` [n] at `place`, which are added to `kept`."""
        net = self.net
        x = net.body.tokens(tokens) + net.body.segments.weight[1]
        if net.body.places is not None:
            x = x + net.body.places.weight[place]
        x = net.body.norm(x)[:, None]  # [n, 1, dim]
        for i, block in enumerate(net.body.blocks):
            query, key, value = self._parts(block, x, place)
            kept.keys[i, :, :, place + 1 : place + 2], kept.values[i, :, :, place + 1 : place + 2] = key, value
            seen = slice(0 if i >= net.first else 1, place + 2)
            scores = query @ kept.keys[i, :, :, seen].transpose(2, 3) / query.shape[-1] ** 0.5
            heard = scores.softmax(-1) @ kept.values[i, :, :, seen]  # [n, heads, 1, head]
            x = block.norms[0](x + block.attention.out(heard.transpose(1, 2).flatten(2)))
            x = block.norms[1](x + block.ffn(x))
        return net.head(x[:, 0], net.body.tokens.weight).log_softmax(-1)

    def _parts(self, block: Block, x: torch.Tensor, place: int) -> list[torch.Tensor]:
        """Query, key and value [n, heads, 1, head] of x [n, 1, dim]."""
        a = block.attention
        q, k, v = (m(x).unflatten(-1, (a.c.heads, a.c.head)).transpose(1, 2) for m in (a.query, a.key, a.value))
        if self.angles is not None:
            q, k = (rotated(part, self.angles[place : place + 1], pairs=True) for part in (q, k))
        return [q, k, v]

    @torch.no_grad()
    def sample(self, latents: torch.Tensor, temperature: float, chance: torch.Generator | None = None) -> torch.Tensor:
        """Tokens [n, length], [CLS] first and 0 after [SEP]; at temperature 0 always the likeliest.

        `chance` is of the device of the latents.
        """
        kept = self.begin(latents)
        rows = torch.zeros(len(latents), self.length, dtype=torch.long, device=latents.device)
        rows[:, 0] = self.cls
        going = torch.ones(len(latents), dtype=torch.bool, device=latents.device)
        for place in range(self.length - 1):
            log_p = self.step(rows[:, place], place, kept)
            if temperature > 0:
                token = (log_p / temperature).softmax(-1).multinomial(1, generator=chance)[:, 0]
            else:
                token = log_p.argmax(-1)
            token = torch.full_like(token, self.sep) if place == self.length - 2 else token
            rows[:, place + 1] = token * going
            going &= token != self.sep
            if place % 8 == 7 and not going.any():  # a look now and then, as it waits for the device
                break
        return rows

    @torch.no_grad()
    def beam(self, latents: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `width` likeliest that a beam finds: tokens [n, width, length] and log p [n, width], best first."""
        n, device = len(latents), latents.device
        kept = self.begin(latents.repeat_interleave(width, 0))
        rows = torch.zeros(n * width, self.length, dtype=torch.long, device=device)
        rows[:, 0] = self.cls
        score = torch.full((n, width), -torch.inf, device=device)
        score[:, 0] = 0  # all are the same at first
        ended = torch.zeros(n * width, dtype=torch.bool, device=device)
        for place in range(self.length - 1):
            log_p = self.step(rows[:, place], place, kept)
            if place == self.length - 2:
                log_p = self._only(log_p, self.sep)
            log_p = torch.where(ended[:, None], self._only(torch.zeros_like(log_p), 0), log_p)
            size = log_p.shape[-1]
            score, found = (score[..., None] + log_p.view(n, width, size)).flatten(1).topk(width, 1)
            parent = (found // size + width * torch.arange(n, device=device)[:, None]).flatten()
            token = (found % size).flatten()
            rows, kept = rows[parent], kept.chosen(parent)
            rows[:, place + 1] = token
            ended = ended[parent] | (token == self.sep)
            if place % 8 == 7 and ended.all():
                break
        return rows.view(n, width, self.length), score

    @staticmethod
    def _only(log_p: torch.Tensor, token: int) -> torch.Tensor:
        """`log_p` of one token; nothing else may follow."""
        kept = torch.full_like(log_p, -torch.inf)
        kept[:, token] = log_p[:, token]
        return kept
