"""Params of energies small enough to train in a second."""

from dataclasses import replace

from stages.energy.implicit import Implicit
from stages.nets.langevin import Descent
from stages.nets.layers import Network
from stages.nets.training import Watch

SMALL = Implicit(
    network=Network("mlp", (64, 64), "spectral_hidden", "leaky", 0.2, True, "default"),
    descent=Descent(steps=10, step=1.0, noise=0.01, clip=0.0, low=0.0, high=1.0),
    objective="difference",
    alpha=0.1,
    buffer=500,
    store="uint8",
    fresh=0.05,
    batch=64,
    steps=100,
    rate=1e-3,
    betas=(0.0, 0.999),
    cut=0.0,
    average=0.99,
    seeds=(0,),
    watch=Watch(20, 1e4, {"spread": 0.02}, 0),
    device="cpu",
    bf16=False,
    compile=False,
)
RING = replace(
    SMALL,
    network=replace(SMALL.network, norm="none"),
    descent=Descent(steps=20, step=0.005, noise=0.1, clip=0.0, low=-2.0, high=2.0),
    alpha=0.02,
    buffer=5000,
    store="float",
    batch=128,
    steps=500,
    rate=2e-3,
    betas=(0.5, 0.999),
    watch=Watch(50, 1e4, {}, 0),
)
