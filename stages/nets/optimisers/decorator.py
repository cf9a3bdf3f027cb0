"""Optimisers that hold another one and change its step; they stack in one order.

    from inside to outside: the optimiser, WeightDecay, LayerAdaptive, Lazy, Scheduled, Lookahead, Accumulate

The order is that in which things must happen: gradients gather before anything is computed of them, and what is slow
looks at what has been done. Groups and rates are those of the optimiser inside, in the one list that both show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from stages.core.errors import Refusal

MARK = "."  # between a decorator's name and its field
ORDER = "from inside to outside: the optimiser, WeightDecay, LayerAdaptive, Lazy, Scheduled, Lookahead, Accumulate"


class Decorator(torch.optim.Optimizer):
    """An optimiser around `base`. A child has `LEVEL`, its place in the order, and `step`.

    What it remembers is `own`, tensors by weight and name, and `counts`, numbers by name. In `state_dict` they stand
    beside those of `base` under NAME.FIELD, so that a checkpoint of tensors by weight holds all. Raises `Refusal`
    where `base` is no optimiser or stands outside of it in the order, and for a state that another kind has left.
    """

    LEVEL: ClassVar[int]

    def __init__(self, base: torch.optim.Optimizer) -> None:
        name = type(self).__name__
        if not isinstance(base, torch.optim.Optimizer):
            raise Refusal(f"{name} takes an optimiser, not {type(base).__name__}: make that first")
        if isinstance(base, Decorator) and base.LEVEL >= self.LEVEL:
            raise Refusal(f"{name} cannot stand around {type(base).__name__}; {ORDER}")
        self.base = base
        self.own: dict[torch.Tensor, dict[str, torch.Tensor]] = defaultdict(dict)
        self.counts: dict[str, float] = {}
        super().__init__(base.param_groups, base.defaults)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of the optimiser inside."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        """torch's constructor sets an empty list, which is not wanted here."""

    @property
    def state(self) -> dict[torch.Tensor, dict[str, Any]]:
        """All that is remembered of each weight, inside and here: to look at, not to change."""
        found = {weight: dict(values) for weight, values in self.base.state.items()}
        for weight, values in self.own.items():
            found.setdefault(weight, {}).update({self._named(field): value for field, value in values.items()})
        return found

    @state.setter
    def state(self, state: Any) -> None:
        """As with `param_groups`."""

    @property
    def weights(self) -> list[torch.Tensor]:
        """All weights, in order."""
        return [weight for group in self.param_groups for weight in group["params"]]

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Give the optimiser inside another group; one that it has stays."""
        if not any(group is known for known in self.param_groups):
            self.base.add_param_group(group)

    def state_dict(self) -> dict[str, Any]:
        """That of the optimiser inside, and NAME.FIELD of each weight; counts stand with the first."""
        whole = self.base.state_dict()
        state = {index: dict(values) for index, values in whole["state"].items()}
        for index, weight in enumerate(self.weights):
            for field, value in self.packed(weight).items():
                state.setdefault(index, {})[self._named(field)] = value
        for field, value in self.counts.items():
            state.setdefault(0, {})[self._named(field)] = torch.tensor(value, dtype=torch.float64)
        return {**whole, "state": state}

    def load_state_dict(self, whole: dict[str, Any]) -> None:
        """What `state_dict` gave, of optimisers of the same kinds around each other."""
        start, own, counts = self._named(""), defaultdict(dict), {}
        inner: dict[int, dict[str, Any]] = {}
        for index, values in whole["state"].items():
            for field, value in values.items():
                if not field.startswith(start):
                    inner.setdefault(index, {})[field] = value
                elif (short := field.removeprefix(start)) in self.counts:
                    counts[short] = float(value)
                else:
                    own[self.weights[index]][short] = value
        others = {field for values in inner.values() for field in values if MARK in field}
        if (whole["state"] and set(counts) != set(self.counts)) or (others and not isinstance(self.base, Decorator)):
            left = ", ".join(sorted({field.split(MARK)[0] for field in others})) or "another optimiser"
            raise Refusal(f"this state is none of {type(self).__name__}, but of {left}: build what was saved")
        self.base.load_state_dict({**whole, "state": inner})
        self.counts.update(counts)
        self.own = defaultdict(dict)
        for weight, values in own.items():
            self.own[weight] = self.unpacked(weight, values)

    def packed(self, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is remembered of `weight`, as dense tensors."""
        return dict(self.own.get(weight, {}))

    def unpacked(self, weight: torch.Tensor, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The inverse of `packed`, on the weight's device."""
        return {field: value.to(weight, copy=True) for field, value in values.items()}

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def _named(self, field: str) -> str:
        return f"{type(self).__name__.lower()}{MARK}{field}"


def evaluated(closure: Callable[[], torch.Tensor] | None) -> torch.Tensor | None:
    """What `closure` gives, with gradients on; None for none."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
