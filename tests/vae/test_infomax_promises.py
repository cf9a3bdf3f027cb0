"""InfoMax at length: 60 epochs of digits, three seeds, by the weights of the article.

`pytest -m slow -s tests/vae/test_infomax_promises.py` prints what each term is worth; ten minutes.
"""

from dataclasses import replace

import pytest
from repository import ROOT

from stages import run
from stages.core import params
from stages.core.systems import Inputs

EPOCHS = 60
VARIANTS = {
    "full": {},
    "local": {"alpha": 0},
    "global_code": {"beta": 0},
    "global_feature": {"beta": 0, "pairs": "feature"},
    "no_prior": {"gamma": 0},
}
SHOWN = ("probe", "untrained_probe", "pixels_probe", "retrieval", "untrained_retrieval", "code_mean", "code_std")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Metrics of every variant, means over three seeds."""
    values = params.load(ROOT / "params.yaml")
    folder = tmp_path_factory.mktemp("digits")
    row = run.read(values, "preprocess", "digits")
    row.function(None, row.settings, folder / "data")
    train, judged = (run.read(values, phase, "infomax") for phase in ("train", "evaluate"))
    steps = EPOCHS * 1437 // train.settings.batch
    metrics = {}
    for name, variant in VARIANTS.items():
        how = replace(train.settings, **variant, steps=steps, seeds=(0, 1, 2), device="cpu")
        train.function(Inputs(input=folder / "data"), how, folder / name)
        settings = replace(judged.settings, device="cpu")
        metrics[name] = judged.function(folder / name, Inputs(truth=folder / "data"), settings).metrics
        one = metrics[name]
        print(name, *(f"{key} {one[key]:.3f} +- {one[f'{key}_deviation']:.2g}" for key in SHOWN), flush=True)
    return metrics


def test_all_terms_together_make_classes_readable(found):
    assert found["full"]["probe"] >= 0.85


def test_the_local_term_is_better_than_no_training(found):
    assert found["local"]["probe_gain"] >= 0.05


@pytest.mark.xfail(reason="0.929 +- 0.004 and 0.898 +- 0.034: better by 0.03, promised 0.1")
def test_the_local_term_is_better_than_codes_against_codes(found):
    assert found["local"]["probe"] >= found["global_code"]["probe"] + 0.1


@pytest.mark.xfail(reason="0.842 +- 0.031 and 0.898 +- 0.034")
def test_feature_maps_against_codes_are_better_than_codes_against_codes(found):
    assert found["global_feature"]["probe"] > found["global_code"]["probe"]


def test_the_prior_holds_codes_together(found):
    assert found["no_prior"]["code_std"] >= 2 * found["full"]["code_std"]
