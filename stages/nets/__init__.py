"""Parts of networks, how to estimate them (noise-contrastive estimation), and a network that judges images."""

from __future__ import annotations

from stages.core.params import Choices
from stages.nets import (
    benchmark_activations,
    benchmark_blocks,
    benchmark_optimisers,
    calibration,
    classify,
    classify_evaluate,
    features,
    fid,
    quartic,
    theory,
)
from stages.nets.growth import system as growth

TRAIN: Choices = {
    "nce": quartic.train,
    "features": features.train,
    "inception": fid.train,
    "classify": classify.train,
    "benchmark_activations": benchmark_activations.train,
    "benchmark_blocks": benchmark_blocks.train,
    "benchmark_optimisers": benchmark_optimisers.train,
    "growth": growth.train,
    "nets_theory": theory.train,
}
EVALUATE: Choices = {
    "nce": quartic.evaluate,
    "features": calibration.evaluate,
    "inception": calibration.evaluate,
    "classify": classify_evaluate.evaluate,
    "benchmark_activations": benchmark_activations.evaluate,
    "benchmark_blocks": benchmark_blocks.evaluate,
    "benchmark_optimisers": benchmark_optimisers.evaluate,
    "growth": growth.evaluate,
    "nets_theory": theory.evaluate,
}
