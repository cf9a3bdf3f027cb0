"""The KL that vanishes, and what keeps it, at length: 1200 steps, three seeds, the sequences of hidden topics.

`pytest -m slow -s tests/vae/test_sequence_promises.py` prints the table; a quarter of an hour on one core.
"""

from dataclasses import replace

import pytest
from repository import ROOT

from stages import run
from stages.core import params
from stages.core.systems import Inputs
from stages.nets.posteriors import Posterior
from stages.nets.threads import one_thread
from stages.vae.recurrent import Reader

VALUES = params.load(ROOT / "params.yaml")
SHOWN = ("minus_elbo", "nll", "reconstruction", "kl_test", "bound", "slack_least", "active", "shuffled_rise")
ATTENTION = Reader("transformer", 48, 1, 4)
CASES = {
    "plain": {},
    "warm": {"warm_up": 600},
    "bn 0.5": {"posterior": Posterior("bn", 8, {"gamma": 0.5})},
    "bn 0.7": {"posterior": Posterior("bn", 8, {"gamma": 0.7})},
    "bn_tied 0.5": {"posterior": Posterior("bn_tied", 8, {"tau": 0.5})},
    "bn_full 0.5": {"posterior": Posterior("bn_full", 8, {"tau": 0.5})},
    "vmf 10": {"posterior": Posterior("vmf", 8, {"kappa": 10, "learned": 0})},
    "attention plain": {"encoder": ATTENTION, "decoder": ATTENTION},
    "attention bn 0.5": {
        "encoder": ATTENTION, "decoder": ATTENTION, "posterior": Posterior("bn", 8, {"gamma": 0.5})
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Means over seeds by case, as they are asked for."""
    folder, kept = tmp_path_factory.mktemp("topics"), {}
    row = run.read(VALUES, "preprocess", "topics")
    row.function(None, row.settings, folder / "data")

    def measured(case):
        if case not in kept:
            row, judged = (run.read(VALUES, phase, "sequence_plain") for phase in ("train", "evaluate"))
            rate = replace(row.settings.optimiser, rate=2e-3)
            how = replace(row.settings, steps=1200, seeds=(0, 1, 2), optimiser=rate, device="cpu", **CASES[case])
            with one_thread():
                row.function(Inputs(input=folder / "data"), how, folder / case)
                asked = replace(judged.settings, targets=())
                kept[case] = judged.function(folder / case, Inputs(truth=folder / "data"), asked).metrics
            told = (f"{name} {kept[case][name]:.3f} +- {kept[case][f'{name}_deviation']:.3f}" for name in SHOWN)
            print(f"{case:16}", *told, flush=True)
        return kept[case]

    return measured


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        "plain",
        pytest.param(
            "attention plain", marks=pytest.mark.xfail(reason="3.44 +- 0.06 nats: attention asks for the topic")
        ),
    ],
)
def test_without_a_cure_the_kl_vanishes(found, case):
    plain = found(case)
    assert plain["kl_test"] < 0.1
    assert plain["active"] <= 2
    assert plain["shuffled_rise"] < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "least", "cost"),
    [
        ("bn 0.5", 1.0, 0.6),
        ("bn 0.7", 1.96, 0.6),
        ("bn_tied 0.5", 2.0, 0.6),
        ("bn_full 0.5", 2.0, 1.4),
        ("vmf 10", 2.54, 0.6),
    ],
)
def test_with_one_it_stays_above_its_bound_at_little_cost(found, case, least, cost):
    plain, cured = found("plain"), found(case)
    assert cured["bound"] >= least - 1e-3
    assert cured["slack_least"] >= -1e-3
    assert cured["active"] == 8
    assert cured["reconstruction"] <= plain["reconstruction"] - 0.8
    assert cured["minus_elbo"] <= plain["minus_elbo"] + cost
    assert cured["shuffled_rise"] >= 0.5


@pytest.mark.slow
def test_with_attention_the_bound_holds_as_well(found):
    """There is nothing to cure: see above."""
    cured = found("attention bn 0.5")
    assert cured["slack_least"] >= -1e-3
    assert cured["active"] == 8


@pytest.mark.slow
def test_to_let_the_kl_count_by_and_by_is_a_cure_here(found):
    assert found("warm")["kl_test"] > 0.5
