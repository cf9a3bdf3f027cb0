"""Numbers about couplets: nats a character, what tables of characters would have, and rules kept and broken.

    unigram    p(v) = (count of v in second lines + 1) / (all + classes)
    aligned    p(v | u) = (count of v facing u + SMOOTH p(v)) / (count of u + SMOOTH)

Every character of the second lines counts, punctuation too; the unknown ones are one class, of which one is `spread`
more unlikely: it is one among the Chinese characters that are not known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from stages.text.couplet.batches import chunks
from stages.text.couplet.likelihoods import chained, one_pass
from stages.text.couplet.networks import masked, refines
from stages.text.couplet.robot import Robot
from stages.text.couplet.tied import violations
from stages.text.couplet.vocabulary import IDEOGRAPHS, UNKNOWN, Vocabulary, han

SMOOTH = 200.0  # characters that each row of the aligned table has seen beside its own
AT_ONCE = 4096  # characters


def likelihoods(robot: Robot, first: Sequence[str], second: Sequence[str]) -> dict[str, float]:
    """Cross entropies of the network, nats a character of `second`, and how often it is right or copies.

    nats: by one pass; nats_chained: by the chain rule, where the network reads second lines; nats_known: by one pass,
    of known characters alone; nats_spread: `nats` with the unknown spread; top1: share of characters that were the
    likeliest; copied: share of Chinese characters of which the one above was; unknown_targets: share of them.
    """
    sums = dict.fromkeys(("nats", "nats_known", "top1", "copied", "nats_chained"), 0.0)
    classes, characters, unknown, chinese = robot.classes, 0, 0, 0
    reading = refines(robot.how.network)
    barred = torch.from_numpy(robot.known.barred).to(robot.device)
    for rows in chunks(first, AT_ONCE):
        a, b = (robot.numbers([side[row] for row in rows]) for side in (first, second))
        logs = one_pass(robot.net, a, b, classes)
        with torch.inference_mode():
            likeliest = robot.net(a, masked(b, classes)).argmax(-1)
        sums["nats"] -= logs.double().sum().item()
        sums["nats_known"] -= logs[b != UNKNOWN].double().sum().item()
        sums["top1"] += (likeliest == b).sum().item()
        sums["copied"] += ((likeliest == a) & ~barred[a]).sum().item()
        if reading:
            sums["nats_chained"] -= chained(robot.net, a, b, classes).double().sum().item()
        characters, unknown = characters + b.numel(), unknown + (b == UNKNOWN).sum().item()
        chinese += (~barred[a]).sum().item()
    found = {name: value / characters for name, value in sums.items() if reading or name != "nats_chained"}
    found["nats_known"] = sums["nats_known"] / max(1, characters - unknown)
    found["copied"] = sums["copied"] / max(1, chinese)
    found["unknown_targets"] = unknown / characters
    return found | {"nats_spread": found["nats"] + found["unknown_targets"] * spread(robot.known)}


def spread(known: Vocabulary) -> float:
    """How much more unlikely than the unknown class one of its characters is, nats."""
    return math.log(IDEOGRAPHS - sum(han(character) for character in known.characters))


def baselines(
    train: tuple[Sequence[str], Sequence[str]], test: tuple[Sequence[str], Sequence[str]], known: Vocabulary
) -> dict[str, float]:
    """The cross entropies of both tables, counted on `train`, nats a character of `test`."""
    from scipy.sparse import coo_array

    (a, b), (c, d) = ([np.array([i for line in side for i in known.encode(line)]) for side in pair]
                      for pair in (train, test))  # fmt: skip
    size = len(known)
    unigram = (np.bincount(b, minlength=size) + 1) / (len(b) + size)
    facing = coo_array((np.ones(len(a)), (a, b)), shape=(size, size)).tocsr()
    row = np.bincount(a, minlength=size)
    aligned = (facing[c, d] + SMOOTH * unigram[d]) / (row[c] + SMOOTH)
    return {"unigram": float(-np.log(unigram[d]).mean()), "aligned": float(-np.log(aligned).mean())}


def kept(first: Sequence[str], second: Sequence[str], known: Vocabulary) -> dict[str, float]:
    """How second lines keep the rules: shares of lines that repeat (mirrored), of places, of characters.

    mirrored: of first lines with a repeated Chinese character, those in which every repetition is answered by one;
    copies: of places with a Chinese character, those with the same one below; unknown: those with one not `known`.
    """
    repeating = [i for i, line in enumerate(first) if len(set(filter(han, line))) < sum(map(han, line))]
    broken = sum("mirror" in violations(first[i], second[i]) for i in repeating)
    places = [pair for pair in zip("".join(first), "".join(second), strict=True) if han(pair[0])]
    copies = sum(a == b for a, b in places)
    unknown = sum(han(b) and b not in known.number for _, b in places)
    many = max(1, len(places))
    return {"mirrored": 1 - broken / max(1, len(repeating)), "copies": copies / many, "unknown": unknown / many}


def accuracy(found: Sequence[str], second: Sequence[str]) -> float:
    """The share of characters that are those of the couplet."""
    return float(np.mean([a == b for x, y in zip(found, second, strict=True) for a, b in zip(x, y, strict=True)]))
