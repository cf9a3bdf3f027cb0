"""Closed forms and classical learners: exact where exactness exists."""

from __future__ import annotations

from stages.classic.recurrences import system as recurrences
from stages.core.params import Choices

TRAIN: Choices = {"recurrences": recurrences.train}
EVALUATE: Choices = {"recurrences": recurrences.evaluate}
