"""IFLYTEK: which of 119 kinds an app is of, by its description.

Article: https://kexue.fm/archives/8739; data: https://github.com/CLUEbenchmark/CLUE. A record is
{"label": "0", "label_des": "打车", "sentence": ...}; descriptions hold Unicode's separators of lines, so that files are
parted at \\n only. The number: 61.19 with BERT, 61.12 with RoBERTa on CLUE's server.
"""

from __future__ import annotations

from stages.text.clue.classification import Classification, sentences

TASK = Classification("iflytek", "iflytek_predict.json", tuple(map(str, range(119))), sentences("sentence", ""))
