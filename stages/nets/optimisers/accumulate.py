"""A large batch from small ones: gradients are averaged over k steps, then the optimiser inside makes one.

Articles: https://kexue.fm/archives/5879 (the "soft batch"), https://kexue.fm/archives/6794 (which mends it).

    g = sum_i c_i g_i / sum_i c_i        over k micro-steps, c_i the samples or tokens of each

With c_i left at 1 that is the mean of means, which is not the mean where batches differ in size. The number: after 50
steps in float64 weights are those of the large batch within 1e-12, whatever is inside. What couples samples (batch
norm, contrastive losses) does not add up: for the latter see stages/nets/gradient_cache.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from stages.core.errors import Refusal
from stages.nets.optimisers.decorator import Decorator, evaluated


class Accumulate(Decorator):
    """`base`, stepping once for every `k` calls of `step`; between them weights, moments and its own steps rest.

    Clear gradients before each backward pass as ever. To clip the mean gradient, clip in `base`'s
    `register_step_pre_hook`; with a GradScaler steps that it skips are not counted. Raises `Refusal` for k < 1, for
    another k in the middle of a window, and where no weight has a gradient.
    """

    LEVEL = 6

    def __init__(self, base: torch.optim.Optimizer, k: int) -> None:
        super().__init__(base)
        self.counts = {"done": 0, "weight": 0.0}
        self.k = k

    @property
    def k(self) -> int:
        """Micro-steps of a window."""
        return self._k

    @k.setter
    def k(self, k: int) -> None:
        if k < 1 or k != int(k):
            raise Refusal(f"accumulation over {k} steps: k must be a whole number from 1")
        if self.counts["done"]:
            raise Refusal(f"k cannot change after {self.counts['done']:g} steps of a window: flush or drop it first")
        self._k = k

    @torch.no_grad()
    def step(
        self, closure: Callable[[], torch.Tensor] | None = None, weight: float | torch.Tensor = 1.0
    ) -> torch.Tensor | None:
        """Take this micro-batch's mean gradient, which counts `weight` times (its samples or tokens)."""
        loss, weight = evaluated(closure), float(weight)
        if weight < 0:
            raise Refusal(f"a micro-batch of weight {weight}: give the number of its samples or tokens")
        found = [each for each in self.weights if each.grad is not None]
        if not found:
            raise Refusal("no weight has a gradient: call backward before step")
        begun = [each for each in found if not each.grad.is_sparse and "sum" in self.own[each]]
        if begun:
            torch._foreach_add_([self.own[each]["sum"] for each in begun], [each.grad for each in begun], alpha=weight)
        known = set(begun)
        for each in found:
            if each not in known:
                own, more = self.own[each], each.grad * weight
                own["sum"] = own["sum"] + more if "sum" in own else more
        self.counts["done"] += 1
        self.counts["weight"] += weight
        if self.counts["done"] >= self.k:
            self.flush()
        return loss

    @torch.no_grad()
    def flush(self) -> None:
        """Make the step of a window that is not full, by the mean of what it has; nothing where it is empty."""
        if not self.counts["done"]:
            return
        total = self.counts["weight"]
        if total == 0:
            raise Refusal("all micro-batches of a window have weight 0: leave empty ones out")
        given = [(each, each.grad) for each in self.weights]
        for each in self.weights:
            each.grad = self.own[each]["sum"].div_(total) if "sum" in self.own[each] else None
        self.base.step()
        for each, gradient in given:
            each.grad = gradient
        self.drop()

    def drop(self) -> None:
        """Forget what a window that is not full has gathered."""
        self.own.clear()
        self.counts.update(done=0, weight=0.0)

    def load_state_dict(self, whole: dict[str, Any]) -> None:
        """As of every decorator; raises `Refusal` also where the window that was saved is not one of k steps."""
        super().load_state_dict(whole)
        if self.counts["done"] >= self.k:
            raise Refusal(f"{self.counts['done']:g} steps of a window were saved, which has {self.k}: set k as it was")

    def packed(self, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        """A sparse sum as its places and its values: files of tensors hold dense ones only."""
        total = self.own.get(weight, {}).get("sum")
        if total is None or not total.is_sparse:
            return super().packed(weight)
        total = total.coalesce()
        return {"places": total.indices(), "values": total.values()}

    def unpacked(self, weight: torch.Tensor, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The inverse of `packed`."""
        if "places" not in values:
            return super().unpacked(weight, values)
        places, rows = values["places"].to(weight.device), values["values"].to(weight)
        return {"sum": torch.sparse_coo_tensor(places, rows, weight.shape, is_coalesced=True, check_invariants=True)}
