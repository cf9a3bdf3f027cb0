"""Embeddings whose rows rest while their words are away.

The author's: https://github.com/bojone/keras_lazyoptimizer. Momentum and decay move every row at every step, also those
of words that the batch has not.

    theta_i <- theta_i' where the gradient of row i is not all 0, else theta_i

A dense gradient is the author's form: moments go on, weights rest. With a sparse one (`nn.Embedding(sparse=True)`) the
optimiser inside sees the rows that came, and what it remembers of others rests too: around Adam that is torch's
SparseAdam up to where eps stands, at a cost that does not know the size of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from stages.core.errors import Refusal
from stages.nets.optimisers.decorator import Decorator, evaluated


class Lazy(Decorator):
    """`base`, for which rows of `embeddings` (weights [rows, ...]) without a gradient do not move.

    Sparse gradients need a `base` that is no decorator and remembers of each number only what has its shape. Raises
    `Refusal` for embeddings that `base` has not, and for another `base` at the first sparse gradient.
    """

    LEVEL = 3

    def __init__(self, base: torch.optim.Optimizer, embeddings: Iterable[torch.Tensor]) -> None:
        super().__init__(base)
        self.embeddings = list(embeddings)
        known = {id(weight) for weight in self.weights}
        if not all(id(weight) in known and weight.dim() > 1 for weight in self.embeddings):
            raise Refusal("Lazy takes embeddings [rows, ...] that are among the weights of its optimiser")

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """A step of the optimiser inside, after which idle rows are as before."""
        loss = evaluated(closure)
        active = [weight for weight in self.embeddings if weight.grad is not None]
        dense = [weight for weight in active if not weight.grad.is_sparse]
        before = [weight.clone() for weight in dense]
        with ExitStack() as stack:
            for weight in active:
                if weight.grad.is_sparse:
                    stack.enter_context(self._reduced(weight))
            self.base.step()
        for weight, old in zip(dense, before, strict=True):
            came = weight.grad.flatten(1).any(1).view(-1, *[1] * (weight.dim() - 1))  # [rows, 1, ...]
            weight.copy_(torch.where(came, weight, old))
        return loss

    @contextmanager
    def _reduced(self, weight: torch.Tensor) -> Iterator[None]:
        """For this time the optimiser inside has, in the place of `weight`, the rows of it that came."""
        if isinstance(self.base, Decorator):
            raise Refusal(f"sparse gradients in Lazy around {type(self.base).__name__}: put the optimiser itself in it")
        gradient = weight.grad.coalesce()
        rows = gradient.indices()[0]
        small = torch.nn.Parameter(weight[rows])
        small.grad = gradient.values()
        held = self.base.state.pop(weight, {})
        if held:
            self.base.state[small] = {k: value[rows] if _each(value, weight) else value for k, value in held.items()}
        self._exchange(weight, small)
        try:
            yield
            weight[rows] = small
        finally:
            self._exchange(small, weight)
            if after := self.base.state.pop(small, held):
                self.base.state[weight] = after
        for name, value in after.items():
            if _each(value, small):
                after[name] = held.get(name, torch.zeros_like(weight)).index_copy_(0, rows, value)
            elif torch.is_tensor(value) and value.dim():
                kind = type(self.base).__name__
                raise Refusal(f"{kind} remembers more than a number for each of a row's: give it dense gradients")

    def _exchange(self, out: torch.Tensor, into: torch.Tensor) -> None:
        for group in self.param_groups:
            group["params"] = [into if weight is out else weight for weight in group["params"]]


def _each(value: Any, weight: torch.Tensor) -> bool:
    """Whether a part of the state has a number for each of `weight`."""
    return torch.is_tensor(value) and value.shape == weight.shape
