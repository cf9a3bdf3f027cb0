"""What stands on the encoder: a class of a text, or one of several candidates; spans are in pointer.py.

class        softmax over classes of W h             h: the first token, or mean or maximum of all
candidate    softmax over candidates of w . h        each candidate read with the text
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.core.params import Choices, choose
from stages.text.bert.model import PAD, Encoder, initial
from stages.text.clue.samples import Batch


def first(hidden: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """[..., t, dim] and which tokens are there [..., t] -> [..., dim]: the first."""
    return hidden[..., 0, :]


def mean(hidden: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """The mean of those that are there."""
    return (hidden * there[..., None]).sum(-2) / there.sum(-1, keepdim=True).clamp(min=1)


def largest(hidden: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """The maximum of those that are there; 0 where none is."""
    top = hidden.masked_fill(~there[..., None], -torch.inf).amax(-2)
    return top.masked_fill(~there.any(-1, keepdim=True), 0.0)


POOLS: Choices = {"first": first, "mean": mean, "max": largest}


class Classifier(nn.Module):
    """One of `classes`, of samples of one text each."""

    def __init__(self, dim: int, classes: int, pool: str) -> None:
        super().__init__()
        self.pool, self.out = choose(POOLS, pool, "pool"), nn.Linear(dim, classes)
        self.apply(initial)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """hidden [n, 1, t, dim] -> scores [n, classes]."""
        return self.out(self.pool(hidden, batch.ids != PAD)[:, 0])

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean cross entropy, nats."""
        return functional.cross_entropy(scores.float(), targets)

    def answers(self, scores: torch.Tensor) -> list[list[float]]:
        """The scores of each sample."""
        return scores.float().tolist()


class Chooser(nn.Module):
    """One of the candidates; a candidate that is not there has score -inf."""

    def __init__(self, dim: int, pool: str) -> None:
        super().__init__()
        self.pool, self.out = choose(POOLS, pool, "pool"), nn.Linear(dim, 1)
        self.apply(initial)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """hidden [n, c, t, dim] -> scores [n, c]."""
        there = batch.ids != PAD
        return self.out(self.pool(hidden, there))[..., 0].masked_fill(~there[..., 0], -torch.inf)

    loss = Classifier.loss
    answers = Classifier.answers


class Net(nn.Module):
    """An encoder and a head."""

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, batch: Batch) -> torch.Tensor:
        """The scores of the head."""
        hidden = self.encoder(batch.ids.flatten(0, 1))  # [n c, t, dim]
        return self.head(hidden.unflatten(0, batch.ids.shape[:2]), batch)
