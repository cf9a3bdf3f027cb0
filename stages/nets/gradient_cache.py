"""The gradient of a large contrastive batch in the memory of a small one.

Article: https://kexue.fm/archives/8471; the same idea is GradCache, Gao et al. 2021 (https://arxiv.org/abs/2101.06983).

    pass 1, without gradients, chunk by chunk:   h = encoder(x)
    dL/dh of the whole batch, from h alone:      h~ = dL / dh
    pass 2, chunk by chunk:                      dL/dtheta = d/dtheta sum_i <h_i, h~_i>,  h~ held constant

Losses that couple samples do not add up over small batches; this is exact for any of them, and costs one more forward
pass. Both passes draw the same dropout: each chunk's states of the random numbers are kept and put back. The surrogate
sum <h, h~> is no loss, and is not told. The number: gradients are those of the whole batch to 1e-10 in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stages.core.errors import Refusal

Batch = torch.Tensor | Mapping[str, Any] | Sequence[Any]
"""A tensor [n, ...], or tensors by name or in order: what an encoder is called with."""


@dataclass(frozen=True)
class Chunk:
    """A part of what one encoder is given."""

    encoder: nn.Module
    args: Sequence[Any]
    names: Mapping[str, Any]
    last: bool  # that this encoder is given

    def encode(self) -> torch.Tensor:
        """Its representations [rows, dim]."""
        return self.encoder(*self.args, **self.names)


def cached_step(
    encoders: Sequence[nn.Module],
    inputs: Sequence[Batch],
    loss: Callable[..., torch.Tensor],
    chunk: int | Sequence[int],
    scaler: Any = None,
    precision: Callable[[], AbstractContextManager] = nullcontext,
) -> torch.Tensor:
    """Add the gradient of loss(h_1, ..., h_k), h_i = encoders[i](inputs[i]) [n_i, dim], to that of the weights.

    Returns the loss, detached. At a time `chunk` samples are encoded (one number, or one an encoder), within
    `precision()`. An encoder may stand in several places, as in SimCSE, where two dropouts of one input are held
    together. `scaler` is a GradScaler. An encoder that is DistributedDataParallel averages once, after its last chunk;
    `loss` is then to gather what all processes have (see stages/nets/contrast.py). Random numbers are repeated that
    come from torch's own generators. Raises `Refusal` for batch norm in training and for other encoders whose buffers
    change as they are used: of chunks they make something else than of the whole.
    """
    chunks = _cut(encoders, inputs, chunk)
    buffers = [(buffer, buffer._version) for encoder in encoders for buffer in encoder.buffers()]
    devices = sorted({weight.device.index for e in encoders for weight in e.parameters() if weight.is_cuda})
    states, rows = [], []
    with torch.no_grad(), precision():
        for part in (part for tower in chunks for part in tower):
            states.append([torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)])
            rows.append(part.encode())
    if any(buffer._version != version for buffer, version in buffers):
        raise Refusal("an encoder's buffers change as it is used: chunks would not give what the whole batch gives")
    torch.clear_autocast_cache()  # in which some versions of torch keep weights that were cast without gradients
    pieces = iter(rows)
    whole = [torch.cat([next(pieces) for _ in tower]).requires_grad_() for tower in chunks]
    with precision():
        value = loss(*whole)
    (value if scaler is None else scaler.scale(value)).backward()
    back = iter(zip(states, rows, strict=True))
    for tower, h in zip(chunks, whole, strict=True):
        done = 0
        for part in tower:
            state, first = next(back)
            if h.grad is not None:
                _again(part, h.grad[done : done + len(first)], state, devices, precision)
            done += len(first)
    return value.detach()


def _again(
    part: Chunk,
    gradient: torch.Tensor,
    state: list[torch.Tensor],
    devices: list[int],
    precision: Callable[[], AbstractContextManager],
) -> None:
    """Encode a chunk with the random numbers that it had, and hand its part of h~ back to the weights."""
    apart = nullcontext() if part.last or not hasattr(part.encoder, "no_sync") else part.encoder.no_sync()
    with apart:
        with torch.random.fork_rng(devices), precision():
            torch.set_rng_state(state[0])
            for device, kept in zip(devices, state[1:], strict=True):
                torch.cuda.set_rng_state(kept, device)
            h = part.encode()
        if h.requires_grad:  # not where an encoder is frozen
            h.backward(gradient)


def _cut(encoders: Sequence[nn.Module], inputs: Sequence[Batch], chunk: int | Sequence[int]) -> list[list[Chunk]]:
    """Every tower's input in chunks; raises `Refusal` for what cannot be cut."""
    sizes = [chunk] * len(encoders) if isinstance(chunk, int) else list(chunk)
    if not encoders or not len(encoders) == len(inputs) == len(sizes):
        raise Refusal(f"{len(encoders)} encoders, {len(inputs)} inputs, {len(sizes)} sizes of chunks: give one each")
    if min(sizes) < 1:
        raise Refusal(f"chunks of {min(sizes)} samples: give whole numbers from 1")
    for part in (part for encoder in encoders for part in encoder.modules()):
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training:
            raise Refusal("batch norm sees a chunk, not the batch: use layer norm, or put it into evaluation mode")
    towers = []
    for place, (encoder, batch, size) in enumerate(zip(encoders, inputs, sizes, strict=True)):
        names = dict(batch) if isinstance(batch, Mapping) else {}
        args = [] if names else [batch] if torch.is_tensor(batch) else list(batch)
        rows = {len(each) for each in (*args, *names.values()) if torch.is_tensor(each)}
        if len(rows) != 1 or rows == {0}:
            raise Refusal(f"input {place} has tensors of {sorted(rows)} rows: give tensors of one number of rows")
        n = rows.pop()
        again = any(encoder is later for later in encoders[place + 1 :])
        towers.append(
            [
                Chunk(
                    encoder,
                    [_rows(each, start, size) for each in args],
                    {name: _rows(each, start, size) for name, each in names.items()},
                    start + size >= n and not again,
                )
                for start in range(0, n, size)
            ]
        )
    return towers


def _rows(value: Any, start: int, size: int) -> Any:
    """That part of a tensor; anything else as it is."""
    return value[start : start + size] if torch.is_tensor(value) else value
