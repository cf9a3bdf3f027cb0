"""Tiger: the sign of one mean, with rates by the size of what they move, and accumulation that needs no buffer.

Article: https://kexue.fm/archives/9512 (and https://kexue.fm/archives/8634 on accumulation).

    m <- b m + (1 - b) g,  theta <- theta - rate s (sign m + l theta)

s is the root mean square of theta, of each row for embeddings, and 1/2 for biases and norms, which have l = 0. With k
micro-steps to a step, chi(t) = 1 where k divides t, else 0:

    m <- ((b - 1) chi(t - 1) + 1) m + (1 - b) g / k,  and theta moves where chi(t) = 1

A gradient that is not finite leaves m alone and draws theta a hundredth of the way to c, where it began: 1 for the
gains of norms, else 0. The number: k micro-batches give what their joint batch gives, to 1e-12 in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.core.params import choose
from stages.nets.optimisers.rule import Rule, zeros

LEAST = 1e-3
"""Smallest root mean square that counts: by the formula weights that begin at 0 would stay there."""


def _by_weight(weights: list[torch.Tensor]) -> Sequence[torch.Tensor]:
    sizes = torch._foreach_div(torch._foreach_norm(weights), [each.numel() ** 0.5 for each in weights])
    return torch.stack(sizes).clamp_min_(LEAST).unbind()


def _by_row(weights: list[torch.Tensor]) -> Sequence[torch.Tensor]:
    return [each.square().mean(-1, keepdim=True).sqrt_().clamp_min_(LEAST) for each in weights]


def _half(weights: list[torch.Tensor]) -> Sequence[torch.Tensor]:
    return weights[0].new_full((len(weights),), 0.5).unbind()


SCALES: dict[str, Callable[[list[torch.Tensor]], Sequence[torch.Tensor]]] = {
    "weight": _by_weight,
    "row": _by_row,
    "half": _half,
}
"""s of weights: one number each, or for `row` one a row [..., 1]."""


class Tiger(Rule):
    """Tiger; a group has a `scale` of SCALES and a `centre` c (see `groups`)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        beta: float = 0.945,  # the article's for images; 0.965 for texts
        weight_decay: float = 0.01,
        k: int = 1,
        shrink: float = 0.99,
        scale: str = "weight",
        centre: float = 0.0,
    ) -> None:
        if k < 1:
            raise Refusal(f"Tiger over {k} micro-steps: k must be a whole number from 1")
        names = {"lr": lr, "beta": beta, "weight_decay": weight_decay, "k": k, "shrink": shrink, "scale": scale}
        super().__init__(params, {**names, "centre": centre})

    def fresh(self, weight: torch.Tensor, group: dict[str, Any]) -> dict[str, torch.Tensor]:
        """m."""
        return {"mean": zeros(weight)}

    def update(
        self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor], states: list[dict]
    ) -> None:
        """One micro-step of m, and of theta where the window is full."""
        k, fine = group["k"], _finite(gradients)  # [weights], 1 or 0
        shares = (fine * (1 - group["beta"])).unbind()
        m = [state["mean"] for state in states]
        for mean, g, share, state in zip(m, gradients, shares, states, strict=True):
            g = g.nan_to_num(0.0, 0.0, 0.0)
            if state["step"] % k == 1 % k:  # the first of a window
                mean.mul_(1 - share)
            mean.addcmul_(g, share, value=1 / k)
        full = [i for i, state in enumerate(states) if state["step"] % k == 0]
        if full:
            _move(group, [weights[i] for i in full], [m[i] for i in full], fine[full])


def _move(group: dict[str, Any], weights: list[torch.Tensor], m: list[torch.Tensor], fine: torch.Tensor) -> None:
    """The step of theta: along sign m where the gradient was `fine`, else towards the centre."""
    signs = torch._foreach_sign(m)
    if group["weight_decay"]:
        torch._foreach_add_(signs, weights, alpha=group["weight_decay"])
    sizes = choose(SCALES, group["scale"], "scale of Tiger")(weights)
    torch._foreach_addcmul_(weights, signs, torch._foreach_mul(sizes, (-group["lr"] * fine).unbind()))
    pull = (1 - fine) * (1 - group["shrink"])
    torch._foreach_mul_(weights, (1 - pull).unbind())
    if group["centre"]:
        torch._foreach_add_(weights, (pull * group["centre"]).unbind())


def _finite(gradients: list[torch.Tensor]) -> torch.Tensor:
    """1 for each gradient that is finite, else 0; on the device, so that nothing waits for it."""
    wide = torch.promote_types(gradients[0].dtype, torch.float32)
    return torch.stack([g.sum(dtype=wide) for g in gradients]).isfinite().to(gradients[0].dtype)


def groups(net: nn.Module, weight_decay: float = 0.01) -> list[dict[str, Any]]:
    """The weights of `net` as Tiger's groups: matrices, embeddings, gains of norms, and biases."""
    rows = {id(part.weight) for part in net.modules() if isinstance(part, nn.Embedding)}
    found: dict[str, list[nn.Parameter]] = {"matrix": [], "embedding": [], "gain": [], "bias": []}
    for name, weight in net.named_parameters():
        if not weight.requires_grad:
            continue
        if weight.dim() > 1:
            found["embedding" if id(weight) in rows else "matrix"].append(weight)
        else:
            found["gain" if name.endswith("weight") else "bias"].append(weight)
    how = {
        "matrix": {"scale": "weight", "centre": 0.0, "weight_decay": weight_decay},
        "embedding": {"scale": "row", "centre": 0.0, "weight_decay": weight_decay},
        "gain": {"scale": "half", "centre": 1.0, "weight_decay": 0.0},
        "bias": {"scale": "half", "centre": 0.0, "weight_decay": 0.0},
    }
    return [{"params": weights, **how[kind]} for kind, weights in found.items() if weights]
