"""The row `nets_theory` keeps all of its promises, and tells where one is broken; every check is made and promised."""

from dataclasses import replace

import pytest
from repository import ROOT

from stages import run
from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets.theory import CHECKS, Promises

VALUES = params.load(ROOT / "params.yaml")
TRAIN, EVALUATE = (run.read(VALUES, phase, "nets_theory") for phase in ("train", "evaluate"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("theory") / "model"
    TRAIN.function(Inputs(), TRAIN.settings, out)
    return out


def test_every_promise_is_kept(model):
    found = EVALUATE.function(model, Inputs(), EVALUATE.settings)
    assert [(claim.archive, claim.claim, claim.value) for claim in found.claims if not claim.passed] == []
    assert len(found.claims) == sum(len(part.targets) for part in EVALUATE.settings.promises)


def test_every_check_is_made_and_promised():
    assert set(TRAIN.settings.checks) == set(CHECKS) == {part.check for part in EVALUATE.settings.promises}


def test_a_promise_that_is_broken_is_told(model):
    target = Target("kept_off", "what is kept is more", "at least", 1.0)
    broken = replace(EVALUATE.settings, promises=(Promises("dropout", 4521, "random numbers", (target,)),))
    assert [claim.passed for claim in EVALUATE.function(model, Inputs(), broken).claims] == [False]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Promises("drop", 4521, "none", ()), "no key 'drop'; did you mean 'dropout'"),
        (Promises("dropout", 4521, "none", (Target("share", "half", "at least", 1.0),)), "'share' is no metric"),
    ],
)
def test_a_promise_of_what_was_not_measured_is_refused(model, part, named):
    with pytest.raises(Refusal, match=named):
        EVALUATE.function(model, Inputs(), replace(EVALUATE.settings, promises=(part,)))


def test_the_same_seed_gives_the_same_bytes(model, tmp_path):
    TRAIN.function(Inputs(), TRAIN.settings, tmp_path / "again")
    assert (tmp_path / "again" / "model.json").read_bytes() == (model / "model.json").read_bytes()
