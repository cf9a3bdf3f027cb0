"""Gradients by hand against autograd and differences, logic against algebra, and the experiments of the essay."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.classic.essay import features, fits, logic, system
from stages.classic.essay.perceptron import ACTIVATIONS, LOSSES, Perceptron, Shape, Training, fit, one_hot
from stages.core.errors import Refusal


def test_gradients_are_autograd_s():
    assert system.gradients(0)["gradient_off"] < 1e-9
    assert len(system.SHAPES) >= 5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "step"])
def test_gradients_are_those_of_differences(name, norm, loss):
    chance = np.random.default_rng(0)
    net = Perceptron(Shape((4, 6, 5, 3), name, k=2.0, norm=norm, dropout=0.3), chance)
    for bias in net.weights[1::2]:  # away from the kink of units all of whose inputs are left out
        bias += chance.normal(size=bias.shape)
    x, target = chance.normal(size=(8, 4)), one_hot(chance.integers(3, size=8), 3)
    _, found = net.gradient(x, target, loss, np.random.default_rng(5))
    for weight, g in zip(net.weights, found, strict=True):
        place = tuple(chance.integers(size) for size in weight.shape)
        old, values = weight[place], []
        for step in (1e-5, -1e-5):
            weight[place] = old + step
            values.append(net.gradient(x, target, loss, np.random.default_rng(5))[0])
        weight[place] = old
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(g[place], rel=1e-4, abs=1e-8)


def test_dropout_keeps_the_mean_and_is_off_without_chance():
    chance = np.random.default_rng(0)
    net = Perceptron(Shape((3, 50, 1), dropout=0.4), chance)
    x, zero = chance.normal(size=(1, 3)), np.zeros((1, 1))
    plain = net.gradient(x, zero, "squared")[0]
    assert plain == pytest.approx(net.forward(x)[0, 0] ** 2)
    hidden, w = np.maximum(x @ net.weights[0], 0), net.weights[2][:, 0]
    spread = ((hidden[0] * w) ** 2 * 0.4 / 0.6).sum()  # of the output
    drawn = [net.gradient(x, zero, "squared", chance)[0] for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(plain + spread, rel=0.1)


def test_steep_sigmoids_are_steps_away_from_zero():
    chance = np.random.default_rng(0)
    z = chance.normal(size=(100, 5))
    z = np.where(np.abs(z) < 0.05, 0.05, z)
    steps, slope = ACTIVATIONS["step"](z, 1)
    assert not slope.any()
    np.testing.assert_allclose(ACTIVATIONS["sigmoid"](z, 500.0)[0], steps, atol=1e-9)
    value, slope = ACTIVATIONS["sigmoid"](z, 1e6)  # no overflow, and no gradient is left
    assert np.isfinite(value).all()
    assert not slope.any()
    found = system.steepened((1, 50), 0)
    assert found["steep.k_1"] > 0.98
    assert found["steep.k_50"] == pytest.approx(found["steep.step"], abs=0.01)


def test_one_unit_says_fourteen_of_sixteen_functions_and_two_say_all():
    """All but XOR and its opposite: by a grid, by the perceptron's rule, and by two hidden units."""
    for number in range(16):
        truth = np.array([number >> place & 1 for place in range(4)])
        linear = not (truth == logic.XOR).all() and not (truth == 1 - logic.XOR).all()
        assert logic.unit_says(truth) == linear == logic.separable(truth)
        assert logic.two_hidden_say(truth)


def test_a_parabola_needs_its_feature():
    found = fits.parabola(3)
    assert found["line"] == pytest.approx(15 / 31, abs=0.03)  # var x / (var x + var x^2) = (4/3) / (4/3 + 64/45)
    assert found["with_feature"] == pytest.approx(1, abs=1e-12)
    assert found["mlp_rmse"] < 0.02


def test_polynomials_are_least_squares():
    x, y = fits.draw(np.random.default_rng(0))
    assert len(x) == fits.POINTS
    for degree in fits.DEGREES[:2]:
        powers = np.vander(2 * x - 1, degree + 1)
        expected = powers @ np.linalg.lstsq(powers, y, rcond=None)[0]
        np.testing.assert_allclose(fits.polynomial(x, y, degree)(x), expected, atol=1e-6)


def test_components_are_the_best_linear_code():
    chance = np.random.default_rng(0)
    x = chance.normal(size=(200, 3)) @ chance.normal(size=(3, 10))
    mean, axes = features.components(x, 3)
    np.testing.assert_allclose(mean + (x - mean) @ axes.T @ axes, x, atol=1e-10)


def test_a_linear_autoencoder_s_error_is_not_below_that_of_components():
    chance = np.random.default_rng(0)
    x = chance.normal(size=(300, 6)) * np.array([3, 2, 1, 0.5, 0.3, 0.1])
    net = features.autoencoder(x, 2, 16, Training(60, 50, 5e-3), 0)
    _, axes = features.components(x, 2)
    best = ((x - x.mean(0) - (x - x.mean(0)) @ axes.T @ axes) ** 2).mean()
    mine = ((net.forward(x) - x) ** 2).mean()
    assert mine < 2.5 * best
    assert features.coded(net, x).shape == (300, 2)


def test_letters_are_shifted_over_one_background():
    x, y, b = features.letters(500, 3, 1)
    assert x.shape == (500, features.SIDE**2)
    assert set(y) == set(range(26))
    assert set(b) == {0, 1, 2}
    assert len({glyph.tobytes() for glyph in features.glyphs()}) == 26
    ink = features.glyphs().reshape(26, -1).sum(1)
    assert (ink > 10).all()
    corners = x.reshape(-1, features.SIDE, features.SIDE)[:, 0, 0]
    for k in range(3):  # the corner is background, but for noise
        assert corners[b == k].std() < 0.1


def test_bad_shapes_are_refused():
    with pytest.raises(Refusal, match="sizes are those of input"):
        Perceptron(Shape((4,)), np.random.default_rng(0))
    with pytest.raises(Refusal, match="activation"):
        Perceptron(Shape((4, 2), "swish"), np.random.default_rng(0))


def test_constant_inputs_and_one_class_do_no_harm():
    chance = np.random.default_rng(0)
    x, y = np.ones((20, 3)), np.zeros(20, dtype=int)
    for shape in (Shape((3, 5, 2)), replace(Shape((3, 5, 2)), norm=True)):
        net = Perceptron(shape, chance)
        losses = fit(net, x, one_hot(y, 2), "cross_entropy", Training(30, 7, 0.05), chance)
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]


@pytest.mark.real
def test_clothes_in_five_epochs():
    """At least 88 % of Fashion-MNIST, from its own files."""
    folder = Path(os.environ.get("QUJING_MIRROR", "")) / "fashion_mnist"
    if not os.environ.get("QUJING_MIRROR") or not folder.exists():
        pytest.skip("no Fashion-MNIST in QUJING_MIRROR")
    from stages.corpora.images.idx import read

    def part(name):
        x = read(folder / f"{name}-images-idx3-ubyte.gz", 3).reshape(-1, 784) / 255 - 0.3
        return x, read(folder / f"{name}-labels-idx1-ubyte.gz", 1).astype(int)

    (x, y), (new, truth) = part("train"), part("t10k")
    chance = np.random.default_rng(0)
    net = Perceptron(Shape((784, 256, 128, 10), dropout=0.1), chance)
    fit(net, x, one_hot(y, 10), "cross_entropy", Training(5, 128, 2e-3), chance)
    right = (net.forward(new).argmax(1) == truth).mean()
    print(right)
    assert right >= 0.88
