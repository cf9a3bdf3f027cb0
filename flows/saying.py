"""What a flow tells the person who started it, and whoever looks at its page."""

from __future__ import annotations

import contextlib
import sys


def say(sentence: str) -> None:
    """A line on standard error, and in the log of the flow run around it."""
    print(sentence, file=sys.stderr, flush=True)
    if "prefect" in sys.modules:
        from prefect.exceptions import MissingContextError
        from prefect.logging import get_run_logger

        with contextlib.suppress(MissingContextError):
            get_run_logger().info(sentence)
