"""Promises in params.yaml against the metrics of seeds."""

import pytest

from stages.core.errors import Refusal
from stages.core.targets import Target, judged, summary

ROWS = {0: {"fd": 4.0, "classes": 10.0}, 1: {"fd": 8.0, "classes": 9.0}}


def test_metrics_are_means_over_seeds_with_their_deviation():
    assert summary(ROWS) == {"fd": 6.0, "classes": 9.5, "fd_deviation": 2.0, "classes_deviation": 0.5}
    assert summary({0: ROWS[0]}) == ROWS[0]


def test_a_target_is_judged_by_the_mean_and_keeps_the_spread():
    kept = Target("fd", "better than noise", "at most", 6.0), Target("classes", "no mode is lost", "at least", 10)
    near, lost = judged(ROWS, kept, 6163, "digits")
    assert (near.passed, near.value, near.spread, near.archive) == (True, 6.0, 4.0, 6163)
    assert (lost.passed, lost.value) == (False, 9.5)


def test_a_target_of_no_metric_is_refused_with_those_there_are():
    with pytest.raises(Refusal, match="'kid' is no metric; there are: fd, classes"):
        judged(ROWS, [Target("kid", "", "at most", 0)], 1, "digits")
