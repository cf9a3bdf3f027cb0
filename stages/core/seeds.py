"""Randomness that params.yaml decides."""

from __future__ import annotations

import random
import sys


def seed(value: int) -> None:
    """Seed Python, numpy, and torch (all its devices) where those are loaded already."""
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)
