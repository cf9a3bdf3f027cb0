"""Answer first lines of couplets: `python -m stages.text.couplet 晚风摇树树还挺 --best 3`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stages.core import machine
from stages.core.errors import Refusal
from stages.core.progress import say


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code, 1 for a refusal."""
    parser = argparse.ArgumentParser(prog="python -m stages.text.couplet", description=__doc__)
    parser.add_argument("text", nargs="*", help="first lines, files of them, or - for standard input")
    parser.add_argument("--model", type=Path, default=Path("models/couplets"), help="folder of a trained model")
    parser.add_argument("--best", type=int, default=1, help="answers to each line")
    parser.add_argument("--json", action="store_true", help="an object a line, with log-probabilities")
    given = parser.parse_args(arguments)
    machine.prepare(1)  # before torch is imported
    from stages.text.couplet.robot import Robot
    from stages.text.couplet.spoken import lines_of, told

    try:
        lines = lines_of(given.text)
        for answer in told(lines, Robot.load(given.model).answer(lines, given.best), given.json):
            print(answer)
    except Refusal as refusal:
        say(f"couplets: {refusal}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
