"""Mixtures and stacks, with planted losses of modes."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance

from stages.core.errors import Refusal
from stages.nets import modes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_ring_and_the_grid_are_those_of_the_paper():
    ring, grid = modes.centres("ring"), modes.centres("grid")
    assert ring.shape == (8, 2)
    torch.testing.assert_close(ring.norm(dim=1), torch.full((8,), 2 / 1.414))
    neighbours = (ring - ring.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(neighbours, torch.full((8,), 2 * 2 / 1.414 * math.sin(math.pi / 8)))
    expected = {(round(x / 2.828, 4), round(y / 2.828, 4)) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert {(round(x, 4), round(y, 4)) for x, y in grid.tolist()} == expected
    assert (modes.ring().deviation, modes.square().deviation) == pytest.approx((0.02 / 1.414, 0.05 / 2.828))
    with pytest.raises(Refusal, match="choices: ring, grid"):
        modes.draw("rung", 3, generator())


@pytest.mark.parametrize(("name", "count", "deviation"), [("ring", 8, 0.02 / 1.414), ("grid", 25, 0.05 / 2.828)])
def test_true_draws_score_as_they_should(name, count, deviation):
    x = modes.draw(name, 10_000, generator(1))
    centres = modes.centres(name)
    nearest = torch.cdist(x, centres).argmin(1)
    assert (x - centres[nearest]).std().item() == pytest.approx(deviation, rel=0.02)
    found = modes.scores(name, x[:5000], x[5000:])
    assert found["modes"] == count
    assert found["hq"] == 1.0
    assert found["hq3s"] == pytest.approx(1 - math.exp(-4.5), abs=0.005)  # of a normal law in the plane
    assert found["mode_kl"] == pytest.approx((count - 1) / 10_000, abs=0.002)
    assert abs(found["energy_distance"]) < 0.006


def test_planted_losses_are_found():
    x, fresh = modes.draw("ring", 4000, generator(2)), modes.draw("ring", 1000, generator(3))
    owner = torch.cdist(x, modes.centres("ring")).argmin(1)
    half = x[owner < 4][:1000]
    found = modes.scores("ring", half, fresh)
    assert found["modes"] == 4
    assert found["mode_kl"] == pytest.approx(math.log(2), abs=0.01)
    assert found["energy_distance"] > 0.1
    off = modes.scores("ring", torch.cat([half, half + 50]), fresh)
    assert off["hq"] == 0.5
    few = torch.cat([half[:998], x[owner == 7][:2]])
    assert modes.scores("ring", few, fresh)["modes"] == 4  # 0.2 % is not more than 0.2 %
    assert modes.scores("ring", torch.cat([few, x[owner == 7][:1]]), fresh)["modes"] == 5
    away = x[:1000] + torch.tensor([0.05, 0.0])
    shifted = modes.scores("ring", away, fresh)
    assert shifted["hq"] > 0.99
    assert shifted["hq3s"] < 0.5


def test_the_energy_distance_is_the_double_sum_and_in_one_dimension_that_of_scipy():
    x, y = torch.randn(40, 2, generator=generator(4)), torch.randn(30, 2, generator=generator(5)) + 0.5
    cross = np.mean([float((a - b).norm()) for a in x for b in y])
    own = [
        np.mean([float((s[i] - s[j]).norm()) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)
    ]
    assert modes.energy_distance(x, y) == pytest.approx(2 * cross - sum(own), abs=1e-4)
    x, y = torch.randn(1500, 1, generator=generator(6)), torch.randn(1500, 1, generator=generator(7)) * 2
    assert modes.energy_distance(x, y) == pytest.approx(energy_distance(x[:, 0], y[:, 0]) ** 2, abs=0.005)


def test_stacks_take_their_channels_independently():
    grey = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 1, 4, 4)
    found = modes.stacked(grey, 6000, generator(8))
    assert found.shape == (6000, 3, 4, 4)
    assert found.dtype == torch.uint8
    digits = found[:, :, 0, 0].long()
    assert (found == found[:, :, :1, :1]).all()
    counts = torch.bincount(digits @ torch.tensor([100, 10, 1]), minlength=1000)
    assert (counts > 0).sum() > 990
    assert abs(float(torch.corrcoef(digits.T.float())[0, 1])) < 0.05


class Reader:
    """Stands for a judge: an image's class is its brightness, in tenths."""

    @staticmethod
    def probabilities(images):
        assert images.shape[1:] == (1, 2, 2)
        return torch.eye(10)[(images.mean((1, 2, 3)) * 10).round().long()]


def test_triples_are_counted():
    codes = torch.cartesian_prod(*[torch.arange(10.0)] * 3)  # all 1000
    whole = (codes / 10)[:, :, None, None].expand(-1, 3, 2, 2)
    assert modes.triples(Reader(), whole) == pytest.approx({"triples": 1000, "triple_kl": 0}, abs=1e-9)
    part = whole[codes[:, 0] < 5]
    assert modes.triples(Reader(), part) == pytest.approx({"triples": 500, "triple_kl": math.log(2)}, abs=1e-9)
    one = whole[:1].expand(50, -1, -1, -1)
    assert modes.triples(Reader(), one) == pytest.approx({"triples": 1, "triple_kl": math.log(1000)}, abs=1e-9)
    swapped = whole[:10].flip(1)
    assert modes.triples(Reader(), torch.cat([whole[:10], swapped]))["triples"] == 19
