"""The params of a training of any adversarial model: what differs between two of them is what their rows differ in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.nets.layers import Network
from stages.nets.training import Watch


@dataclass(frozen=True)
class Penalty:
    """A penalty on the critic's gradient."""

    kind: str  # of penalties.py
    weight: float


@dataclass(frozen=True)
class Optimiser:
    """Of one player."""

    kind: str  # adam or rmsprop
    rate: float
    beta1: float
    beta2: float
    decay: float  # of the weights


@dataclass(frozen=True)
class Gan:
    """Params of a training."""

    game: str  # plain, o_gan, bigan or meg: which nets there are and what they play
    loss: str  # of losses.py
    penalties: tuple[Penalty, ...]
    terms: dict[str, float]  # weights of what the game adds to the loss
    clip: float  # of the critic's weights, 0 for none
    latent: int  # numbers of z
    prior: Literal["normal", "uniform"]  # of z: N(0, 1), or uniform on (-1, 1)
    output: Literal["sigmoid", "tanh", "linear"]  # images are in [0, 1], in [-1, 1], or points
    generator: Network
    critic: Network
    generator_optimiser: Optimiser
    critic_optimiser: Optimiser
    mode: Literal["alternate", "one_step"]  # one_step: both players at once, by archive 6387
    critic_steps: int  # for each step of the generator, or of several:
    generator_steps: int
    batch: int  # of all processes
    steps: int  # of critic_steps and generator_steps each
    average: float  # decay of the average of the generator's weights
    seeds: tuple[int, ...]
    grids: int  # samples at the same noise through the training, so many times
    shown: int  # of them, each time
    watch: Watch
    device: str
    bf16: bool
    channels_last: bool
    compile: bool
