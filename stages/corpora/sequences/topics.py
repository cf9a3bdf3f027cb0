"""Sequences of a hidden topic: on them a strong decoder does without the code, and its KL vanishes.

Article: https://kexue.fm/archives/7381. Each topic is a Markov chain with a transition matrix of its own,
P = softmax(sharpness N(0, 1)), and begins anywhere alike. What a model can reach is known:

    H(x | topic) = E -log P_topic(x)        H(x) = E -log mean over topics of P_topic(x)

The number: with 8 topics, 12 symbols and 24 places the second is 2.08 = log 8 nats above the first, less what cannot
be told of the topic from a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.sequences.dataset import MOST, save


@dataclass(frozen=True)
class Topics:
    """Params of the made sequences."""

    topics: int
    symbols: int
    length: int
    sharpness: float  # standard deviation of the log weights of transitions
    train: int
    test: int
    seed: int


def topics(source: Path | None, params: Topics, out: Path) -> Findings:
    """Write sequences, labelled by topic, to `out`; `source` is not used. Raises `Refusal` for counts out of range."""
    if min(params.topics, params.train, params.test, params.length - 1) < 1 or not 2 <= params.symbols <= MOST:
        raise Refusal(f"params.yaml: topics, train and test must be 1 at least, length 2, and symbols 2 to {MOST}")
    chance = np.random.default_rng(params.seed)
    weights = np.exp(params.sharpness * chance.standard_normal((params.topics, params.symbols, params.symbols)))
    chains = weights / weights.sum(-1, keepdims=True)  # [topics, from, to]
    parts = {}
    for name, n in (("train", params.train), ("test", params.test)):
        parts[f"{name}_labels"] = chance.integers(params.topics, size=n)
        parts[name] = drawn(chains, parts[f"{name}_labels"], params.length, chance) + 1
    each = log_likelihoods(chains, parts["test"] - 1)  # [test, topics]
    known = each[np.arange(params.test), parts["test_labels"]]
    entropies = {"entropy_of_topic": -known.mean(), "entropy": -_log_mean(each).mean()}
    names = [f"topic {i}" for i in range(params.topics)]
    symbols = ["", *(_letter(i) for i in range(params.symbols))]
    return save(parts, symbols, names, "Markov chains, one a topic", out, entropies)


def drawn(chains: np.ndarray, labels: np.ndarray, length: int, chance: np.random.Generator) -> np.ndarray:
    """Sequences [n, length] of symbols from 0, of the chain [from, to] that each of `labels` [n] names."""
    rows = np.empty((len(labels), length), dtype=np.int64)
    rows[:, 0] = chance.integers(chains.shape[-1], size=len(labels))
    for place in range(1, length):
        until = chains[labels, rows[:, place - 1]].cumsum(-1)  # [n, to]
        rows[:, place] = (chance.random((len(labels), 1)) * until[:, -1:] < until).argmax(-1)
    return rows


def log_likelihoods(chains: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """log P_topic(x), [n, topics], of `rows` [n, length] of symbols from 0."""
    steps = np.log(chains)[:, rows[:, :-1], rows[:, 1:]]  # [topics, n, length - 1]
    return steps.sum(-1).T - np.log(chains.shape[-1])


def _log_mean(each: np.ndarray) -> np.ndarray:
    most = each.max(-1, keepdims=True)
    return np.log(np.exp(each - most).mean(-1)) + most[:, 0]


def _letter(i: int) -> str:
    return chr(ord("a") + i) if i < 26 else f"s{i}"
