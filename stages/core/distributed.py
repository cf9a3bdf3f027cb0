"""One training on several processes: what a system's `train` needs of torch's DistributedDataParallel.

    with distributed.joined(params.device) as device:
        model = Model().to(device)
        network = distributed.parallel(model)             # for forward; parameters and weights are those of `model`
        optimiser = torch.optim.Adam(model.parameters())
        for x, y in batches:                              # the whole batch, the same in every process
            x, y = distributed.share(x), distributed.share(y)
            loss = distributed.mean(losses(network(x), y))
            ...                                           # backward and step as ever
            history.append(distributed.average(loss).item())

The row's `gpus` in params.yaml says how many processes (see stages/core/torchrun.py); with 1 all this is the plain
thing. Each process draws what one alone would draw, batches and noise alike, and works on its share of it. So N give
the weights that one gives, up to the order in which float32 is summed: within 1e-6 of the largest weight after 60 steps
of Adam (1e-7 measured, 4e-7 after 600 steps, 3e-6 after 3000), and further apart where a training is chaotic. Dropout
draws inside the network and is alike only in distribution. The same N gives the same bytes on the CPU. As results
depend on it a little, `gpus` counts in DVC's hash like any param of a training.

A `Checkpoint` is saved by the first process and loaded by all: load it inside `joined`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stages.core import devices
from stages.core.errors import Refusal

if TYPE_CHECKING:
    import torch

MEETING = "QUJING_MEETING"
"""The variable with the address at which processes find each other; torch's own variables hold without it."""

_met = False  # whether this process has joined the others


def world() -> tuple[int, int]:
    """(rank, size): which process this is among how many; (0, 1) where torchrun did not start it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


@contextmanager
def joined(name: str) -> Iterator[torch.device]:
    """Join the processes of this training for the time of the block; yields this one's device.

    `name` is as in `devices.pick`; on CUDA each process has a GPU of its own. No process leaves the block before all
    have come to its end. Raises `Refusal` where the machine has fewer GPUs than processes.
    """
    import torch.distributed as dist

    global _met
    rank, size = world()
    if size == 1:
        yield devices.pick(name)
        return
    device = _own(name, size)
    address, cuda = os.environ.get(MEETING, "env://"), device.type == "cuda"
    dist.init_process_group(
        "nccl" if cuda else "gloo", address, rank=rank, world_size=size, device_id=device if cuda else None
    )
    _met = True
    yield device
    dist.barrier()  # where another one failed, all wait here for torchrun to end them
    dist.destroy_process_group()


def parallel(module: torch.nn.Module) -> torch.nn.Module:
    """`module`, its gradients averaged over the processes in `backward`; itself where there is but one.

    Call it for the forward pass, and take parameters and weights from `module`. Batch norm is made to see the whole
    batch on GPUs and raises `Refusal` on the CPU, where torch has none that does.
    """
    from torch import nn

    if world()[1] == 1:
        return module
    return nn.parallel.DistributedDataParallel(synchronised(module))


def synchronised(module: torch.nn.Module) -> torch.nn.Module:
    """`module`, its batch norms made to see the whole batch where several processes train; see `parallel`."""
    from torch import nn

    if world()[1] == 1:
        return module
    if any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) for part in module.modules()):
        if next(module.parameters()).device.type == "cpu":
            raise Refusal("batch norm sees only a process' share of a batch on the CPU: set the row's gpus to 1")
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    return module


def averaged(gradients: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
    """Gradients of the means over equal shares of a batch, averaged over the processes; None stays None."""
    import torch
    import torch.distributed as dist

    size = world()[1]
    if size == 1:
        return list(gradients)
    there = [gradient for gradient in gradients if gradient is not None]
    flat = torch.cat([gradient.flatten() for gradient in there])  # one message for all
    dist.all_reduce(flat)
    parts = iter((flat / size).split([gradient.numel() for gradient in there]))
    return [None if gradient is None else next(parts).view_as(gradient) for gradient in gradients]


def share(batch: Any) -> Any:
    """This process' consecutive part of a whole batch [batch, ...]: a tensor, an array or a list; parts may be uneven.

    Raises `Refusal` where the batch has fewer rows than there are processes.
    """
    rank, size = world()
    if len(batch) < size:
        raise Refusal(f"a batch of {len(batch)} has nothing for some of {size} processes: lower the row's gpus")
    return batch[len(batch) * rank // size : len(batch) * (rank + 1) // size]


def mean(losses: torch.Tensor) -> torch.Tensor:
    """The loss to call `backward` on, from this process' losses (any shape, one an example or token).

    After averaging over processes its gradient is that of the mean over all losses of all processes, however many each
    has; a scalar.
    """
    import torch
    import torch.distributed as dist

    size = world()[1]
    if size == 1:
        return losses.mean()
    count = torch.tensor(losses.numel(), device=losses.device)
    dist.all_reduce(count)
    return losses.sum() * size / count


def common(value: torch.Tensor) -> torch.Tensor:
    """`value`, a mean over this process' equal share of a batch, averaged over the processes with its gradient.

    For a mean that a loss is not linear in. Every process must call it, and differentiate what it gives.
    """
    import torch
    import torch.distributed as dist

    class Sum(torch.autograd.Function):
        """The sum over processes: each one's gradient is the sum of all that was made of it."""

        @staticmethod
        def forward(ctx: Any, mine: torch.Tensor) -> torch.Tensor:
            total = mine.clone()
            dist.all_reduce(total)
            return total

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            total = gradient.clone()
            dist.all_reduce(total)
            return total

    size = world()[1]
    return value if size == 1 else Sum.apply(value) / size


def gathered(rows: torch.Tensor) -> torch.Tensor:
    """`rows` [n, ...] of all processes in order, [size n, ...]; itself where there is but one.

    For losses that hold all rows against one another. Every process must compute the same loss of what this gives: its
    gradient then is that of the whole after gradients are averaged over processes. Raises `Refusal` for uneven shares.
    """
    import torch
    import torch.distributed as dist

    rank, size = world()
    if size == 1:
        return rows

    class Gather(torch.autograd.Function):
        """All rows; back comes the gradient of one's own, times the processes that it is averaged over."""

        @staticmethod
        def forward(ctx: Any, mine: torch.Tensor) -> torch.Tensor:
            counts = [torch.zeros((), dtype=torch.int64, device=mine.device) for _ in range(size)]
            dist.all_gather(counts, torch.tensor(len(mine), device=mine.device))
            if len({int(count) for count in counts}) > 1:
                raise Refusal(f"a contrastive batch cannot be shared evenly among {size} processes: change its size")
            all_rows = [torch.empty_like(mine) for _ in range(size)]
            dist.all_gather(all_rows, mine.contiguous())
            return torch.cat(all_rows)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient.chunk(size)[rank] * size

    return Gather.apply(rows)


def average(value: torch.Tensor) -> torch.Tensor:
    """`value` averaged over the processes, detached: of what `mean` returns, the loss of the whole batch."""
    import torch.distributed as dist

    size = world()[1]
    value = value.detach().clone()
    if size > 1:
        dist.all_reduce(value)
    return value / size


def check() -> None:
    """Raise `Refusal` where this is one of several processes and its training never joined the others."""
    size = world()[1]
    if size > 1 and not _met:
        raise Refusal(
            f"its row in params.yaml says gpus: {size}, but its training is written for one process: set it to 1"
        )


def _own(name: str, size: int) -> torch.device:
    """The device of this process among `size`: the CPU for all, or a GPU for each."""
    import torch

    have = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not have):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise Refusal(
            f"device '{devices.pick(name)}' is one GPU, but {size} processes need as many: set device to cuda or cpu"
        )
    if have < int(os.environ["LOCAL_WORLD_SIZE"]):
        raise Refusal(
            f"its row in params.yaml says gpus: {size}, but this machine has {have}: lower gpus, or set device to cpu"
        )
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device
