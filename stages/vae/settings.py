"""The params of a training of any VAE: what differs between two of them is what their rows differ in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.nets.layers import Network
from stages.nets.posteriors import Posterior
from stages.nets.training import Watch
from stages.vae.likelihoods import Likelihood


@dataclass(frozen=True)
class Optimiser:
    """Of all weights."""

    kind: str  # adam or rmsprop
    rate: float


@dataclass(frozen=True)
class Fitting:
    """Params of fitting a VAE, whatever its data."""

    posterior: Posterior
    regulariser: str  # of objective.py
    beta: float  # weight of the regulariser
    free_bits: float  # nats that the KL of a dimension counts at least
    warm_up: int  # steps in which the weight rises from 0 to beta
    optimiser: Optimiser
    batch: int  # of all processes
    steps: int
    average: float  # decay of the average of all weights, 0 for the last ones
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    channels_last: bool
    compile: bool


@dataclass(frozen=True)
class Vae(Fitting):
    """Params of a training on images."""

    likelihood: Likelihood
    encoder: Network
    decoder: Network
    binary: Literal["none", "threshold", "dynamic"]  # pixels as they are, 1 above a half, or drawn anew at every look
