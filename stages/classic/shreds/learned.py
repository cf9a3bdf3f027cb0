"""An edge cost learned from made pages: how much likelier two columns are as neighbours than by chance.

Pixels a of the right edge at height y (its last two columns, one pixel up and down) and pixels b of the left edge:

    I(i, j) = sum_y log p(a_i[y], b_j[y]) / (p(a_i[y]) p(b_j[y]))        (pointwise mutual information)

counted over all neighbouring columns of made pages; p(a) p(b) are columns of the same height, not of the page at large,
so that the lines and gaps which all pieces of a row share count for nothing. Those are features of their own, and

    P(j follows i) = softmax_j -w . (-I, misfit of the phases, difference of the profiles)        (conditional logit)

makes one cost of them, E = -log P up to what is the same for all j: w has the highest likelihood on made pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.classic.shreds import edges, lines, made
from stages.classic.shreds.pieces import Pieces
from stages.core.errors import Refusal

LEVELS = (0.15, 0.5, 0.85)  # ink at which a pixel counts as darker
CODES = 4 * 4 * 2 * 2  # of the pixel at the cut, the one behind it, above and below
SHIFTS = 5  # columns of the same page that each column is held against
MOST = 20.0  # of the misfit of phases, in squared errors of a pixel: a picture has none
AROUND = np.ones(5) / 5  # pixels along the profile


@dataclass(frozen=True)
class Learning:
    """Params: how many made pages (halves of each script), cuts of each, pages cut up for w, and their seed."""

    pages: int
    cuts: int
    sheets: int
    seed: int


@dataclass(frozen=True)
class Scorer:
    """`right` and `down` [CODES, CODES]: I of one pixel at a vertical and at a level cut; `weights`: w."""

    right: np.ndarray
    down: np.ndarray
    weights: np.ndarray

    def cost(self, pieces: Pieces) -> np.ndarray:
        """E of all pairs, [pieces, pieces]; the diagonal is infinite."""
        found = np.tensordot(self.weights, features(pieces, self.right), 1)
        np.fill_diagonal(found, np.inf)
        return found

    def save(self, folder: Path) -> None:
        """Write `folder`/scorer.safetensors."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({"right": self.right, "down": self.down, "weights": self.weights}, folder / "scorer.safetensors")


def load(folder: Path) -> Scorer:
    """The scorer saved in `folder`; raises `Refusal` where there is none."""
    from safetensors.numpy import load_file

    path = Path(folder) / "scorer.safetensors"
    if not path.exists():
        raise Refusal(f"{path} is missing: run the stage train@shreds, or leave the model out")
    return Scorer(**load_file(path))


def codes(edge: np.ndarray) -> np.ndarray:
    """The code of each height of edges [n, height, 2 or more], the pixels at the cut first: [n, height]."""
    first, second = np.digitize(edge[:, :, 0], LEVELS), np.digitize(edge[:, :, 1], LEVELS)
    dark = np.pad(edge[:, :, 0] > 0.5, ((0, 0), (1, 1)))
    return ((first * 4 + second) * 2 + dark[:, :-2]) * 2 + dark[:, 2:]


def count(pages: list[np.ndarray], cuts: int, chance: np.random.Generator, loss: int = 0) -> np.ndarray:
    """I of every two codes, [CODES, CODES], from `cuts` columns of each page; `loss` pixels are gone at each."""
    together, apart = np.zeros(CODES**2), np.zeros(CODES**2)
    for page in pages:
        x = chance.choice(np.arange(2, page.shape[1] - 1 - loss), cuts)
        a = codes(np.stack([page[:, x - 1].T, page[:, x - 2].T], axis=2))  # [cuts, height]
        b = codes(np.stack([page[:, x + loss].T, page[:, x + loss + 1].T], axis=2))
        together += np.bincount((a * CODES + b).ravel(), minlength=CODES**2)
        for shift in range(1, SHIFTS + 1):
            other = (a * CODES + np.roll(b, shift, axis=0)).ravel()
            apart += np.bincount(other, minlength=CODES**2) / SHIFTS
    return (np.log(together + 2) - np.log(apart + 2)).reshape(CODES, CODES)


def information(right: np.ndarray, left: np.ndarray, table: np.ndarray) -> np.ndarray:
    """I of all pairs of edges [n, height, depth], by the table of `count`: [n, n]."""
    a, b = codes(right), codes(left)
    n, height = a.shape
    hot = np.zeros((n, height * CODES), dtype=np.float32)
    hot[np.arange(n)[:, None], np.arange(height) * CODES + b] = 1
    return (table[a].astype(np.float32).reshape(n, -1) @ hot.T).astype(np.float64)


def features(pieces: Pieces, table: np.ndarray) -> np.ndarray:
    """-I, misfit of phases and difference of profiles of all pairs, [3, pieces, pieces]."""
    s = lines.profile(pieces.ink)
    found = lines.fit(s)
    misfit = np.zeros((len(s), len(s)))
    if found is not None:
        misfit = np.minimum(MOST, found.misfit() / max(1e-9, found.errors.min(axis=1).mean() / s.shape[1]))
    smooth = np.apply_along_axis(np.convolve, 1, s, AROUND, "same")
    differ = ((smooth[:, None] - smooth) ** 2).sum(axis=2)
    return np.stack([-information(*edges.sides(pieces.ink), table), misfit, differ / max(1e-9, np.median(differ))])


def learn(params: Learning) -> Scorer:
    """Count I on made pages, then fit w on others that are cut up."""
    from scipy import optimize

    chance = np.random.default_rng(params.seed)
    pages = [made.page(script, chance) for script in made.SCRIPTS for _ in range(params.pages // 2)]
    right = count(pages, params.cuts, chance)
    down = count([page.T for page in pages], params.cuts, chance)
    sets = []
    for k in range(params.sheets):
        page = made.page(made.SCRIPTS[k % 2], chance)
        pieces, table = made.shreds([page], made.CROSS, chance)
        before, after = table[:, :-1].ravel(), table[:, 1:].ravel()
        found = features(pieces, right)
        found[:, np.arange(len(pieces.ink)), np.arange(len(pieces.ink))] = 1e6
        sets.append((found[:, before], after))
    start = np.full(3, 0.1)
    fit = optimize.minimize(_loss, start, args=(sets,), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 3)
    return Scorer(right, down, fit.x)


def _loss(w: np.ndarray, sets: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, np.ndarray]:
    """Mean -log P of the true neighbours (features [3, joints, pieces], place of the true one) and its gradient."""
    from scipy import special

    total, slope, joints = 0.0, np.zeros(len(w)), 0
    for x, true in sets:
        place = np.arange(len(true))
        log_p = special.log_softmax(-np.tensordot(w, x, 1), axis=1)
        total -= log_p[place, true].sum()
        slope += x[:, place, true].sum(axis=1) - np.einsum("jk,fjk->f", np.exp(log_p), x)
        joints += len(true)
    return total / joints, slope / joints
