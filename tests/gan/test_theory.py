"""The row of the theory: what it computes is held against what the articles say, and a wrong saying is told."""

from dataclasses import replace

import numpy as np
import pytest
from repository import ROOT

from stages import run
from stages.core import params, tables
from stages.core.systems import Inputs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two games of the row, and its judge."""
    values = params.load(ROOT / "params.yaml")
    row, judge = (run.read(values, phase, "gan_theory") for phase in ("train", "evaluate"))
    games = tuple(game for game in row.settings.games if game.name in ("sgan", "sgan_r1"))
    out = tmp_path_factory.mktemp("theory") / "model"
    row.function(Inputs(), replace(row.settings, games=games), out)
    how = replace(judge.settings, circles={"sgan": (0.13, 0.23)}, rests={"sgan_r1": 0.00015})
    return out, judge.function, how


def test_the_claims_hold(made):
    out, evaluate, how = made
    found = evaluate(out, Inputs(), how)
    assert len(found.claims) == 7
    assert all(claim.passed for claim in found.claims)
    assert set(found.figures) == {"paths"}


def test_a_game_said_to_rest_that_circles_is_told(made):
    out, evaluate, how = made
    found = evaluate(out, Inputs(), replace(how, circles={}, rests={"sgan": 0.01}))
    assert not next(claim for claim in found.claims if claim.claim == "sgan comes to rest").passed


def test_paths_begin_where_the_article_begins_and_have_even_times(made):
    paths = tables.read(made[0] / "paths.parquet")
    assert paths["game"].to_pylist().count("sgan") == 401
    np.testing.assert_allclose([paths["x"][0].as_py(), paths["y"][0].as_py()], [0.2, 0.1])
    np.testing.assert_allclose(np.diff(paths["time"].to_numpy()[:401]), 0.25)
