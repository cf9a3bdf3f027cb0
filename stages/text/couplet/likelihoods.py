"""What a network says second lines are worth, by two laws, both normalised over all lines of the length.

one pass    log p(second_i | first)                                  every character by itself
chained     log p(second_i | first, second_1 .. second_{i-1})        by the chain rule, from left to right
"""

from __future__ import annotations

import torch
from torch import nn

from stages.text.couplet.networks import masked


@torch.inference_mode()
def one_pass(net: nn.Module, first: torch.Tensor, second: torch.Tensor, classes: int) -> torch.Tensor:
    """The first law for lines [n, t] of one length, nats [n, t]."""
    logs = net(first, masked(second, classes)).float().log_softmax(-1)  # [n, t, classes]
    return logs.gather(-1, second[..., None]).squeeze(-1)


@torch.inference_mode()
def chained(net: nn.Module, first: torch.Tensor, second: torch.Tensor, classes: int) -> torch.Tensor:
    """The second law, for a network with `states` and `logits`, nats [n, t]."""
    n, t = second.shape
    hidden = torch.ones(t, t, dtype=torch.bool, device=second.device).triu()  # the i-th row shows i characters
    shown = second.repeat_interleave(t, 0).masked_fill(hidden.repeat(n, 1), classes)  # [n t, t]
    states = net.states(first.repeat_interleave(t, 0), shown).unflatten(0, (n, t))
    logs = net.logits(states.diagonal(dim1=1, dim2=2).transpose(1, 2)).float().log_softmax(-1)  # [n, t, classes]
    return logs.gather(-1, second[..., None]).squeeze(-1)
