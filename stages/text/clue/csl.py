"""CSL: are all of these the keywords of this abstract?

Article: https://kexue.fm/archives/8739; data: https://github.com/CLUEbenchmark/CLUE. A record is {"abst": ...,
"keyword": ["物联网", ...], "label": "1"}, read as [CLS] keywords [SEP] abstract [SEP]. The number: 84.03 with BERT,
85.33 with RoBERTa on CLUE's server.
"""

from __future__ import annotations

from typing import Any

from stages.text.clue.classification import Classification
from stages.text.clue.records import Tally

BETWEEN = "；"


def parse(row: dict[str, Any], tally: Tally) -> tuple[str, str] | None:
    """Keywords, joined, and the abstract; None where one of both is missing."""
    words, abstract = row.get("keyword"), row.get("abst")
    if not isinstance(words, list) or not words or not isinstance(abstract, str) or not abstract.strip():
        return None
    return BETWEEN.join(map(str, words)), abstract


TASK = Classification("csl", "csl_predict.json", ("0", "1"), parse)
