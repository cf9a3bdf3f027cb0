"""Closed forms and classical learners: exact where exactness exists."""

from __future__ import annotations

from stages.classic.essay import system as essay
from stages.classic.hmm import system as hmm
from stages.classic.logistic import system as logistic
from stages.classic.recurrences import system as recurrences
from stages.classic.shreds import system as shreds
from stages.classic.suite import system as suite
from stages.classic.walks import system as walks
from stages.core.params import Choices

TRAIN: Choices = {
    "recurrences": recurrences.train,
    "analytic_logistic": logistic.train,
    "walks": walks.train,
    "hmm": hmm.train,
    "shreds": shreds.train,
    "suite": suite.train,
    "essay": essay.train,
}
EVALUATE: Choices = {
    "recurrences": recurrences.evaluate,
    "analytic_logistic": logistic.evaluate,
    "walks": walks.evaluate,
    "hmm": hmm.evaluate,
    "shreds": shreds.evaluate,
    "suite": suite.evaluate,
    "essay": essay.evaluate,
}
