"""A hidden Markov model: the best states of many sequences at once, and how probable sequences are.

Article: https://kexue.fm/archives/3922; Viterbi 1967, Baum & Petrie 1966.

    P(x, t) = start(t_1) prod_k transition(t_{k-1}, t_k) emission(t_k, x_k) end(t_n)

All sequences advance in lock-step, the longest first, so that a step is one operation on arrays. The number: half a
million symbols a second and core (tests/classic/test_hmm.py holds the best states against all that there are).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from stages.core.errors import Refusal


@dataclass(frozen=True)
class HMM:
    """Logarithms of probabilities, -inf for what cannot be; the last symbol stands for all that are unknown."""

    start: np.ndarray  # [states]
    transition: np.ndarray  # [states, states], from and to
    emission: np.ndarray  # [states, symbols]
    end: np.ndarray  # [states]

    def __post_init__(self) -> None:
        n = len(self.start)
        if self.transition.shape != (n, n) or len(self.emission) != n or self.end.shape != (n,):
            raise Refusal(f"start has {n} states: transition must be [{n}, {n}], emission [{n}, symbols], end [{n}]")


@dataclass(frozen=True)
class Lockstep:
    """Sequences of symbols, one after another, turned so that the t-th symbols of all lie together."""

    order: np.ndarray  # [sequences], the longest first; empty ones are left out
    active: np.ndarray  # [longest], how many have a t-th symbol
    rows: np.ndarray  # [sequences], where each begins, in that order
    last: np.ndarray  # [sequences], where each ends

    @classmethod
    def of(cls, lengths: np.ndarray) -> Lockstep:
        """For sequences of `lengths` that lie one after another."""
        begins = np.cumsum(lengths) - lengths
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        sizes = lengths[order]
        active = np.searchsorted(-sizes, -np.arange(sizes[0]), side="left") if len(sizes) else np.zeros(0, int)
        return cls(order, active, begins[order], begins[order] + sizes - 1)


def viterbi(model: HMM, symbols: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most probable states, int64 [n], of sequences of `symbols` [n] with `lengths` [sequences], and their scores.

    Scores are logarithms, [sequences], 0 for an empty sequence and -inf where no states are possible. Ties go to the
    state with the lower number.
    """
    turned = Lockstep.of(lengths)
    symbols = _known(model, symbols)
    came = np.zeros((len(symbols), len(model.start)), dtype=np.uint8)
    states, scores = np.zeros(len(symbols), dtype=np.int64), np.zeros(len(lengths))

    def step(score: np.ndarray, place: np.ndarray) -> np.ndarray:
        through = score[:, :, None] + model.transition  # [k, from, to]
        came[place] = through.argmax(1)
        return through.max(1)

    final = _passed(model, symbols, turned, step) + model.end
    at = final.argmax(1)
    scores[turned.order] = final.max(1)
    for t in range(len(turned.active))[::-1]:
        k = turned.active[t]
        place = turned.rows[:k] + t
        after = turned.active[t + 1] if t + 1 < len(turned.active) else 0
        states[place[after:]] = at[after:k]  # those that end here
        if after:
            states[place[:after]] = came[place[:after] + 1, states[place[:after] + 1]]
    return states, scores


def likelihood(model: HMM, symbols: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """log P(x) of each sequence, [sequences]: over all states, by the forward recursion."""
    turned, found = Lockstep.of(lengths), np.zeros(len(lengths))

    def step(score: np.ndarray, place: np.ndarray) -> np.ndarray:
        return _log_sum(score[:, :, None] + model.transition, 1)

    found[turned.order] = _log_sum(_passed(model, _known(model, symbols), turned, step) + model.end, 1)
    return found


Step = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _passed(model: HMM, symbols: np.ndarray, turned: Lockstep, step: Step) -> np.ndarray:
    """The scores of the states in which each sequence ends, [sequences, states] in the turned order."""
    emission = np.ascontiguousarray(model.emission.T)  # [symbols, states]
    final = np.empty((len(turned.order), len(model.start)))
    score = model.start + emission[symbols[turned.rows]]
    for t in range(1, len(turned.active)):
        k = turned.active[t]
        final[k : len(score)] = score[k:]
        place = turned.rows[:k] + t
        score = step(score[:k], place) + emission[symbols[place]]
    final[: len(score)] = score
    return final


def _log_sum(x: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return special.logsumexp(x, axis=axis)


def _known(model: HMM, symbols: np.ndarray) -> np.ndarray:
    last = model.emission.shape[1] - 1
    return np.where((symbols >= 0) & (symbols < last), symbols, last)
