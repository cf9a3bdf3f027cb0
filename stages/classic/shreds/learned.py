"""An edge cost learned from made pages: that of a network, and the misfit of text lines.

Article: https://kexue.fm/archives/4100. With s(i, j) of stages/classic/shreds/network.py,

    P(j follows i) = softmax_j -w . (-s, misfit of the phases)        (conditional logit)

makes one cost of both, E = -log P up to what is the same for all j: w has the highest likelihood on made pages that
the network has not seen.

`SHIPPED` is the scorer of params/gpu.yaml, row `shreds`, which learned for longer than the row of params.yaml, and from
more fonts; its metadata names them. To make another: copy params/gpu.yaml over params.yaml, run the stage
`train@shreds`, and copy models/shreds/scorer.safetensors beside this module.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.classic.shreds import lines, made
from stages.classic.shreds.pieces import Pieces
from stages.classic.shreds.settings import Learning, Size
from stages.core import files
from stages.core.errors import Refusal
from stages.core.progress import track

if TYPE_CHECKING:
    from stages.classic.shreds.network import Network

MOST = 20.0  # of the misfit of phases, in squared errors of a pixel: a picture has none
NAME = "scorer.safetensors"
SHIPPED = Path(__file__).with_name(NAME)


@dataclass(frozen=True)
class Scorer:
    """The network, and `weights` w of what it says and of the misfit; `told`: its size, fonts, pages and steps."""

    network: Network
    weights: np.ndarray
    told: dict[str, object]

    def cost(self, pieces: Pieces) -> np.ndarray:
        """E of all pairs, [pieces, pieces]; the diagonal is infinite."""
        found = np.tensordot(self.weights, features(pieces, self.network), 1)
        np.fill_diagonal(found, np.inf)
        return found

    def save(self, folder: Path) -> None:
        """Write `folder`/scorer.safetensors."""
        from safetensors.numpy import save_file

        held = {name: value.numpy() for name, value in self.network.state_dict().items()}
        with files.replacing(folder / NAME) as beside:
            save_file({"w": self.weights, **held}, beside, {"told": json.dumps(self.told, sort_keys=True)})


def load(path: Path) -> Scorer:
    """The scorer saved at `path`, a file or the folder of one; raises `Refusal` where there is none."""
    from safetensors import SafetensorError, safe_open

    from stages.classic.shreds.network import Network

    path = path / NAME if path.is_dir() else path
    if not path.exists():
        raise Refusal(f"{path} is missing: run the stage train@shreds, or leave the model out")
    try:
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()["told"])
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        net = Network(Size(**told["network"]))
        weights = held.pop("w").numpy()
        net.load_state_dict(held)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise Refusal(f"{path} is no scorer of this version: make it anew, or leave the model out") from error
    return Scorer(net, weights, told)


def features(pieces: Pieces, network: Network) -> np.ndarray:
    """-s and the misfit of phases of all pairs, [2, pieces, pieces]."""
    import torch

    s = lines.profile(pieces.ink)
    found = lines.fit(s)
    misfit = np.zeros((len(s), len(s)))
    if found is not None:
        misfit = np.minimum(MOST, found.misfit() / max(1e-9, found.errors.min(axis=1).mean() / s.shape[1]))
    with torch.no_grad():
        fits = network(torch.from_numpy(np.ascontiguousarray(pieces.ink, dtype=np.float32)))
    return np.stack([-fits.double().numpy(), misfit])


def learn(params: Learning, spool: Path | None = None) -> tuple[Scorer, dict[str, list[float]]]:
    """Train the network on made pages, then fit w on others that are cut up; the record of the steps, too."""
    from stages.classic.shreds import network

    chance = np.random.default_rng(params.seed)
    scripts = [made.SCRIPTS[k % 2] for k in range(params.pages)]
    pages = np.stack([np.rint(255 * made.page(each, chance)).astype(np.uint8) for each in track(scripts, "made pages")])
    net, history = network.train(pages, params.network, params.training, params.seed, spool)
    held = {script: [Path(path).name for path in paths] for script, paths in made.fonts().items()}
    told = {"network": asdict(params.network), "fonts": held, "pages": params.pages, "steps": params.training.steps}
    return Scorer(net, weigh(net, params.sheets, chance), told), history


def weigh(network: Network, sheets: int, chance: np.random.Generator) -> np.ndarray:
    """The w of highest likelihood on `sheets` made pages that are cut up."""
    from scipy import optimize

    sets = []
    for k in range(sheets):
        pieces, table = made.shreds([made.page(made.SCRIPTS[k % 2], chance)], made.CROSS, chance)
        before, after = table[:, :-1].ravel(), table[:, 1:].ravel()
        found = features(pieces, network)
        found[:, np.arange(len(pieces.ink)), np.arange(len(pieces.ink))] = 1e6
        sets += [(found[:, before], after), (found.transpose(0, 2, 1)[:, after], before)]
    start = np.full(2, 0.1)
    return optimize.minimize(_loss, start, args=(sets,), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2).x


def _loss(w: np.ndarray, sets: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, np.ndarray]:
    """Mean -log P of the true neighbours (features [f, joints, pieces], place of the true one) and its gradient."""
    from scipy import special

    total, slope, joints = 0.0, np.zeros(len(w)), 0
    for x, true in sets:
        place = np.arange(len(true))
        log_p = special.log_softmax(-np.tensordot(w, x, 1), axis=1)
        total -= log_p[place, true].sum()
        slope += x[:, place, true].sum(axis=1) - np.einsum("jk,fjk->f", np.exp(log_p), x)
        joints += len(true)
    return total / joints, slope / joints
