"""CMNLI and OCNLI: does the second sentence follow from the first, contradict it, or neither?

Article: https://kexue.fm/archives/8739; data: https://github.com/CLUEbenchmark/CLUE (CMNLI, translated from English),
https://github.com/CLUEbenchmark/OCNLI (written in Chinese). A record is {"sentence1": ..., "sentence2": ..., "label":
"neutral"}; "-" says that annotators did not agree, and such records are left out. The numbers: CMNLI 79.37 with BERT,
80.81 with RoBERTa, OCNLI 71.73 and 74.27 on CLUE's server.
"""

from __future__ import annotations

from stages.text.clue.classification import Classification, sentences

LABELS = ("entailment", "neutral", "contradiction")

CMNLI = Classification("cmnli", "cmnli_predict.json", LABELS, sentences("sentence1", "sentence2"))
OCNLI = Classification("ocnli", "ocnli_50k_predict.json", LABELS, sentences("sentence1", "sentence2"))
