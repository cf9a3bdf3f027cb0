"""What a UniVAE is worth: what comes back, what its latents hold, and what it writes of its own.

characters, exact     of test sentences that are read and written greedily; beam_..., by a beam; zeroed_..., with
                      0 for all latents
nats                  of a test sentence given its latents, its KL beside it: the sum bounds -log p(x)
swap                  of one latent between two questions of two factors (swap.py)
chosen                the start (seed) whose exchanges part the factors best on training questions, and its exchanges
                      on test questions: about every other start mixes the two
samples               of the prior, at several temperatures of the writing
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch

from stages.core import devices, files, tables, targets
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves
from stages.nets.posteriors import Vmf
from stages.text.univae import data, measures, swap
from stages.text.univae.robot import Robot, opened
from stages.text.univae.train import Loss

FACTORS = ("topic", "pattern")


@dataclass(frozen=True)
class EvaluateUnivae:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    sentences: int  # of the test part that are read at most
    width: int  # of the beam
    samples: int  # of the prior that are judged
    temperatures: tuple[float, ...]  # of writing; 0 takes the likeliest
    shown: int  # rows of each table
    seed: int
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateUnivae) -> Findings:
    """Metrics of each seed's model on the test part of `truth`, the promises, and tables of what it writes.

    Raises `Refusal` where there is no model or data, and for a target of a metric that there is none of.
    """
    device = devices.pick(params.device)
    train, test = data.load(inputs.truth, "train"), data.load(inputs.truth, "test")
    rows, shown, apart = {}, {}, {}
    for seed in files.read_json(model / "model.json")["params"]["seeds"]:
        robot = opened(model, device, seed)
        chance = torch.Generator(device).manual_seed(params.seed)
        read = [data.cut(text, robot.length - 2) for text in test.texts[: params.sentences]]
        rows[seed], latents = restored(robot, read, params, chance)
        rows[seed] |= {"references_off": measures.references_off()}
        rows[seed] |= {"cosine_off": measures.cosine_off(torch.Generator().manual_seed(params.seed))}
        known = {text: True for part in (train, test) for text in part.texts}
        found, samples = free(robot, known, params, chance)
        rows[seed] |= found
        tables_of = {"samples": samples, "interpolated": between(robot, read, latents, params)}
        if test.topics is not None:
            found, tables_of["swapped"] = moved(robot, train, test, latents, params)
            rows[seed] |= found
            every = max(1, len(train.texts) // params.sentences)
            here = data.Sentences(*(column[::every] for column in (train.texts, train.topics, train.patterns)))
            found, _ = moved(robot, test, here, robot.read(here.texts[: params.sentences]), params)
            apart[seed] = min(found[f"most_changed_{factor}"] for factor in FACTORS)
        shown[seed] = tables_of
    chosen = max(shown, key=lambda seed: apart.get(seed, 0.0))  # of equals the first
    for row in rows.values():
        row |= {f"chosen_changed_{factor}": rows[chosen][f"most_changed_{factor}"] for factor in FACTORS if apart}
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    history = tables.read(model / "history.parquet")
    return Findings(targets.summary(rows), claims, shown[chosen], {"curves": curves.curves(history)})


def restored(
    robot: Robot, read: list[str], params: EvaluateUnivae, chance: torch.Generator
) -> tuple[dict[str, float], torch.Tensor]:
    """How test sentences come back, and their latents [n, scales, latent]."""
    latents = robot.read(read)
    found = measures.alike(read, robot.write(latents))
    for name, written in {
        "beam": [best[0] for best in robot.beam(latents, params.width)],
        "drawn": robot.write(robot.read(read, chance)),
        "zeroed": robot.write(0 * latents),
    }.items():
        found |= {f"{name}_{key}": value for key, value in measures.alike(read, written).items()}
    found["characters_lost"] = found["characters"] - found["zeroed_characters"]
    with torch.no_grad():
        nats, kl = Loss(robot.net)(robot.numbers(read), chance)
    found |= {"nats": nats.mean().item(), "kl": kl.mean().item()}
    law = robot.net.laws[0]
    if isinstance(law, Vmf) and law.law.kappa > 0:
        told = len(robot.net.laws) * measures.divergence(law.law.d, law.law.kappa.item())
        found["kl_off"] = (kl - told).abs().max().item()
    return found, latents


def free(
    robot: Robot, known: dict[str, bool], params: EvaluateUnivae, chance: torch.Generator
) -> tuple[dict[str, float], pa.Table]:
    """What is written from the prior: the share that is `known` and that differ, at each temperature; and some."""
    latents, found, columns = robot.net.prior(params.samples, chance), {}, {}
    for temperature in params.temperatures:
        written = robot.write(latents, temperature, chance)
        found[f"known_at_{temperature:g}"] = sum(text in known for text in written) / len(written)
        found[f"different_at_{temperature:g}"] = len(set(written)) / len(written)
        columns[f"temperature_{temperature:g}"] = written[: params.shown]
    return found, pa.table(columns)


def between(robot: Robot, read: list[str], latents: torch.Tensor, params: EvaluateUnivae) -> pa.Table:
    """On the way from a sentence to the next."""
    steps, n = (0.0, 0.25, 0.5, 0.75, 1.0), min(params.shown, len(read) - 1)
    ways = torch.stack([robot.between(latents[:n], latents[1 : n + 1], share) for share in steps], 1)
    written = iter(robot.write(ways.flatten(0, 1)))
    rows = [
        {"from": read[i]} | {f"at_{share:g}": next(written) for share in steps} | {"to": read[i + 1]} for i in range(n)
    ]
    return pa.Table.from_pylist(rows)


def moved(
    robot: Robot, other: data.Sentences, test: data.Sentences, latents: torch.Tensor, params: EvaluateUnivae
) -> tuple[dict[str, float], pa.Table]:
    """The outcomes of exchanging each latent, as NAME_of_latent_m, and the largest share of each; and some.

    `latents` are those of the first `sentences` of `test`; `other` are further questions that there are.
    """
    part = data.Sentences(*(column[: params.sentences] for column in (test.texts, test.topics, test.patterns)))
    pairs = swap.pairs(part, params.samples, params.seed)
    known = {x: (a, b) for s in (other, test) for x, a, b in zip(s.texts, s.topics, s.patterns, strict=True)}
    columns, found, each = [], {}, []
    for m in range(latents.shape[1]):
        columns.append(robot.write(swap.exchanged(latents, pairs, m)))
        each.append(swap.judged(columns[m], part, pairs, known))
        found |= {f"{name}_of_latent_{m + 1}": share for name, share in each[m].items()}
    for name in ("swapped_topic", "swapped_pattern", "changed_topic", "changed_pattern"):
        found[f"most_{name}"] = max(shares[name] for shares in each)
    return found, swap.table(part.texts, pairs, columns).slice(0, params.shown)
