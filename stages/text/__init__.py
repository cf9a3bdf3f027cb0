"""Networks that read and write sentences."""

from __future__ import annotations

from stages.core.params import Choices
from stages.text import sentence_encoder, sentence_evaluate

TRAIN: Choices = {"sentence_encoder": sentence_encoder.train}
EVALUATE: Choices = {"sentence_encoder": sentence_evaluate.evaluate}
