"""What a network costs, by numbers that are the same on every machine.

Weights; FLOPs of one forward pass of one sample (products of matrices and convolutions, a multiplication and an
addition counting two, so Fourier transforms count none); bytes that a step keeps for its backward pass; bytes of the
optimiser's state. Steps per second are facts of a machine, and not told here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """What a network costs."""

    parameters: int
    flops: int  # of the forward pass of one sample
    kept_bytes: int  # that a step keeps for its backward pass
    state_bytes: int  # of the optimiser


def cost(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    x: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
) -> Cost:
    """What a trained `net` with its `optimiser` costs; `loss` is of the outputs for the batch `x` [n, ...]."""
    net.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        net(x[:1])
    net.train()
    held = {weight.untyped_storage().data_ptr() for weight in (*net.parameters(), *net.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(net(x))
    state = [value for values in optimiser.state.values() for value in values.values() if torch.is_tensor(value)]
    return Cost(
        parameters=sum(weight.numel() for weight in net.parameters()),
        flops=counted.get_total_flops(),
        kept_bytes=sum(kept.values()),
        state_bytes=sum(value.numel() * value.element_size() for value in state if value.dim()),
    )
