"""The one training loop: steps that do not wait for the device, watched, kept on the way, resumed to the same bytes.

A step returns tensors that stay on the device until `every` steps have gathered; then all are fetched and looked at
at once. What diverged ends in one sentence, or goes back to the last good state with half the learning rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from stages.core.checkpoints import Checkpoint
from stages.core.distributed import average, averaged
from stages.core.errors import Refusal
from stages.core.progress import counting, say

Part = nn.Module | torch.optim.Optimizer | torch.Generator | torch.Tensor
Step = Callable[[int], Mapping[str, torch.Tensor]]
History = dict[str, list[float]]

BETWEEN_CHECKPOINTS = 10.0  # seconds


@dataclass(frozen=True)
class Watch:
    """Params of looking after a training."""

    every: int  # steps between looks
    limit: float  # a recorded number larger than this, or none at all, is a divergence
    least: dict[str, float]  # and so is one of these names below this: the spread of samples, say
    rollbacks: int  # times to go back and halve the learning rates; then, or with 0, the training ends


def draw(data: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """`size` rows of `data` [n, ...] at random, with repetition; `generator` is of the same device."""
    return data[torch.randint(len(data), (size,), generator=generator, device=data.device)]


def differentiate(loss: torch.Tensor, weights: Sequence[nn.Parameter]) -> None:
    """Put the gradients of `loss`, averaged over the processes, into the `grad` of `weights`, None where there is none.

    Unlike `backward` it leaves all other weights alone, and does not add up. Gradients get the layout of their
    weights: torch's fused Adam takes the numbers as they lie, and goes astray where a gradient lies otherwise.
    """
    found = averaged(torch.autograd.grad(loss, weights, allow_unused=True))
    for weight, gradient in zip(weights, found, strict=True):
        if gradient is not None and gradient.stride() != weight.stride():
            gradient = torch.empty_like(weight).copy_(gradient)
        weight.grad = gradient


def fade(optimiser: torch.optim.Optimizer, rate: float, step: int, steps: int) -> None:
    """Set the learning rate of `step`: `rate`, and over the last half of `steps` falling to 0."""
    for group in optimiser.param_groups:
        group["lr"] = rate * min(1.0, 2 - 2 * step / steps)


def fit(
    step: Step, parts: Mapping[str, Part], steps: int, watch: Watch, spool: Path | None = None, what: str = "training"
) -> History:
    """Call step(0), ..., step(steps - 1), each giving 0-dim tensors by name; returns them as a column a name.

    `parts` is all that changes: modules, optimisers, generators, tensors. With `spool` a training that was killed goes
    on from its last checkpoint, on the CPU to the same bytes. Raises `Refusal` where it diverges.
    """
    checkpoint = Checkpoint(spool) if spool else None
    history: History = {}
    done, backs, saved_at = 0, 0, time.monotonic()
    if checkpoint and (saved := checkpoint.load()):
        restore(parts, saved[0])
        done, backs, history = (saved[1][name] for name in ("done", "backs", "history"))
    good = state(parts) if watch.rollbacks else None
    with counting(what, steps, "steps") as advance:
        advance(done)
        while done < steps:
            end = min(done + watch.every, steps)
            found = _columns([step(i) for i in range(done, end)])
            if wrong := _diverged(found, watch):
                name, at, value = wrong
                told = f"{what} diverged at step {done + at}: {name} is {value:g}"
                if backs == watch.rollbacks or good is None:
                    kept = f"; the last good state, of step {done}, is in {checkpoint.path}" if checkpoint else ""
                    raise Refusal(f"{told}{kept}: lower the learning rates, or allow more `rollbacks`")
                backs += 1
                restore(parts, good)
                halved(parts)
                good = state(parts)
                say(f"{told}; back to step {done} with half the learning rates")
                continue
            for name, column in found.items():
                history.setdefault(name, []).extend(column)
            advance(end - done, _note(found))
            done = end
            good = state(parts) if watch.rollbacks else None
            if checkpoint and time.monotonic() - saved_at > BETWEEN_CHECKPOINTS:
                checkpoint.save(good or state(parts), {"done": done, "backs": backs, "history": history})
                saved_at = time.monotonic()
    return history


def _columns(rows: list[Mapping[str, torch.Tensor]]) -> History:
    """One synchronisation for all steps and names."""
    names = list(rows[0]) if rows else []
    if not names:
        return {}
    stacked = torch.stack([torch.stack([row[name].detach().float() for name in names]) for row in rows])
    fetched = average(stacked).cpu()  # over the processes, so that all see one record
    return {name: fetched[:, i].tolist() for i, name in enumerate(names)}


def _diverged(found: History, watch: Watch) -> tuple[str, int, float] | None:
    """Name, place and value of the first number that is none or beyond its bounds."""
    wrong = [
        (at, name, value)
        for name, column in found.items()
        for at, value in enumerate(column)
        if not math.isfinite(value) or abs(value) > watch.limit or value < watch.least.get(name, -math.inf)
    ]
    if not wrong:
        return None
    at, name, value = min(wrong)
    return name, at, value


def _note(found: History) -> str:
    return "  ".join(f"{name} {sum(column) / len(column):.3g}" for name, column in found.items())


def state(parts: Mapping[str, Part]) -> dict[str, torch.Tensor]:
    """Everything in `parts` as named tensors, copied."""
    found: dict[str, torch.Tensor] = {}
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            found |= {f"{name}/{key}": value for key, value in part.state_dict().items()}
        elif isinstance(part, torch.optim.Optimizer):
            whole = part.state_dict()
            rates = [group["lr"] for group in whole["param_groups"]]
            found[f"{name}/rates"] = torch.tensor(rates, dtype=torch.float64)
            for index, values in whole["state"].items():
                found |= {f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in values.items()}
        elif isinstance(part, torch.Generator):
            found[name] = part.get_state()
        else:
            found[name] = part
    return {name: value.detach().clone() for name, value in found.items()}


@torch.no_grad()
def restore(parts: Mapping[str, Part], kept: Mapping[str, torch.Tensor]) -> None:
    """Put what `state` gave back in place. Raises `Refusal` where a part is not in it."""
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in kept.items() if key.startswith(f"{name}/")}
        if not own and name not in kept:
            raise Refusal(f"the checkpoint holds no '{name}': remove it and start anew")
        if isinstance(part, nn.Module):
            part.load_state_dict(own)
        elif isinstance(part, torch.optim.Optimizer):
            rates = own.pop("rates").tolist()
            values: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in own.items():
                index, field = key.split("/")
                values.setdefault(int(index), {})[field] = value.clone()
            part.load_state_dict({"state": values, "param_groups": part.state_dict()["param_groups"]})
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate
        elif isinstance(part, torch.Generator):
            part.set_state(kept[name].cpu())
        else:
            part.copy_(kept[name])


def halved(parts: Mapping[str, Part]) -> None:
    """Halve the learning rates of the optimisers among `parts`."""
    for part in parts.values():
        if isinstance(part, torch.optim.Optimizer):
            for group in part.param_groups:
                group["lr"] /= 2
