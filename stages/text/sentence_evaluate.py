"""What a sentence encoder is worth: does nearness say what people say, and does the nearest one answer?

    Spearman's correlation of cosines and scores of the test pairs
    each `first` of a pair that says the same looks for its `second` among all of them: MRR, recall at k

Both also for bags of characters (counts, and weighted by rarity), the better of which is to be beaten. And whether the
cache gave the gradient of the whole batch, dropout and all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from scipy.stats import spearmanr
from torch.nn import functional

from stages.core import devices, files, tables, targets
from stages.core.errors import Refusal
from stages.core.params import choose, typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves
from stages.nets.contrast import LOSSES
from stages.nets.gradient_cache import cached_step
from stages.text.characters import numbered
from stages.text.encoders import Encoder
from stages.text.sentence_encoder import SentenceEncoder

AT_ONCE = 1024  # sentences encoded at a time
RECALLS = (1, 10)
CHECKED, CHUNK = 48, 16  # pairs of the batch that the cache is checked with


@dataclass(frozen=True)
class EvaluateEncoder:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    shown: int  # sentences whose nearest ones are listed
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateEncoder) -> Findings:
    """Metrics of each seed's encoder on `truth`/test.parquet, and the promises held against them.

    Raises `Refusal` where there is no data set, and for a target of a metric that there is none of.
    """
    from safetensors.torch import load_file

    if inputs.truth is None:
        raise Refusal("params.yaml: a sentence encoder is judged on a `truth`, a data set of pairs")
    device, told = devices.pick(params.device), files.read_json(model / "model.json")
    how, known = typed(SentenceEncoder, told["params"], str(model / "model.json")), told["known"]
    table = tables.read(inputs.truth / "test.parquet", ["first", "second", "score"])
    first, second = table["first"].to_pylist(), table["second"].to_pylist()
    same = table["score"].to_numpy() > 0.5
    bags = [judged(*bag(first, second, weighted), same, second) for weighted in (False, True)]
    best = {f"bag_{name}": max(each[name] for each in bags) for name in bags[0]}
    rows, shown = {}, None
    for seed in how.seeds:
        net = Encoder(how.encoder, len(known)).to(device)
        net.load_state_dict(load_file(model / f"seed_{seed}.safetensors", device=str(device)))
        ids = [numbered(texts, known, how.encoder.length).to(device) for texts in (first, second)]
        a, b = (encoded(net.eval(), each) for each in ids)
        found = judged(a, b, same, second)
        above = {f"{name}_above_bag": found[name] - best[f"bag_{name}"] for name in ("spearman", "mrr")}
        places = torch.from_numpy(np.flatnonzero(same)[:CHECKED]).to(device)
        rows[seed] = found | best | above | {"cache_off": cache_off(net, [each[places] for each in ids], how, seed)}
        shown = shown or nearest(a, b, same, first, second, params.shown)
    history = tables.read(model / "history.parquet")
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, {"nearest": shown}, {"curves": curves.curves(history)})


@torch.no_grad()
def encoded(net: Encoder, rows: torch.Tensor) -> np.ndarray:
    """The vectors [n, dim] of sentences, of length 1."""
    found = torch.cat([functional.normalize(net(part), dim=1) for part in rows.split(AT_ONCE)])
    return found.float().cpu().numpy()


def bag(first: list[str], second: list[str], weighted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sentences as bags of characters, [n, characters] of length 1; `weighted` by their rarity among all of them."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    counter = TfidfVectorizer(analyzer="char", use_idf=weighted, dtype=np.float32).fit(first + second)
    return counter.transform(first).toarray(), counter.transform(second).toarray()


def judged(a: np.ndarray, b: np.ndarray, same: np.ndarray, second: list[str]) -> dict[str, float]:
    """spearman, mrr and recall_k of vectors [n, dim] of length 1 of the test pairs, of which some say the `same` [n].

    Spearman's correlation with scores that are 0 or 1, half of them each, is 0.866 at most. The candidates are the
    different `second` of pairs that say the same; of equally near ones the right one comes last.
    """
    cosines = np.einsum("nd,nd->n", a, b)
    queries = np.flatnonzero(same)
    row = {second[i]: i for i in queries}  # of each candidate
    place = {text: i for i, text in enumerate(row)}
    near = a[queries] @ b[list(row.values())].T  # [queries, candidates]
    right = near[np.arange(len(queries)), [place[second[i]] for i in queries]]
    rank = (near >= right[:, None]).sum(1)
    told = float(spearmanr(cosines, same)[0]) if np.ptp(cosines) > 0 else 0.0  # one cosine for all tells nothing
    found = {"spearman": told, "mrr": float((1 / rank).mean())}
    return found | {f"recall_{k}": float((rank <= k).mean()) for k in RECALLS}


def cache_off(net: Encoder, inputs: list[torch.Tensor], how: SentenceEncoder, seed: int) -> float:
    """How far the cached gradient is from that of the whole batch, relatively, with dropout on."""
    loss = partial(choose(LOSSES, how.loss, "loss"), temperature=how.temperature)
    weights, found = list(net.train().parameters()), []
    for cached in (True, False):
        net.zero_grad()
        with torch.random.fork_rng(devices=[inputs[0].device] if inputs[0].is_cuda else []):
            torch.manual_seed(seed)
            if cached:
                cached_step([net, net], inputs, loss, CHUNK)
            else:
                loss(*(torch.cat([net(part) for part in rows.split(CHUNK)]) for rows in inputs)).backward()
        found.append(torch.cat([weight.grad.flatten() for weight in weights]))
    return ((found[0] - found[1]).norm() / found[1].norm()).item()


def nearest(
    a: np.ndarray, b: np.ndarray, same: np.ndarray, first: list[str], second: list[str], shown: int
) -> pa.Table:
    """Some sentences, what was nearest to them, and what says the same."""
    queries = np.flatnonzero(same)
    found = [int(queries[(a[i] @ b[queries].T).argmax()]) for i in queries[:shown]]
    rows = {
        "sentence": [first[i] for i in queries[:shown]],
        "nearest": [second[i] for i in found],
        "says_the_same": [second[i] for i in queries[:shown]],
    }
    return pa.table(rows)
