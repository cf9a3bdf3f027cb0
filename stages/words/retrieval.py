"""How good a ranked list of terms is: precision at K and recall, against rankings that need no mining.

Article: https://kexue.fm/archives/6540, which was judged by a list of its contest.

    P@K = known terms among the first K / K,     recall = known terms in the list / known terms
    baselines over the words of the domain of as many characters:  count a(w),  tf-idf a(w) ln(D / d(w))

A list of known terms is never complete, so P@K is a lower bound and says most as a ratio to that of the baselines.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core import files, tables
from stages.core.claims import Claim, check
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

ARCHIVE = 6540


@dataclass(frozen=True)
class EvaluateTerms:
    """Params of the judging; a target that is null makes no claim."""

    data: str  # what the claims say it was measured on
    tops: tuple[int, ...]  # K
    claimed: int  # the K of the claim
    name_min_count: int  # known terms that occur less often are not asked for
    target_ratio: float | None  # P@claimed to that of frequency
    target_recall: float | None
    shown: int  # rows of the table of terms


def evaluate(model: Path, inputs: Inputs, params: EvaluateTerms) -> Findings:
    """Hold `model`/terms.parquet against the names of kind "term" in `inputs.truth`/names.parquet."""
    if inputs.truth is None:
        raise Refusal("terms are judged against a `truth` that holds names.parquet")
    gold = known(tables.read(inputs.truth / "names.parquet"), params.name_min_count)
    terms = tables.read(model / "terms.parquet")
    shortest = files.read_json(model / "model.json")["params"]["shortest"]
    rankings = {"terms": terms["term"].to_pylist(), **baselines(tables.read(model / "words.parquet"), shortest)}
    metrics: dict[str, float] = {}
    for name, ranking in rankings.items():
        prefix = "" if name == "terms" else f"{name}_"
        metrics |= {f"{prefix}precision_at_{k}": precision(ranking, gold, k) for k in params.tops}
        metrics[f"{prefix}recall"] = recall(ranking, gold)
    metrics |= {"known_terms": float(len(gold)), "terms": float(terms.num_rows)}
    shown = terms.slice(0, params.shown)
    return Findings(metrics, _claims(metrics, params), {"terms": shown}, {"precision": curve(rankings, gold)})


def known(names: pa.Table, least: int) -> set[str]:
    """The names of kind "term" that occur `least` times or more. Raises `Refusal` where there is none."""
    import pyarrow.compute as pc

    gold = names.filter(pc.and_(pc.equal(names["kind"], "term"), pc.greater_equal(names["count"], least)))
    if gold.num_rows == 0:
        raise Refusal("the truth holds no name of kind 'term' that is frequent enough: lower name_min_count")
    return set(gold["name"].to_pylist())


def baselines(words: pa.Table, shortest: int) -> dict[str, list[str]]:
    """The words of the domain (word, count, documents) by frequency and by tf-idf, best first, ties by text."""
    import pyarrow.compute as pc

    words = words.filter(
        pc.and_(pc.greater(words["count"], 0), pc.greater_equal(pc.utf8_length(words["word"]), shortest))
    )
    texts = np.array(words["word"].to_pylist(), dtype=object)
    counts, documents = words["count"].to_numpy(), np.maximum(words["documents"].to_numpy(), 1)
    scores = {"frequency": counts, "tf_idf": counts * np.log(documents.max(initial=1) / documents)}
    return {name: texts[np.lexsort((texts, -score))].tolist() for name, score in scores.items()}


def precision(ranking: list[str], gold: set[str], k: int) -> float:
    """Known terms among the first `k` of a ranking, of `k` (a list that is shorter is not forgiven)."""
    return sum(term in gold for term in ranking[:k]) / k


def recall(ranking: list[str], gold: set[str]) -> float:
    """Known terms in the whole ranking, of all known terms."""
    return len(gold.intersection(ranking)) / len(gold)


def curve(rankings: dict[str, list[str]], gold: set[str], most: int = 2000) -> Figure:
    """Precision by K, an axis of its own for none: one line a ranking."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="K", ylabel="precision of the first K", title="Known terms by rank", xscale="log")
    for name, ranking in rankings.items():
        hits = np.cumsum([term in gold for term in ranking[:most]])
        k = np.arange(1, hits.size + 1)
        axes.plot(k[9:], (hits / k)[9:], label=name.replace("_", "-"))
    axes.legend()
    return figure


def _claims(metrics: dict[str, float], params: EvaluateTerms) -> list[Claim]:
    found = []
    if params.target_ratio is not None:
        k = params.claimed
        how = f"P@{k} of the terms ({metrics[f'precision_at_{k}']:.3f}) to that of the most frequent words"
        least = 0.5 / k  # half a hit, where frequency has none
        ratio = metrics[f"precision_at_{k}"] / max(metrics[f"frequency_precision_at_{k}"], least)
        claim = "contrast finds terms better than frequency"
        found.append(check(ARCHIVE, claim, how, ratio, params.target_ratio, "at least", params.data))
    if params.target_recall is not None:
        how = f"known terms with count >= {params.name_min_count} that are in the list, of all such terms"
        claim = "the terms of the domain are found"
        found.append(check(ARCHIVE, claim, how, metrics["recall"], params.target_recall, "at least", params.data))
    return found
