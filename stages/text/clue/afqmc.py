"""AFQMC: do two questions to a bank's service ask the same?

Article: https://kexue.fm/archives/8739; data: https://github.com/CLUEbenchmark/CLUE. A record is
{"sentence1": ..., "sentence2": ..., "label": "0"}; BUSTM of FewCLUE has the same fields. The number: 73.37 with BERT,
73.61 with RoBERTa on CLUE's server (69 of 100 pairs are different).
"""

from __future__ import annotations

from stages.text.clue.classification import Classification, sentences

TASK = Classification("afqmc", "afqmc_predict.json", ("0", "1"), sentences("sentence1", "sentence2"))
