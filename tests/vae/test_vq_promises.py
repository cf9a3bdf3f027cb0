"""The promises of VQ-VAE at length: 1700 steps, three seeds, by the judge of the default graph.

`pytest -m slow -s tests/vae/test_vq_promises.py` prints the numbers; five minutes.
"""

from dataclasses import replace

import pytest
import repository

from stages import run
from stages.core import params
from stages.core.systems import Inputs

SEEDS = (0, 1, 2)
STEPS = 1700
ROWS = ("vq_32", "vq_256", "vq_256_ema", "vq_256_revival")
NAMES = ("mse", "perplexity", "used", "agreement", "reconstruction_fd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The digits and a judge of them, as the default graph makes them."""
    values, made = params.load(repository.ROOT / "params.yaml"), tmp_path_factory.mktemp("digits")
    row = run.read(values, "preprocess", "digits")
    row.function(None, row.settings, made / "data")
    row = run.read(values, "train", "digits_features")
    row.function(Inputs(input=made / "data"), replace(row.settings, device="cpu"), made / "judge")
    return made


@pytest.fixture(scope="module")
def found(folder):
    """The metrics of each row."""
    values, metrics = params.load(repository.ROOT / "params.yaml"), {}
    for key in ROWS:
        row = run.read(values, "train", key)
        how = replace(row.settings, steps=STEPS, seeds=SEEDS, device="cpu")
        row.function(Inputs(input=folder / "data"), how, folder / key)
        metrics[key] = measured(values, key, folder)
        print(key, *(f"{name} {metrics[key][name]:.4g} +- {metrics[key][f'{name}_deviation']:.2g}" for name in NAMES))
    return metrics


def measured(values, key, folder):
    row = run.read(values, "evaluate", key)
    return row.function(folder / key, Inputs(truth=folder / "judge"), row.settings).metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "metric", "least", "most"),
    [
        ("vq_32", "mse", 0, 0.007),
        ("vq_32", "perplexity", 22, 32),
        ("vq_32", "agreement", 0.95, 1),
        ("vq_256_revival", "perplexity", 180, 256),
        ("vq_256_ema", "perplexity", 0, 90),
    ],
)
def test_a_codebook_keeps_its_promise(found, key, metric, least, most):
    assert least <= found[key][metric] <= most


@pytest.mark.slow
def test_revival_doubles_the_codes_at_work_and_is_nearest(found):
    revived, plain = found["vq_256_revival"], found["vq_256_ema"]
    assert plain["perplexity"] <= revived["perplexity"] / 2
    assert revived["mse"] < min(plain["mse"], found["vq_256"]["mse"])


@pytest.mark.slow
@pytest.mark.parametrize("key", ["vq_prior", "vq_prior_pixelcnn"])
def test_a_law_beats_frequencies_and_its_samples_beat_uniform_codes(found, folder, key):
    values = params.load(repository.ROOT / "params.yaml")
    row = run.read(values, "train", key)
    how = replace(row.settings, steps=600, seeds=SEEDS, device="cpu")
    row.function(Inputs(input=folder / "vq_32"), how, folder / key)
    metrics = measured(values, key, folder)
    names = ("nats", "unigram", "gain", "fd", "uniform_fd", "reconstruction_fd", "nearest_ratio")
    print(key, *(f"{name} {metrics[name]:.4g} +- {metrics[f'{name}_deviation']:.2g}" for name in names))
    assert metrics["gain"] >= 0.4
    assert metrics["fd"] < metrics["uniform_fd"]
    assert metrics["classes"] == 10
