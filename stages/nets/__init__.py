"""Parts of networks, and how to estimate them: noise-contrastive estimation."""

from __future__ import annotations

from stages.core.params import Choices
from stages.nets import quartic

TRAIN: Choices = {"nce": quartic.train}
EVALUATE: Choices = {"nce": quartic.evaluate}
