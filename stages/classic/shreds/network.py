"""How well a left edge goes on from a right edge, told by a network that reads each edge once.

Article: https://kexue.fm/archives/4100, where a network looks at both edges of a pair. Here the edges of n pieces are
read alone, and all n^2 pairs are one product of matrices:

    s(i, j) = sum_y <r_i[y], l_j[y]>

r and l are convolutions along the cut, over the pixels next to it and the mean ink of the whole row. Trained so that
neighbours win among all pieces of their page, with the pieces of their own row the hardest to tell:

    loss = - log softmax_j s(i, j) - log softmax_i s(i, j)        mean over the joints (i, j) of a page
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from stages.classic.shreds.settings import Size, Training
from stages.core import devices
from stages.nets.optimisers.schedule import piecewise
from stages.nets.threads import one_thread
from stages.nets.training import History, Watch, fit

HEIGHT, WIDTH = 180, 72  # of pieces to learn from
SCALE = 16.0  # of the products, so that they begin small
DULL, NOISE = 0.1, 0.03  # share of pages with a lost pixel, and with noise of this deviation
GAMMA = (0.6, 1.6)  # ink^gamma: other renderers, thinner and bolder
WATCH = Watch(every=50, limit=1e3, least={}, rollbacks=0)


class Network(nn.Module):
    """The fit of all pairs of pieces."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.columns = size.columns
        self.right, self.left = _edge(size), _edge(size)

    def forward(self, ink: torch.Tensor) -> torch.Tensor:
        """ink [n, height, width] -> s [n, n], larger where j follows i."""
        rows = ink.mean(2, keepdim=True)
        right = torch.cat([ink[:, :, -self.columns :].flip(2), rows], 2).transpose(1, 2)
        left = torch.cat([ink[:, :, : self.columns], rows], 2).transpose(1, 2)
        return self.right(right).flatten(1) @ self.left(left).flatten(1).T / SCALE


def _edge(size: Size) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(size.columns + 1, size.channels, 6, stride=2, padding=2),
        nn.GELU(),
        nn.Conv1d(size.channels, size.channels, 5, padding=2),
        nn.GELU(),
        nn.Conv1d(size.channels, size.codes, 1),
    )


def cut(page: np.ndarray, chance: np.random.Generator, loss: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A page cut anew, the first cuts anywhere: pieces [n, HEIGHT, WIDTH] and the table of them, [rows, columns].

    `loss` columns of pixels are gone at each cut.
    """
    width = WIDTH + loss
    page = page[chance.integers(HEIGHT) :, chance.integers(width) :]
    rows, columns = page.shape[0] // HEIGHT, page.shape[1] // width
    cells = page[: rows * HEIGHT, : columns * width].reshape(rows, HEIGHT, columns, width)
    pieces = cells.transpose(0, 2, 1, 3)[..., loss:].reshape(rows * columns, HEIGHT, WIDTH)
    return pieces, np.arange(rows * columns).reshape(rows, columns)


def example(pages: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One of `pages` [n, height, width] of bytes, cut anew: thinner or bolder, at times with loss or with noise."""
    page = (pages[chance.integers(len(pages))].astype(np.float32) / 255) ** chance.uniform(*GAMMA)
    pieces, table = cut(page, chance, int(chance.random() < DULL))
    if chance.random() < DULL:
        pieces = np.clip(pieces + chance.normal(0, NOISE, pieces.shape), 0, 1)
    return pieces.astype(np.float32), table


def loss(fits: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """The sum of both cross entropies, each a mean over the joints of a page; `fits` [n, n], `table` of its pieces."""
    fits = fits.float() - 1e4 * torch.eye(len(fits), device=fits.device)
    before, after = table[:, :-1].flatten(), table[:, 1:].flatten()
    return functional.cross_entropy(fits[before], after) + functional.cross_entropy(fits.T[after], before)


def train(
    pages: np.ndarray, size: Size, params: Training, seed: int, spool: Path | None = None
) -> tuple[Network, History]:
    """Train a network on made `pages` [n, height, width] of bytes 0..255; resumes from `spool`."""
    device = devices.pick(params.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Network(size).to(device)
    forward: Callable = torch.compile(net, dynamic=True) if params.compile and device.type == "cuda" else net
    optimiser = torch.optim.AdamW(net.parameters(), params.rate, weight_decay=0.01)
    factor = piecewise({params.warm_up: 1.0, params.steps: 0.0})

    def step(i: int) -> dict[str, torch.Tensor]:
        pieces, table = example(pages, np.random.default_rng([seed, i]))
        with devices.precision(device, params.bf16):
            fits = forward(torch.from_numpy(pieces).to(device))
        value = loss(fits, torch.from_numpy(table).to(device))
        for group in optimiser.param_groups:
            group["lr"] = params.rate * factor(i)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        return {"loss": value}

    with one_thread():
        history = fit(step, {"net": net, "optimiser": optimiser}, params.steps, WATCH, spool, "edges of shreds")
    return net.cpu(), history
