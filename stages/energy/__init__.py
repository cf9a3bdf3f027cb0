"""Energies: networks that tell how likely a datum is, trained by sampling from themselves."""

from __future__ import annotations

from stages.core.params import Choices
from stages.energy import images, points

TRAIN: Choices = {"energy_images": images.train, "energy_points": points.train}
EVALUATE: Choices = {"energy_images": images.evaluate, "energy_points": points.evaluate}
