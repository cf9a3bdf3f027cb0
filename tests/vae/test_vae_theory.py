"""The row `vae_theory` keeps all of its promises, and tells where one is broken."""

from dataclasses import replace

import pytest
from repository import ROOT

from stages import run
from stages.core import params, tables
from stages.core.systems import Inputs


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    """The model of the row, and its settings."""
    values = params.load(ROOT / "params.yaml")
    train, judge = (run.read(values, phase, "vae_theory") for phase in ("train", "evaluate"))
    out = tmp_path_factory.mktemp("theory") / "model"
    out.mkdir()
    train.function(Inputs(), train.settings, out)
    return out, judge


def test_every_closed_form_is_met(row):
    out, judge = row
    found = judge.function(out, Inputs(), judge.settings)
    assert [claim.claim for claim in found.claims if not claim.passed] == []
    assert len(found.claims) == 15
    assert {claim.archive for claim in found.claims} == {5343, 7381, 8404}


@pytest.mark.parametrize(
    ("more", "broken"),
    [({"degrees": 0.0}, "and its axes"), ({"kls": ((4, 20.0, 3.3),)}, "kl of the table")],
)
def test_a_closed_form_that_is_missed_is_told(row, more, broken):
    out, judge = row
    found = judge.function(out, Inputs(), replace(judge.settings, **more))
    assert [claim.claim for claim in found.claims if not claim.passed] == [broken]


def test_a_bound_that_falls_is_told(row):
    out, judge = row
    kept = tables.read(out / "importance.parquet")
    try:
        tables.write(kept.take([3, 0, 1, 2]), out / "importance.parquet")
        found = judge.function(out, Inputs(), judge.settings)
        assert "IWAE rises with the draws" in [claim.claim for claim in found.claims if not claim.passed]
    finally:
        tables.write(kept, out / "importance.parquet")
