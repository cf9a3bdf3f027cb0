"""How good a discovered vocabulary is, measured as word segmentation and as recall of names.

Article: https://kexue.fm/archives/6920: the top 50,000 words become the only dictionary of a maximum-probability
cut, and the bakeoff of 2005 (https://aclanthology.org/I05-3017/) scores it on gold sentences.

    R = right words / gold words,   P = right words / words cut,   F1 = 2 P R / (P + R)

A word is right when both its ends are. (The official script aligns the two lists of words of a line with `diff`,
which agrees except where equal words stand shifted; the difference is below 0.001.) OOV and IV recall are the recall
of gold words outside and inside a training vocabulary.
The number: F1 0.765 on the PKU test is the author's best, from 20 GB of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core import tables
from stages.core.claims import Claim, check
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.words import figures
from stages.words.segmenter import Segmenter


@dataclass(frozen=True)
class EvaluateWords:
    """Params of the evaluation; a target that is null makes no claim."""

    data: str  # what the claims say they were measured on
    top: int  # words in the dictionary, 50,000 in archive 6920
    tops: tuple[int, ...]  # other sizes, for the curve
    keep_full_width: bool  # one token for a run of full-width digits and letters; jieba cuts them one by one
    name_min_count: int  # names that occur less often are not asked for
    target_f1: float | None  # 0.765 is the author's best, archive 6920
    target_name_recall: float | None
    shown: int  # rows of the table of top words


@dataclass(frozen=True)
class Score:
    """Word recall, precision and F1, recall of words outside and inside the training vocabulary (nan without one)."""

    recall: float
    precision: float
    f1: float
    oov_recall: float
    iv_recall: float
    oov_rate: float


def score(gold: pa.ListArray, cut: pa.ListArray, training_words: pa.Array | None = None) -> Score:
    """Compare two cuts of the same sentences (one list of words a sentence); raises ValueError for different text."""
    gold_words = gold.flatten()
    gold_words = gold_words.filter(pc.not_equal(gold_words, ""))
    gold_spans, cut_spans = _spans(gold), _spans(cut)
    if pc.sum(pc.utf8_length(gold.flatten())) != pc.sum(pc.utf8_length(cut.flatten())):
        raise ValueError("the two cuts are not of the same text")
    right = np.isin(gold_spans, cut_spans, assume_unique=True)
    hits = int(right.sum())
    recall, precision = _ratio(hits, gold_spans.size), _ratio(hits, cut_spans.size)
    oov_recall = iv_recall = oov_rate = float("nan")
    if training_words is not None:
        known = pc.is_in(gold_words, value_set=training_words).to_numpy(zero_copy_only=False)
        oov_recall = _ratio(int((right & ~known).sum()), int((~known).sum()))
        iv_recall = _ratio(int((right & known).sum()), int(known.sum()))
        oov_rate = _ratio(int((~known).sum()), known.size)
    return Score(recall, precision, _ratio(2 * recall * precision, recall + precision), oov_recall, iv_recall, oov_rate)


def score_lists(gold: Sequence[Sequence[str]], cut: Sequence[Sequence[str]]) -> Score:
    """`score` for plain lists of words."""
    return score(*(pa.array(side, pa.list_(pa.string())) for side in (gold, cut)))


def evaluate(model: Path, inputs: Inputs, params: EvaluateWords) -> Findings:
    """Score the vocabulary `model`/words.parquet against what the folder `inputs.truth` holds.

    gold.parquet (words: list of strings, a sentence a row): R, P, F1 of the cut with the most frequent words, the
    baseline in which every character is a word, and precision: of the words of 2 or more characters that occur in the
    gold text, the share that are gold words or names. training_words.parquet (word): OOV and IV recall.
    names.parquet (name, count in the corpus): recall of the names with count >= `params.name_min_count`.
    Raises `Refusal` where there is neither gold nor names.
    """
    vocabulary = tables.read(Path(model) / "words.parquet")
    gold, names, training = (_optional(inputs.truth, name) for name in ("gold", "names", "training_words"))
    if gold is None and names is None:
        raise Refusal(f"{inputs.truth} holds neither gold.parquet nor names.parquet: there is nothing to compare with")
    gold = None if gold is None else gold["words"].combine_chunks()
    metrics: dict[str, float] = {"words": float(vocabulary.num_rows)}
    shown = {"rank": figures.rank(vocabulary), "solidity_entropy": figures.solidity_entropy(vocabulary)}
    claims = []
    if gold is not None:
        known = None if training is None else training["word"].combine_chunks()
        by_top = {top: _cut_score(vocabulary, top, gold, known, params) for top in sorted({*params.tops, params.top})}
        best = by_top[params.top]
        metrics |= {k: v for k, v in asdict(best).items() if not np.isnan(v)}
        metrics |= {f"f1_top_{top}": scored.f1 for top, scored in by_top.items()}
        metrics["f1_every_character"] = score(gold, _every_character(gold)).f1
        metrics["precision_of_words"] = _word_precision(vocabulary, gold, names)
        shown["f1_top"] = figures.f1_by_top({top: (x.recall, x.precision, x.f1) for top, x in by_top.items()})
        how = f"maximum-probability cut with the top {params.top} words, bakeoff 2005 word F1"
        claims += _claims(params, "F1 of the discovered words as the only dictionary", how, best.f1, params.target_f1)
    if names is not None:
        frequent = names.filter(pc.greater_equal(names["count"], params.name_min_count))["name"]
        found = pc.sum(pc.is_in(frequent, value_set=vocabulary["word"].combine_chunks())).as_py() or 0
        recall = metrics["recall_of_names"] = _ratio(found, len(frequent))
        how = f"names that occur at least {params.name_min_count} times and are words, of all such names"
        claims += _claims(params, "recall of names", how, recall, params.target_name_recall)
    return Findings(metrics, claims, {"top_words": vocabulary.slice(0, params.shown)}, shown)


def _claims(params: EvaluateWords, claim: str, how: str, value: float, target: float | None) -> list[Claim]:
    if target is None:
        return []
    return [check(6920, claim, how, value, target, "at least", params.data)]


def _optional(folder: Path | None, name: str) -> pa.Table | None:
    path = Path(folder or ".") / f"{name}.parquet"
    return tables.read(path) if folder is not None and path.exists() else None


def _texts(words: pa.ListArray) -> list[str]:
    return pc.binary_join(words.cast(pa.list_(pa.string())), "").to_pylist()


def _cut_score(
    vocabulary: pa.Table, top: int, gold: pa.ListArray, known: pa.Array | None, params: EvaluateWords
) -> Score:
    segmenter = Segmenter.of(vocabulary.slice(0, top), params.keep_full_width)
    return score(gold, pa.array(segmenter.cut_many(_texts(gold)), pa.list_(pa.string())), known)


def _every_character(gold: pa.ListArray) -> pa.ListArray:
    return pa.array([list(text) for text in _texts(gold)], pa.list_(pa.string()))


def _word_precision(vocabulary: pa.Table, gold: pa.ListArray, names: pa.Table | None) -> float:
    """Of the discovered words of 2 or more characters that occur in the gold text, the share of gold words or names."""
    right = set(gold.flatten().to_pylist()) | set([] if names is None else names["name"].to_pylist())
    found = {word for word in Segmenter.of(vocabulary).occurring(_texts(gold)) if len(word) > 1}
    return _ratio(len(found & right), len(found))


def _spans(words: pa.ListArray) -> np.ndarray:
    """begin << 32 | end of each word, counted in characters from the first sentence on; empty words left out."""
    lengths = pc.utf8_length(words.flatten()).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(lengths)
    return ((ends - lengths) << 32 | ends)[lengths > 0]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
