"""How good word vectors are, measured on names whose kind is known, and on analogies.

Article: https://kexue.fm/archives/5617, whose promise is that vectors' products fit mutual information.

    purity = mean over names of the share of its own kind among the 10 names nearest to it

By chance the purity is the mean of (n_k - 1) / (N - 1), with n_k names of the same kind among N.
The number: a purity far above chance on the embedded site, where the text around a name shows only its kind's ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core import tables
from stages.core.claims import check
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.words import similar
from stages.words.vectors import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class EvaluateVectors:
    """Params of the evaluation."""

    data: str  # what the claims say they were measured on
    near: int  # names that are looked at around each name
    min_count: int  # occurrences of a name
    target_purity: float
    target_over_chance: float  # purity over purity by chance
    shown: int  # names in the table of neighbours


def evaluate(model: Path, inputs: Inputs, params: EvaluateVectors) -> Findings:
    """Purity of the neighbours of the names in `inputs.truth`/names.parquet (name, kind, count), by kind and in all.

    Where there is `inputs.truth`/analogies.txt, the share of its questions answered, too.
    Raises `Refusal` where fewer than two names have a vector.
    """
    words, vectors = load(model)
    place = {word: i for i, word in enumerate(words)}
    names = tables.read(inputs.truth / "names.parquet").to_pylist()
    names = [row for row in names if row["name"] in place and row["count"] >= params.min_count]
    if len(names) < 2:
        raise Refusal(f"fewer than two names of {inputs.truth}/names.parquet have a vector in {model}")
    kinds = np.array([row["kind"] for row in names])
    held = vectors[[place[row["name"]] for row in names]]
    found, cosines = similar.nearest(held, np.arange(len(names)), params.near)
    pure = (kinds[found] == kinds[:, None]).mean(axis=1)
    chance = np.array([((kinds == kind).sum() - 1) / (len(kinds) - 1) for kind in kinds])
    by_kind = {
        kind: (float(pure[kinds == kind].mean()), float(chance[kinds == kind][0])) for kind in sorted(set(kinds))
    }
    how = f"names of its own kind among the {params.near} nearest of {len(names)} names, mean"
    claims = [
        check(5617, "purity of neighbours", how, float(pure.mean()), params.target_purity, "at least", params.data),
        check(
            5617,
            "purity of neighbours over that by chance",
            how,
            float(pure.mean() / chance.mean()),
            params.target_over_chance,
            "at least",
            params.data,
        ),
    ]
    metrics = {"names": float(len(names)), "purity": float(pure.mean()), "purity_by_chance": float(chance.mean())}
    metrics |= {f"purity_{kind}": value for kind, (value, _) in by_kind.items()}
    if (questions := inputs.truth / "analogies.txt").exists():
        metrics["analogies"], metrics["analogies_asked"] = accuracy(words, vectors, questions)
    shown = _neighbours([row["name"] for row in names], kinds, found, cosines, params.shown)
    return Findings(metrics, claims, {"neighbours": shown}, {"kinds": _figure(by_kind)})


def accuracy(words: list[str], vectors: np.ndarray, questions: Path) -> tuple[float, float]:
    """(share of analogies answered rightly, number asked): a file with `a b c d` a line, those of known words asked.

    Lines that begin with ":" name sections and are passed over. Raises `Refusal` for a line of another form and where
    no question has four known words.
    """
    place = {word: i for i, word in enumerate(words)}
    asked = []
    for number, line in enumerate(Path(questions).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith(":") or not line.strip():
            continue
        if len(parts := line.split()) != 4:
            raise Refusal(f"{questions}, line {number}, has {len(parts)} words, but an analogy has four: a b c d")
        if all(part in place for part in parts):
            asked.append([place[part] for part in parts])
    if not asked:
        raise Refusal(f"{questions} has no analogy of four words that all have vectors")
    rows = np.array(asked)
    return float((similar.analogies(vectors, rows[:, :3]) == rows[:, 3]).mean()), float(len(rows))


def _neighbours(names: list[str], kinds: np.ndarray, found: np.ndarray, cosines: np.ndarray, shown: int):
    import pyarrow as pa

    rows = [
        {"name": names[i], "kind": kinds[i], "near": names[j], "near_kind": kinds[j], "cosine": float(cosine)}
        for i in range(min(shown, len(names)))
        for j, cosine in zip(found[i].tolist(), cosines[i], strict=True)
    ]
    return pa.Table.from_pylist(rows)


def _figure(by_kind: dict[str, tuple[float, float]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    place = np.arange(len(by_kind))
    axes.bar(place - 0.2, [pure for pure, _ in by_kind.values()], 0.4, label="among the nearest names")
    axes.bar(place + 0.2, [chance for _, chance in by_kind.values()], 0.4, label="by chance")
    axes.set_xticks(place, list(by_kind))
    axes.set(ylabel="share of its own kind", title="Neighbours of names", ylim=(0, 1))
    axes.legend()
    return figure
