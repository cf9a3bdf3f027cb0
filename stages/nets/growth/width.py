"""A trained Transformer made k times as wide, computing the same function.

Article: https://kexue.fm/archives/8444, of which two things are mended: the bias of the second feed-forward layer is
divided by sqrt k, not by k, and the eps of norms by k.

A space is what one axis of weights lies in. It is enlarged by copying coordinates: x~_j = s_j x_{index_j}.

    stream      each coordinate k times side by side, s = 1 / sqrt k: norms of vectors stay
    query, key  heads k times as wide, s = k^(-1/4), as scores are divided by sqrt(k head); or k times the heads, s = 1
    value       s = 1 / sqrt k; or k times the heads, s = 1
    hidden      of the feed-forward layer, s = 1: any activation may follow
    gate        s = 1 / sqrt k, and so has what it gates

All of the article's table then is one formula. A layer y = W x + b from a space with k copies and scale s to one of
scale t, and its gradients, which each copy has its share of:

    W~_ij = t_i / (k s_j) W_{index_i, index_j},    b~ = t b_index,    g~ = g / (factor * copies of the entry)

The number: logits stay to 1e-12 in float64, for every kind of model in `transformer.py`
(tests/nets/test_transformer_growth.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch

import torch

from stages.core.errors import Refusal
from stages.nets.growth.names import OURS, Layer
from stages.nets.transformer import Config

State = Mapping[str, torch.Tensor]

MODES = ("head_dim", "heads")


@dataclass(frozen=True, eq=False)
class Space:
    """x~_j = scale_j x_{index_j}; each coordinate `copies` times."""

    index: torch.Tensor  # int64 [new width]
    scale: torch.Tensor  # float64 [new width]
    copies: int


def spaces(c: Config, k: int, mode: str) -> dict[str, Space]:
    """Every space of a model. Raises `Refusal` for a k or a mode that there is not."""
    if k < 1 or mode not in MODES:
        raise Refusal(f"a model grows by a whole k from 1 in mode {' or '.join(MODES)}, not by {k} in mode '{mode}'")
    wider = mode == "head_dim"

    def repeated(width: int, scale: float) -> Space:
        return _space(torch.arange(width).repeat_interleave(k), scale, k)

    def headed(heads: int, scale: float, pairs: bool = False) -> Space:
        index = torch.arange(heads * c.head).view(heads, -1, 2 if pairs else 1)
        index = index.repeat_interleave(k, 1) if wider else index.repeat(k, 1, 1)
        return _space(index.flatten(), scale if wider else 1.0, k)

    root, pairs = k**-0.5, c.positions == "rope_pairs"
    score = k**-0.25 if c.scaled else root
    return {
        "stream": repeated(c.dim, root),
        "query": headed(c.heads, score, pairs),
        "key": headed(c.groups, score, pairs),
        "value": headed(c.groups, root),
        "heard": headed(c.heads, root),  # what attention gives, a part a head
        "hidden": repeated(c.hidden, 1.0),
        "gate": repeated(c.hidden, root),
        "gated": repeated(c.hidden, root if c.activation == "swiglu" else 1.0),
        "pooled": repeated(c.dim, 1.0),  # after a dense layer with an activation
        "frequencies": repeated(c.head // 2, 1.0) if wider else _space(torch.arange(c.head // 2), 1.0, 1),
        "slopes": _space(torch.arange(c.heads).repeat(1 if wider else k), 1.0, 1),
    }


def _space(index: torch.Tensor, scale: float, copies: int) -> Space:
    return Space(index, torch.full(index.shape, scale, dtype=torch.float64), copies)


def grow(
    state: State, config: Config, k: int, mode: str = "head_dim", noise: float = 0.0, seed: int = 0,
    layers: Mapping[str, Layer] = OURS,
) -> tuple[dict[str, torch.Tensor], Config]:  # fmt: skip
    """The state and config of the model k times as wide; with `noise`, its copies differ (see `differing`).

    `layers` says what the names of the state are, where they are not those of `Transformer`. Raises `Refusal` for a
    tensor that is none of them, of another size than `config` says, or not of floating point.
    """
    known = spaces(config, k, mode)
    plans = {name: _plan(name, tensor, known, layers) for name, tensor in state.items()}
    grown = {name: plan.grown(state[name]) for name, plan in plans.items()}
    if noise:
        generator = torch.Generator().manual_seed(seed)
        grown = {name: differing(grown[name], plan, noise, generator) for name, plan in plans.items()}
    wider = (
        {"head": k * config.head} if mode == "head_dim" else {"heads": k * config.heads, "groups": k * config.groups}
    )
    return grown, replace(config, dim=k * config.dim, hidden=k * config.hidden, eps=config.eps / k, **wider)


def grow_adam(
    moments: State, config: Config, k: int, mode: str = "head_dim", power: int = 1, layers: Mapping[str, Layer] = OURS
) -> dict[str, torch.Tensor]:
    """Adam's averages of gradients (`power` 1) or their squares (2), by the names of weights, for the grown model."""
    known = spaces(config, k, mode)
    return {name: _plan(name, moment, known, layers).moment(moment, power) for name, moment in moments.items()}


@dataclass(frozen=True)
class Plan:
    """How one tensor is copied: an index of each axis, and the factor of each new entry."""

    axes: tuple[torch.Tensor | None, ...]  # None: as it is
    factor: torch.Tensor  # float64, to be broadcast
    copies: int  # of each entry
    inputs: tuple[int, Space] | None  # the axis that sums over copies, and its space

    def taken(self, tensor: torch.Tensor) -> torch.Tensor:
        """The entries copied."""
        for axis, index in enumerate(self.axes):
            tensor = tensor if index is None else tensor.index_select(axis, index.to(tensor.device))
        return tensor

    def grown(self, tensor: torch.Tensor) -> torch.Tensor:
        """factor * copies."""
        return self.taken(tensor) * self.factor.to(tensor)

    def moment(self, tensor: torch.Tensor, power: int) -> torch.Tensor:
        """What gradients, to the `power`, are of the copies."""
        return self.taken(tensor) / (self.factor.to(tensor) * self.copies) ** power


def differing(tensor: torch.Tensor, plan: Plan, noise: float, generator: torch.Generator) -> torch.Tensor:
    """`tensor` and `noise` times its deviation of normal noise, which sums to 0 over the copies of each input.

    The copies of an input are equal, so the function stays; gradients of copies differ from here on. Tensors that do
    not sum over copies stay.
    """
    if plan.inputs is None or plan.inputs[1].copies == 1:
        return tensor
    axis, space = plan.inputs
    z = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).movedim(axis, -1)
    order = space.index.argsort(stable=True)
    groups = z[..., order].unflatten(-1, (-1, space.copies))  # [.., old width, copies]
    z = (groups - groups.mean(-1, keepdim=True)).flatten(-2)[..., order.argsort()].movedim(-1, axis)
    return tensor + (noise * tensor.std().item() * z).to(tensor)


def _plan(name: str, tensor: torch.Tensor, known: Mapping[str, Space], layers: Mapping[str, Layer]) -> Plan:
    """How `tensor` is copied, found by its `name`."""
    module, _, part = name.rpartition(".")
    layer = next((layer for pattern, layer in layers.items() if fnmatch(module or part, pattern)), None)
    if layer is None:
        raise Refusal(f"no rule says how '{name}' grows: name its layer in stages/nets/growth/names.py")
    if not tensor.is_floating_point():
        raise Refusal(f"'{name}' is {tensor.dtype}: only weights of floating point can be enlarged")
    out = _joined([known[space] for space in layer.out.split("+")]) if layer.out else None
    into = known[layer.into] if layer.into else None
    if tensor.dim() == 1:
        into, sides = None, (out,)
    else:
        sides = (into, out) if layer.transposed else (out, into)
    if tensor.dim() != len(sides) or any(
        s is not None and s.index.max() + 1 != n for s, n in zip(sides, tensor.shape, strict=True)
    ):
        raise Refusal(f"'{name}' is of size {tuple(tensor.shape)}, which is not that of its layer in the config")
    factor = torch.ones((), dtype=torch.float64)
    for axis, side in enumerate(sides):
        if side is not None:
            each = 1 / (side.copies * side.scale) if side is into else side.scale
            factor = factor * each.view([-1 if axis == i else 1 for i in range(len(sides))])
    copies = (out.copies if out else 1) * (into.copies if into else 1)
    place = (sides.index(into), into) if into is not None and not layer.tied else None
    return Plan(tuple(side and side.index for side in sides), factor, copies, place)


def _joined(parts: list[Space]) -> Space:
    """Spaces side by side."""
    starts = torch.tensor([0, *(part.index.max() + 1 for part in parts[:-1])]).cumsum(0)
    index = torch.cat([part.index + start for part, start in zip(parts, starts, strict=True)])
    return Space(index, torch.cat([part.scale for part in parts]), parts[0].copies)
