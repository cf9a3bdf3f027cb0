"""Networks that read and write sentences."""

from __future__ import annotations

from stages.core.params import Choices
from stages.text import sentence_encoder, sentence_evaluate
from stages.text.bert import pretraining, pretraining_evaluate
from stages.text.clue import evaluate as clue_evaluate
from stages.text.clue import train as clue_train
from stages.text.couplet import evaluate as couplet_evaluate
from stages.text.couplet import train as couplet_train
from stages.text.univae import evaluate as univae_evaluate
from stages.text.univae import train as univae_train

TRAIN: Choices = {
    "clue": clue_train.train,
    "couplets": couplet_train.train,
    "masked_language_model": pretraining.train,
    "sentence_encoder": sentence_encoder.train,
    "univae": univae_train.train,
}
EVALUATE: Choices = {
    "clue": clue_evaluate.evaluate,
    "couplets": couplet_evaluate.evaluate,
    "masked_language_model": pretraining_evaluate.evaluate,
    "sentence_encoder": sentence_evaluate.evaluate,
    "univae": univae_evaluate.evaluate,
}
