"""A Monte-Carlo estimate, which is nothing without its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.core.errors import Refusal


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error, and how many equal samples its weights are worth."""

    mean: float
    error: float
    samples: float

    def z(self, exact: float) -> float:
        """How many standard errors it is off."""
        return (self.mean - exact) / self.error if self.error else float(self.mean != exact) * np.inf


def estimate(values: np.ndarray) -> Estimate:
    """The mean of `values` [n] or, of pairs that are drawn together, [n, 2]; raises `Refusal` for none or no numbers.

    The effective sample size, (Σ w)^2 / Σ w^2, is that of values taken as weights.
    """
    if not len(values):
        raise Refusal("no walkers: an estimate needs at least one")
    if not np.isfinite(values).all():
        raise Refusal("a walk came out as no number: its potential, drift or end is none there")
    each = values.reshape(len(values), -1).mean(1)
    square = float((values**2).sum())
    worth = float(values.sum()) ** 2 / square if square else 0.0
    return Estimate(float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else np.inf, worth)
