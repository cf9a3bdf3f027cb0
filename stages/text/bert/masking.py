"""Which tokens of a text are to be guessed, and what is shown in their places.

Paper: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, section 3.1.

    15 % of the places are asked about; of those 80 % show [MASK], 10 % a token at random, 10 % themselves

As many places are drawn of every row, so that shapes stay and nothing waits for the device; a special token or [PAD]
among them is shown as it is and does not count. Every token is then asked about with the same probability.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from stages.text.bert.vocabulary import SPECIAL, UNUSED

ORDINARY = len(SPECIAL) + len(UNUSED)
"""Number of the first token that is neither special nor unused, in vocabularies of our own."""

MASKED = 0.8


class Asked(NamedTuple):
    """A batch with gaps."""

    shown: torch.Tensor  # [n, t]
    places: torch.Tensor  # [n, k] that were drawn
    targets: torch.Tensor  # [n, k], the tokens there
    counted: torch.Tensor  # [n, k], whether they are ordinary ones


def asked(
    ids: torch.Tensor, share: float, mask: int, size: int, generator: torch.Generator, masked: float = MASKED
) -> Asked:
    """Of `ids` [n, t] a `share` of the places; `masked` of the counted ones become `mask`, half of the rest random.

    `size` is that of the vocabulary; `generator` is of the device of `ids`.
    """
    n, t = ids.shape
    places = torch.rand(n, t, generator=generator, device=ids.device).topk(max(1, round(share * t)), 1).indices
    targets = ids.gather(1, places)
    counted = targets >= ORDINARY
    fate = torch.rand(targets.shape, generator=generator, device=ids.device)
    other = torch.randint(ORDINARY, size, targets.shape, generator=generator, device=ids.device)
    there = torch.where(fate < masked, mask, torch.where(fate < (1 + masked) / 2, other, targets))
    return Asked(ids.scatter(1, places, torch.where(counted, there, targets)), places, targets, counted)
