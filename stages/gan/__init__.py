"""Adversarial models: one training (train.py), one table of losses (losses.py), one evaluation (evaluate.py)."""

from __future__ import annotations

from stages.core.params import Choices
from stages.gan import evaluate as judging
from stages.gan import stacks, theory
from stages.gan import train as training

TRAIN: Choices = {"gan": training.train, "gan_stacked": training.train, "theory": theory.train}
EVALUATE: Choices = {"gan": judging.evaluate, "gan_stacked": stacks.evaluate, "theory": theory.evaluate}
