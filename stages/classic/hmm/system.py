"""Words cut by hidden Markov models of several kinds, scored on sentences that they have not seen.

Article: https://kexue.fm/archives/3922. `against` of the row, where there is one, is text to learn from and `input` the
test; without it half of the sentences of `input` are for learning.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.classic.hmm import lexicon, words
from stages.classic.hmm.lexicon import Lexicon
from stages.classic.hmm.model import HMM
from stages.classic.hmm.words import E, M, S, Starts, Tagger
from stages.core import files, tables
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARCHIVE = 3922
DICTIONARY = "dictionary"
LISTED: Choices = {"forward_match": lexicon.forward_match, "unigram": lexicon.unigram}
"""What a list of words with counts does without tags."""


@dataclass(frozen=True)
class Segmenters:
    """Params of the models."""

    kinds: tuple[str, ...]  # `dictionary`, of words.WAYS, and of LISTED


@dataclass(frozen=True)
class EvaluateSegmenters:
    """Params of the evaluation."""

    data: str
    targets: tuple[Target, ...]
    shown: int  # sentences in the table of cuts


def train(inputs: Inputs, params: Segmenters, out: Path) -> Findings:
    """Learn all of them; writes `out`/KIND.safetensors and `out`/test.parquet, the sentences to judge them by."""
    from safetensors.numpy import save_file

    gold = tables.read(inputs.input / "gold.parquet")["words"].to_pylist()
    if inputs.against:
        learn, test = tables.read(inputs.against / "gold.parquet")["words"].to_pylist(), gold
    else:
        learn, test = gold[::2], gold[1::2]
    if not test:
        raise Refusal(f"{inputs.input} has {len(gold)} sentences: too few to learn from and to judge by")
    text, counts = words.read(learn), Counter(word for sentence in learn for word in sentence if word)
    out.mkdir(parents=True)
    for kind in params.kinds:
        if kind in LISTED:
            continue  # needs the counts alone
        tagger = words.dictionary(counts) if kind == DICTIONARY else choose(words.WAYS, kind, "kinds")(text)
        arrays = {name: getattr(tagger.model, name) for name in ("start", "transition", "emission", "end")}
        arrays["characters"] = tagger.characters.astype(np.int64)
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # views are saved as garbage
        save_file(whole, out / f"{kind}.safetensors")
    import pyarrow as pa

    listed = sorted(counts)
    tables.write(pa.table({"word": listed, "count": [counts[word] for word in listed]}), out / "words.parquet")
    tables.write(pa.table({"words": test}), out / "test.parquet")
    files.write_json({"kinds": list(params.kinds), "characters": len(text.characters)}, out / "model.json")
    return Findings(metrics={"characters": float(len(text.characters))})


def load(model: Path, kind: str) -> Tagger:
    """The tagger of that kind in the folder `model`; raises `Refusal` where there is none."""
    from safetensors.numpy import load_file

    path = model / f"{kind}.safetensors"
    if not path.exists():
        raise Refusal(f"{path} is missing: train the row with the kind '{kind}'")
    held = load_file(path)
    return Tagger(HMM(*(held[name] for name in ("start", "transition", "emission", "end"))), held["characters"])


def cutter(model: Path, kind: str) -> Starts:
    """What tells where words begin, of that kind, from the folder `model`."""
    if kind not in LISTED:
        return load(model, kind).starts
    table = tables.read(model / "words.parquet")
    held = Lexicon.of(dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True)))
    return partial(choose(LISTED, kind, "kinds"), held)


def evaluate(model: Path, inputs: Inputs, params: EvaluateSegmenters) -> Findings:
    """Recall, precision and F1 of each kind, and the share of tags that follow one another as they may."""
    import pyarrow as pa

    gold = tables.read(model / "test.parquet")["words"].to_pylist()
    text = words.read(gold)
    true = (text.tags == S) | (text.tags == words.B)
    found, shown = {}, {"gold": gold[: params.shown]}
    for kind in files.read_json(model / "model.json")["kinds"]:
        starts = cutter(model, kind)
        cut = words.score(true, starts(text.characters, text.lengths))
        found |= {f"{kind}.recall": cut.recall, f"{kind}.precision": cut.precision, f"{kind}.f1": cut.f1}
        if kind not in LISTED:
            found[f"{kind}.legal"] = legal(load(model, kind), text)
        shown[kind] = words.cut(starts, ["".join(sentence) for sentence in gold[: params.shown]])
    cuts = {kind: [" ".join(sentence) for sentence in sentences] for kind, sentences in shown.items()}
    claims = judged({0: found}, params.targets, ARCHIVE, params.data)
    return Findings(found, claims, {"cuts": pa.table(cuts)}, {"f1": _figure(found)})


def legal(tagger: Tagger, text: words.Text) -> float:
    """The share of neighbours within a sentence whose tags may follow one another."""
    numbers = words.numbered(text.characters, tagger.characters)
    tags = words.viterbi(tagger.model, numbers, text.lengths)[0] % 4
    inner = np.ones(len(tags), dtype=bool)
    inner[np.cumsum(text.lengths)[text.lengths > 0] - 1] = False
    before, after = tags[np.flatnonzero(inner)], tags[np.flatnonzero(inner) + 1]
    open_word, goes_on = (before == words.B) | (before == M), (after == M) | (after == E)
    return float((open_word == goes_on).mean())


def _figure(found: dict[str, float]) -> Figure:
    from matplotlib.figure import Figure

    kinds = [key.removesuffix(".f1") for key in found if key.endswith(".f1")]
    figure = Figure(figsize=(5, 0.8 + 0.35 * len(kinds)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(kinds, [found[f"{kind}.f1"] for kind in kinds])
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="F1 of words", xlim=(0, 1.1))
    return figure
