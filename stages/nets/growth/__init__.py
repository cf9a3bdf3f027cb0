"""Trained Transformers made larger without a change of what they compute, https://kexue.fm/archives/8444."""

from __future__ import annotations

from stages.nets.growth.depth import deepen
from stages.nets.growth.width import grow, grow_adam

__all__ = ["deepen", "grow", "grow_adam"]
