"""Parts of networks, how to estimate them (noise-contrastive estimation), and a network that judges images."""

from __future__ import annotations

from stages.core.params import Choices
from stages.nets import calibration, features, fid, quartic, theory

TRAIN: Choices = {
    "nce": quartic.train,
    "features": features.train,
    "inception": fid.train,
    "nets_theory": theory.train,
}
EVALUATE: Choices = {
    "nce": quartic.evaluate,
    "features": calibration.evaluate,
    "inception": calibration.evaluate,
    "nets_theory": theory.evaluate,
}
