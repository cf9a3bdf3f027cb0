"""Sentences and their latents: `python -m stages.text.univae "土豆怎么保存" "牛肉好吃吗"`.

Prints each sentence as it comes back; of two, what lies between them, and the first with each latent of the second;
with no sentence, new ones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from stages.core.errors import Refusal
from stages.core.progress import say
from stages.text.univae.robot import Robot, opened

SHARES = (0.25, 0.5, 0.75)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code, 0, or 1 for a refusal."""
    parser = argparse.ArgumentParser(prog="python -m stages.text.univae", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE")
    parser.add_argument("--model", type=Path, default=Path("models/univae"), help="folder of a trained model")
    parser.add_argument("--samples", type=int, default=10, help="new sentences, where none is given")
    parser.add_argument("--temperature", type=float, default=0.0, help="of writing; 0 takes the likeliest")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        for line in told(opened(given.model), given.sentences, given.samples, given.temperature, given.seed):
            print(line)
    except Refusal as refusal:
        say(str(refusal))
        return 1
    return 0


def told(robot: Robot, sentences: list[str], samples: int, temperature: float, seed: int) -> list[str]:
    """The lines that are printed."""
    chance = torch.Generator().manual_seed(seed)
    if not sentences:
        return robot.write(robot.net.prior(samples, chance), temperature, chance)
    latents = robot.read(sentences)
    lines = [f"{a} -> {b}" for a, b in zip(sentences, robot.write(latents, temperature, chance), strict=True)]
    if len(sentences) == 2:
        a, b = latents[:1], latents[1:]
        for share in SHARES:
            lines.append(f"{share:.0%} of the way: {robot.write(robot.between(a, b, share), temperature, chance)[0]}")
        for m in range(latents.shape[1]):
            mixed = a.clone()
            mixed[:, m] = b[:, m]
            lines.append(f"with latent {m + 1} of the second: {robot.write(mixed, temperature, chance)[0]}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
