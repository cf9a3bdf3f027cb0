"""Variational models: posterior, likelihood and regulariser are parts that combine; one training, one evaluation."""

from __future__ import annotations

from stages.core.params import Choices
from stages.vae import evaluate as judging
from stages.vae import (
    geometry,
    infomax,
    infomax_evaluate,
    prior,
    prior_evaluate,
    sequence_evaluate,
    sequences,
    theory,
    vib,
    vib_evaluate,
    vq,
    vq_evaluate,
)
from stages.vae import train as training

TRAIN: Choices = {
    "vae": training.train,
    "sequence_vae": sequences.train,
    "vae_theory": theory.train,
    "vq": vq.train,
    "vq_prior": prior.train,
    "vib": vib.train,
    "infomax": infomax.train,
    "geometry": geometry.train,
}
EVALUATE: Choices = {
    "vae": judging.evaluate,
    "sequence_vae": sequence_evaluate.evaluate,
    "vae_theory": theory.evaluate,
    "vq": vq_evaluate.evaluate,
    "vq_prior": prior_evaluate.evaluate,
    "vib": vib_evaluate.evaluate,
    "infomax": infomax_evaluate.evaluate,
    "geometry": geometry.evaluate,
}
