"""An energy as a judge of what was never seen: planted, and of each digit in its turn."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from stages import run
from stages.core import params
from stages.core.errors import Refusal
from stages.gan import anomaly, train
from stages.nets import images
from stages.nets.images import Images
from stages.nets.threads import one_thread

ROOT = Path(__file__).parents[2]
LEAST = 0.70  # mean over the ten digits


class Bright(torch.nn.Module):
    """s(x) = how bright."""

    def forward(self, x):
        return x.mean(dim=(1, 2, 3))


def test_high_energy_is_strange(rows):
    source = torch.Generator().manual_seed(0)
    pixels, labels = torch.randint(0, 256, (60, 1, 2, 2), generator=source, dtype=torch.uint8), torch.arange(60) % 3
    data = Images(pixels, labels, pixels, labels)
    game = train.build(rows["meg"], (1, 8, 8), 0, torch.device("cpu"))
    game.nets["D"] = Bright()
    found = anomaly.measured(game, data, (0, 2))
    strange, dark = labels != 1, -(pixels / 255).mean(dim=(1, 2, 3))
    assert found["auroc_unseen"] == pytest.approx(roc_auc_score(strange, dark))
    assert found["precision_unseen"] == pytest.approx(average_precision_score(strange, dark))
    for unseen in ((0, 1, 2), (7,)):
        with pytest.raises(Refusal, match=r"unseen is \["):
            anomaly.measured(game, data, unseen)


@pytest.mark.slow
def test_digits_left_out_in_their_turn_are_told(tmp_path):
    """1200 steps of the generator and five times as many of the energy; `pytest -s` prints them; ten minutes."""
    values = params.load(ROOT / "params.yaml")
    row = run.read(values, "preprocess", "digits")
    row.function(None, row.settings, tmp_path / "data")
    data, how = images.load(tmp_path / "data"), run.read(values, "train", "meg").settings
    adam = replace(how.critic_optimiser, rate=2e-4)
    how = replace(how, generator_optimiser=adam, critic_optimiser=adam, steps=1200, grids=0, device="cpu")
    found = []
    for digit in range(10):
        game = train.build(how, data.shape, 0, torch.device("cpu"))
        with one_thread():
            train.play(game, data.train[data.train_labels != digit], how, 0)
        found.append(anomaly.measured(game, data, (digit,)))
        print(digit, found[-1])
    assert fmean(one["auroc_unseen"] for one in found) >= LEAST
