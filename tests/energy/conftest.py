"""Digits, a judge of them, and one thread."""

import pytest

from stages.core.systems import Inputs
from stages.corpora.images.digits import Digits, digits
from stages.nets import features
from stages.nets.threads import one_thread
from stages.nets.training import Watch


@pytest.fixture(autouse=True)
def calm():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The digits, as data/digits is."""
    out = tmp_path_factory.mktemp("data") / "digits"
    digits(None, Digits(360, 0), out)
    return out


@pytest.fixture(scope="session")
def judge(data, tmp_path_factory):
    """A small network that knows them, as models/digits_features is."""
    out = tmp_path_factory.mktemp("models") / "judge"
    watch = Watch(50, 1e4, {}, 0)
    params = features.Features((8, 16), 16, "labels", 0.05, 0.05, 200, 64, 3e-3, 1437, 0, watch, "cpu", False, False)
    with one_thread():
        features.train(Inputs(input=data), params, out)
    return out
