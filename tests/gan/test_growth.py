"""Recall and sharpness through a training, on images that were made to have them."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from stages.gan import growth
from stages.nets.images import Images


def test_sharpness_is_the_length_of_the_gradient():
    ramp = torch.arange(8) / 10
    across, both = ramp.expand(2, 1, 8, 8), (ramp + ramp[:, None]).expand(2, 1, 8, 8)
    assert growth.sharpness(torch.full((2, 3, 8, 8), 0.5)) == 0
    assert growth.sharpness(across) == pytest.approx(0.1)
    assert growth.sharpness(across.mT) == pytest.approx(0.1)
    assert growth.sharpness(both) == pytest.approx(0.1 * 2**0.5)


def test_recall_is_that_of_a_peer():
    source = torch.Generator().manual_seed(0)
    real, fake = torch.randn(300, 4, generator=source), 0.7 * torch.randn(90, 4, generator=source)
    reach = NearestNeighbors(n_neighbors=6).fit(fake.numpy()).kneighbors(fake.numpy())[0][:, -1]
    far = np.linalg.norm(real.numpy()[:, None] - fake.numpy(), axis=2)
    assert growth.recall(real, fake) == pytest.approx((far <= reach).any(1).mean())


class Eye:
    """Stands for a judge: it sees the pixels."""

    def __init__(self, train):
        one = torch.zeros(1, dtype=torch.int64)
        self.images, self.rows = Images(train, one, train, one), torch.arange(len(train))
        self.reference = self.features(train / 255)

    def features(self, x):
        return x.flatten(1)

    def standardised(self, x):
        return x


def test_moments_tell_one_kind_from_two_and_blurred_from_sharp():
    source = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 40, (80, 1, 4, 4), generator=source, dtype=torch.uint8)
    train = noise + torch.tensor([0, 200], dtype=torch.uint8).repeat_interleave(40).view(-1, 1, 1, 1)
    whole = train / 255
    one = whole[:40].repeat(2, 1, 1, 1)
    flat = whole.mean(dim=(2, 3), keepdim=True).expand_as(whole)
    found = growth.moments(Eye(train), torch.stack([one, flat, whole]))
    assert [round(moment["recall"], 2) for moment in found] == [0.5, 0.0, 1.0]
    assert found[1]["sharpness"] == pytest.approx(0)
    assert found[2]["sharpness"] == pytest.approx(1)
    assert growth.summary(found) == pytest.approx({"recall_rise": 1, "sharpness": 1, "sharpness_least": 0})
    table = growth.table({0: found, 5: found}, 60)
    assert table["step"].to_pylist() == [20, 40, 60] * 2
    assert table["seed"].to_pylist() == [0] * 3 + [5] * 3
    assert [len(axes.lines) for axes in growth.curve(table).axes] == [2, 2]
