"""The phase of the text lines: how far above the top edge of each piece its text line begins, in pixels.

With one distance P between lines, the mean ink s_i[y] of row y of piece i is one profile T, shifted:

    s_i[y] ~ T[(y + phi_i) mod P]

Pieces of one row of the page share phi, and one row below, it has grown by the height of a piece, mod P.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST = 0.25  # of the mean ink of a row that counts: a rule or a picture is no text line
STEP = 0.5  # pixels between the phases tried
STARTS, ROUNDS = 2, 8
CLEAR = 40  # pieces of the highest contrast, which tell the period


@dataclass(frozen=True)
class Lines:
    """The distance between lines, the phases tried, and the squared error of each piece at each of them.

    `explained` is the share of the profiles' variance that the lines explain, 0..1.
    """

    period: float
    phases: np.ndarray
    errors: np.ndarray  # [pieces, phases]
    explained: float

    @property
    def best(self) -> np.ndarray:
        """The phase of each piece, pixels."""
        return self.phases[self.errors.argmin(axis=1)]

    def misfit(self) -> np.ndarray:
        """How much worse two pieces fit at one phase than each at its own, [pieces, pieces]: nothing for blank ones."""
        own = self.errors.min(axis=1)
        joint = np.stack([(row + self.errors).min(axis=1) for row in self.errors])
        return joint - own[:, None] - own


def profile(ink: np.ndarray) -> np.ndarray:
    """s: mean ink of each row, at most `MOST`: [pieces, height]."""
    return np.minimum(MOST, ink.mean(axis=2))


def fit(s: np.ndarray, shortest: float = 30.0, longest: float = 110.0) -> Lines | None:
    """The lines of profiles s [pieces, height]; None where the pieces are too low to show two lines of `shortest`."""
    longest = min(longest, s.shape[1] / 1.5)
    if longest <= shortest:
        return None
    clear = s[np.argsort(-s.var(axis=1), kind="stable")[:CLEAR]]
    around = repeats(clear, int(shortest), int(longest))
    # twice the true distance repeats as well: the shortest that is nearly the best
    near = int(np.flatnonzero(around > 0.85 * around.max())[0])
    peak = shortest + near + around[near : near + 8].argmax()
    fine = [_fit(clear, period) for period in np.arange(peak - 2, peak + 2.1, 0.25)]
    return _fit(s, max(fine, key=lambda lines: lines.explained).period)


def repeats(s: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """The mean autocorrelation of profiles at the distances `shortest`..`longest`: [distances]."""
    s = s - s.mean()
    return np.array([(s[:, lag:] * s[:, :-lag]).mean() for lag in range(shortest, longest + 1)])


def apart(a: np.ndarray, b: np.ndarray, period: float) -> np.ndarray:
    """The distance of phases on the circle, in pixels."""
    off = np.abs(a - b) % period
    return np.minimum(off, period - off)


def _fit(s: np.ndarray, period: float) -> Lines:
    """Phases and template in turn, from several pieces of high contrast; the best of them."""
    height = s.shape[1]
    phases = np.arange(0, period, STEP)
    bins = int(period)
    at = ((np.arange(height) + phases[:, None]) % period) * bins / period  # [phases, height], place in T
    nearest = at.astype(int) % bins
    spread = ((s - s.mean()) ** 2).sum()
    best = None
    for start in np.argsort(-s.var(axis=1), kind="stable")[:STARTS]:
        phi = np.zeros(len(s), dtype=int)
        template = _average(s[start : start + 1], nearest[[0]], bins)
        for _ in range(ROUNDS):
            low = at.astype(int) % bins
            share = at - np.floor(at)
            shapes = (1 - share) * template[low] + share * template[(low + 1) % bins]  # [phases, height]
            errors = (shapes**2).sum(axis=1) - 2 * s @ shapes.T  # [pieces, phases], less s^2
            new = errors.argmin(axis=1)
            if (new == phi).all():
                break
            phi = new
            template = _average(s, nearest[phi], bins)
        left = (errors.min(axis=1) + (s**2).sum(axis=1)).sum()
        explained = 1 - left / spread
        if best is None or explained > best.explained:
            best = Lines(float(period), phases, errors + (s**2).sum(axis=1)[:, None], float(explained))
    return best


def _average(s: np.ndarray, places: np.ndarray, bins: int) -> np.ndarray:
    total = np.bincount(places.ravel(), s.ravel(), minlength=bins)
    count = np.bincount(places.ravel(), minlength=bins)
    mean = s.mean()
    return np.divide(total, count, out=np.full(bins, mean), where=count > 0)
