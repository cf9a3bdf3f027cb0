"""A small causal Transformer as the law of a grid of codes, read row by row.

Article: https://kexue.fm/archives/6760 (its "PixelAtt"): a start token, embeddings of tokens, rows and columns, and
attention that looks back only. Unlike there, blocks are pre-norm with a layer of four times the width, and a place's
embedding is that of the code to come. What the grid is conditioned on stands before the start token.

    x -> x + attention(norm x) -> x + mlp(norm x)

Sampling keeps the keys and values of what was read: one token a step, not all. The number: cached and plain logits
are the same to 1e-5 (tests/vae/test_causal.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.vae.autoregressive import Grid, Network, drawn

Kept = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values [n, heads, read, width / heads] of each layer."""


class Block(nn.Module):
    """x [n, t, width] -> the same, each place having looked at those before it and at itself."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.heads, self.dropout = net.heads, net.dropout
        self.before, self.after = nn.LayerNorm(net.width), nn.LayerNorm(net.width)
        self.qkv, self.out = nn.Linear(net.width, 3 * net.width), nn.Linear(net.width, net.width)
        self.mlp = nn.Sequential(nn.Linear(net.width, 4 * net.width), nn.GELU(), nn.Linear(4 * net.width, net.width))
        self.drop = nn.Dropout(net.dropout)

    def forward(
        self, x: torch.Tensor, past: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """The block's output, and its keys and values; with `past`, x is the one place that follows it."""
        q, k, v = self.qkv(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=past is None)
        x = x + self.drop(self.out(seen.transpose(1, 2).flatten(2)))
        return x + self.drop(self.mlp(self.after(x))), (k, v)


class Transformer(nn.Module):
    """p(codes) of a grid, or p(codes | context) where `context` is the grid that is given."""

    def __init__(self, net: Network, grid: Grid, context: Grid | None = None) -> None:
        super().__init__()
        if net.width % net.heads:
            raise Refusal(f"params.yaml: net.width {net.width} is no multiple of net.heads {net.heads}")
        self.grid = grid
        self.tokens = nn.Embedding(grid.codes + 1, net.width)  # the last is the start token
        self.places = Places(grid, net.width)
        self.context = nn.Embedding(context.codes, net.width) if context else None
        self.context_places = Places(context, net.width) if context else None
        self.blocks = nn.ModuleList(Block(net) for _ in range(net.layers))
        self.head = nn.Sequential(nn.LayerNorm(net.width), nn.Linear(net.width, grid.codes))
        for embedding in (part for part in self.modules() if isinstance(part, nn.Embedding)):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, codes: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """The logits [n, side, side, K] of each place of `codes` [n, side, side], given those before it."""
        n, side, _ = codes.shape
        before = codes.flatten(1)[:, :-1]  # [n, side^2 - 1]
        first = self.first(n, context)
        x = torch.cat([first, self.tokens(before) + self.places()[1:]], 1)  # [n, read + side^2 - 1, width]
        for block in self.blocks:
            x, _ = block(x)
        return self.head(x[:, first.shape[1] - 1 :]).view(n, side, side, -1)

    def first(self, n: int, context: torch.Tensor | None) -> torch.Tensor:
        """What is read before the first code: the context [n, side', side'] if there is one, and the start token."""
        start = (self.tokens.weight[-1] + self.places()[0]).expand(n, 1, -1)
        if self.context is None:
            return start
        return torch.cat([self.context(context.flatten(1)) + self.context_places(), start], 1)

    def step(self, x: torch.Tensor, kept: Kept | None) -> tuple[torch.Tensor, Kept]:
        """Logits [n, K] of the code that follows `x` [n, t, width], and what to keep for the next step."""
        now: Kept = []
        for i, block in enumerate(self.blocks):
            x, pair = block(x, kept[i] if kept else None)
            now.append(pair)
        return self.head(x[:, -1]), now

    @torch.no_grad()
    def sample(self, n: int, context: torch.Tensor | None, temperature: float, source: torch.Generator) -> torch.Tensor:
        """`n` grids of codes [n, side, side]; dropout is as the module's mode says."""
        x, kept, codes, places = self.first(n, context), None, [], self.places()
        for place in range(1, len(places) + 1):
            logits, kept = self.step(x, kept)
            codes.append(drawn(logits, temperature, source))
            if place < len(places):
                x = (self.tokens(codes[-1]) + places[place])[:, None]
        return torch.stack(codes, 1).view(n, self.grid.side, self.grid.side)


class Places(nn.Module):
    """Embeddings [side^2, width] of places: of their row and their column, added."""

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        self.row, self.column = nn.Embedding(grid.side, width), nn.Embedding(grid.side, width)

    def forward(self) -> torch.Tensor:
        """All places, row by row."""
        return (self.row.weight[:, None] + self.column.weight).flatten(0, 1)
