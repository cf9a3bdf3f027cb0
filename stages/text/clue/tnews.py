"""TNEWS: which of 15 sections of Toutiao a headline stands in.

Article: https://kexue.fm/archives/8739; data: https://github.com/CLUEbenchmark/CLUE. A record is
{"label": "108", "label_desc": "news_edu", "sentence": ..., "keywords": ...}; keywords are not read. The number: 56.29
with BERT, 58.35 with RoBERTa on CLUE's server.
"""

from __future__ import annotations

from stages.text.clue.classification import Classification, sentences

SECTIONS = (100, 101, 102, 103, 104, 106, 107, 108, 109, 110, 112, 113, 114, 115, 116)

TASK = Classification("tnews", "tnews11_predict.json", tuple(map(str, SECTIONS)), sentences("sentence", ""))
