"""`python -m stages.report` writes reports/; `python -m stages.report show` prints the same in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from stages.core.errors import Refusal
from stages.core.progress import say
from stages.report import page, terminal


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, or 1 with one sentence."""
    try:
        if arguments == ["show"]:
            terminal.show()
        else:
            page.write(Path("reports"))
    except Refusal as refusal:
        say(f"report: {refusal}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
