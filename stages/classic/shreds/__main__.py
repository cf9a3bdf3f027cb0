"""`python -m stages.classic.shreds FOLDER`: the page that the pictures in FOLDER are pieces of."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stages.classic.shreds.command import restore
from stages.classic.shreds.page import Asked
from stages.core.errors import Refusal
from stages.core.progress import say


def main() -> None:
    """Read the command line, restore, and say how sure the page is."""
    parser = argparse.ArgumentParser(prog="python -m stages.classic.shreds", description=__doc__)
    parser.add_argument("folder", type=Path, help="pictures of one size, NAMEa and NAMEb where both sides are printed")
    parser.add_argument("--out", "-o", type=Path, help="folder to write (FOLDER_restored)")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--pages", type=int, default=1, help="pages whose strips are mixed")
    pair = {"action": "append", "default": [], "nargs": 2, "metavar": ("LEFT", "RIGHT")}
    parser.add_argument("--must-link", help="pieces that are neighbours", **pair)
    parser.add_argument("--cannot-link", help="pieces that are not", **pair)
    parser.add_argument("--model", type=Path, help="folder of another scorer than ours, e.g. models/shreds")
    given = parser.parse_args()
    must, cannot = (tuple((a, b) for a, b in pairs) for pairs in (given.must_link, given.cannot_link))
    out = given.out or Path(f"{given.folder.resolve().name}_restored")
    try:
        told = restore(given.folder, out, Asked(given.rows, given.columns, given.pages, must, cannot), given.model)
    except Refusal as refusal:
        sys.exit(f"qujing: {refusal}")
    say(f"{out}: {told['rows']} x {told['columns']}, confidence {told['confidence']}, {told['seconds']} s")


if __name__ == "__main__":
    main()
