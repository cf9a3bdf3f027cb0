"""How well hidden characters of documents held out are guessed, against counts of characters and of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from stages.core import devices, files, tables, targets
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves
from stages.text.bert import checkpoints, corpus, masking
from stages.text.bert.counts import Counts
from stages.text.bert.pretraining import MaskedLanguageModel
from stages.text.bert.vocabulary import Vocabulary

AT_ONCE = 64  # rows read at a time


@dataclass(frozen=True)
class EvaluateMasked:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    share: float  # of tokens that are asked about
    rows: int  # of the held-out part that are asked about at most
    shown: int  # rows whose guesses are listed
    seed: int  # of the gaps
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateMasked) -> Findings:
    """Accuracy and nats a hidden character of the model and of counts, and the promises.

    Everything asked about is hidden here. Raises `Refusal` where there is no model or no corpus, and for a target of a
    metric that there is none of.
    """
    device, path = devices.pick(params.device), model / "model.json"
    how = typed(MaskedLanguageModel, files.read_json(path)["params"], str(path))
    encoder, vocabulary = checkpoints.load(model, device)
    head = checkpoints.load_head(model, device)
    parts = corpus.texts(inputs.truth, how.held_out, how.seed)
    rows = torch.from_numpy(corpus.rows(parts.held_out, vocabulary, how.length)[: params.rows])
    generator = torch.Generator().manual_seed(params.seed)
    gaps = masking.asked(rows, params.share, vocabulary.mask, len(vocabulary), generator, masked=1.0)
    counted, (row, _) = gaps.counted.numpy(), np.nonzero(gaps.counted.numpy())
    place, target = gaps.places.numpy()[counted], gaps.targets.numpy()[counted]
    with torch.no_grad():
        found = []
        for shown, places in zip(gaps.shown.split(AT_ONCE), gaps.places.split(AT_ONCE), strict=True):
            x = encoder(shown.to(device))
            there = x.gather(1, places.to(device)[..., None].expand(-1, -1, x.shape[-1]))
            found.append(head(there, encoder.tokens.weight).float().log_softmax(-1).cpu())
    guesses = torch.cat(found).numpy()[counted]  # [asked, vocabulary]
    counts = Counts(corpus.rows(parts.train, vocabulary, how.length), len(vocabulary), masking.ORDINARY)
    shown = gaps.shown.numpy()
    rivals = {
        "": guesses,
        "unigram_": counts.unigram(len(target)),
        "bigram_": counts.bigram(shown[row, place - 1], vocabulary.mask),
        "neighbours_": counts.neighbours(shown[row, place - 1], shown[row, place + 1], vocabulary.mask),
    }
    metrics = {"asked": float(len(target))}
    for name, told in rivals.items():
        metrics |= {f"{name}{key}": value for key, value in judged(told, target).items()}
    for name in ("unigram", "bigram", "neighbours"):
        metrics[f"accuracy_above_{name}"] = metrics["accuracy"] - metrics[f"{name}_accuracy"]
        metrics[f"nats_below_{name}"] = metrics[f"{name}_nats"] - metrics["nats"]
    claims = targets.judged({how.seed: metrics}, params.targets, params.archive, params.data)
    history = tables.read(model / "history.parquet")
    listed = examples(shown, rows.numpy(), row, place, guesses.argmax(1), vocabulary, params.shown)
    return Findings(metrics, claims, {"examples": listed}, {"curves": curves.curves(history)})


def judged(log_p: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """accuracy, and nats, of log probabilities [n, vocabulary] about targets [n]."""
    at = log_p[np.arange(len(target)), target].astype(np.float64)
    return {"accuracy": float((log_p.argmax(1) == target).mean()), "nats": float(-at.mean())}


def examples(
    shown: np.ndarray, rows: np.ndarray, row: np.ndarray, place: np.ndarray, guess: np.ndarray,
    vocabulary: Vocabulary, most: int,
) -> pa.Table:  # fmt: skip
    """Some rows with gaps, [MASK] as a box; what was guessed, in brackets where it is wrong; and what stood there."""
    found: dict[str, list[str]] = {"shown": [], "guessed": [], "truth": []}
    for i in range(min(most, len(shown))):
        tokens = [vocabulary.decode([number]) for number in shown[i]]
        gaps, told = list(tokens), list(tokens)
        for at, number in zip(place[row == i], guess[row == i], strict=True):
            right = number == rows[i, at]
            gaps[at], told[at] = "□", vocabulary.decode([number]) if right else f"[{vocabulary.decode([number])}]"
        found["shown"].append("".join(gaps))
        found["guessed"].append("".join(told))
        found["truth"].append(vocabulary.decode(rows[i]))
    return pa.table(found)
