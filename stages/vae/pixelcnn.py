"""A gated PixelCNN as the law of a grid of codes: two stacks of convolutions that together see all that is before.

Paper: van den Oord et al. 2016 (https://arxiv.org/abs/1606.05328); article: https://kexue.fm/archives/6760.

    vertical     sees the rows above:          v <- gate(conv_v(v) + context)
    horizontal   sees what is left in the row: h <- h + 1x1(gate(conv_h(h) + 1x1(conv_v(v)) + context))
    gate(a, b) = tanh(a) sigmoid(b)

No weights are masked: a convolution that may see p places back is one of p (or, from the second layer on, p + 1)
places over an image padded there. One stack alone would be blind to a cone above on the right. The number: the
gradient of each logit is 0 at its own place and after, and at none before (tests/vae/test_pixelcnn.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.vae.autoregressive import Grid, Network, drawn


class Layer(nn.Module):
    """(v, h) [n, width, side, side] -> (v, h); `first`: of the codes themselves, the own place left out."""

    def __init__(self, width: int, reach: int, first: bool, conditional: bool, dropout: float) -> None:
        super().__init__()
        back, own = reach, 0 if first else 1  # places seen back, and the own one
        self.above, self.left = (reach, reach, back, own - 1), (back, own - 1, 0, 0)  # padding; -1 cuts a row off
        self.vertical = nn.Conv2d(width, 2 * width, (back + own, 2 * reach + 1))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, back + own))
        self.across, self.out = nn.Conv2d(2 * width, 2 * width, 1), nn.Conv2d(width, width, 1)
        self.context = nn.Conv2d(width, 4 * width, 1) if conditional else None
        self.first, self.drop = first, nn.Dropout(dropout)

    def forward(
        self, v: torch.Tensor, h: torch.Tensor, context: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both stacks one layer on."""
        for_v = self.vertical(functional.pad(v, self.above))
        for_h = self.horizontal(functional.pad(h, self.left)) + self.across(for_v)
        if self.context is not None:
            more_v, more_h = self.context(context).chunk(2, 1)
            for_v, for_h = for_v + more_v, for_h + more_h
        found = self.out(self.drop(gate(for_h)))
        return gate(for_v), found if self.first else h + found


class PixelCNN(nn.Module):
    """p(codes) of a grid, or p(codes | context) where `context` is the grid that is given."""

    def __init__(self, net: Network, grid: Grid, context: Grid | None = None) -> None:
        super().__init__()
        if net.kernel < 3 or net.kernel % 2 == 0:
            raise Refusal(f"params.yaml: net.kernel is {net.kernel}, but must be odd and at least 3")
        self.grid = grid
        self.tokens = nn.Embedding(grid.codes, net.width)
        self.context = nn.Embedding(context.codes, net.width) if context else None
        self.around = nn.Conv2d(net.width, net.width, 3, padding=1) if context else None
        reaches = [net.kernel // 2] + [1] * (net.layers - 1)
        self.layers = nn.ModuleList(
            Layer(net.width, reach, i == 0, context is not None, net.dropout) for i, reach in enumerate(reaches)
        )
        last = nn.Conv2d(net.width, grid.codes, 1)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(net.width, net.width, 1), nn.ReLU(), last)

    def forward(self, codes: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """The logits [n, side, side, K] of each place of `codes` [n, side, side], given those before it."""
        return self.logits(self.tokens(codes).movedim(-1, 1), self.seen(context)).movedim(1, -1)

    def seen(self, context: torch.Tensor | None) -> torch.Tensor | None:
        """What the context [n, side', side'] says at each place, [n, width, side, side]."""
        if self.context is None:
            return None
        wide = self.context(context).movedim(-1, 1)
        return self.around(functional.interpolate(wide, size=(self.grid.side, self.grid.side)))

    def logits(self, x: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        """Logits [n, K, rows, side] of embedded codes `x` [n, width, rows, side], the grid's first rows."""
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h, seen)
        return self.head(h)

    @torch.no_grad()
    def sample(self, n: int, context: torch.Tensor | None, temperature: float, source: torch.Generator) -> torch.Tensor:
        """`n` grids of codes [n, side, side]; each place is worked out from the rows down to its own."""
        side, seen = self.grid.side, self.seen(context)
        codes = torch.zeros(n, side, side, dtype=torch.int64, device=self.tokens.weight.device)
        for row in range(side):
            part = None if seen is None else seen[:, :, : row + 1]
            for column in range(side):
                x = self.tokens(codes[:, : row + 1]).movedim(-1, 1)
                codes[:, row, column] = drawn(self.logits(x, part)[:, :, row, column], temperature, source)
        return codes


def gate(x: torch.Tensor) -> torch.Tensor:
    """tanh(a) sigmoid(b) of the halves of x [n, 2 width, h, w]."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()
