"""Pairs from files of JSON values: SimCLUE and what has its fields.

    {"query", "title", "neg_title"}         two that say the same, and one that nearly does
    {"sentence1", "sentence2", "label"}     label 1 where they say the same, else 0: LCQMC, AFQMC, BUSTM, ...

SimCLUE: https://github.com/CLUEbenchmark/SimCLUE.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.json_records import Faults, values
from stages.corpora.pairs.dataset import Test, Train, save
from stages.corpora.readers import open_bytes
from stages.corpora.segmentation import find

Found = tuple[str, str, float, str]
"""first, second, score, negative or ""."""


@dataclass(frozen=True)
class Pairs:
    """Params of the pairs."""

    files: tuple[str, ...]  # names in the input folder
    test: tuple[str, ...]  # names of those that are tested on; () for a share of `files`
    test_share: float  # of the first sentences, where `test` is ()


def pairs(source: Path | None, params: Pairs, out: Path) -> Findings:
    """Write the pairs of the files in the folder `source` to `out`; of no sentence of the test part is trained.

    Raises `Refusal` where a file is missing, or holds values of other fields.
    """
    if source is None:
        raise Refusal("params.yaml: a corpus of kind pairs needs an `input`: the folder of its files")
    if not params.test and not 0 < params.test_share < 1:
        raise Refusal(
            f"params.yaml: test_share of pairs is {params.test_share}: it must lie within 0..1, or name `test`"
        )
    found = [row for name in params.files for row in read(find(source, name))]
    if params.test:
        held = [row for name in params.test for row in read(find(source, name))]
    else:
        held = [row for row in found if zlib.crc32(row[0].encode()) % 10_000 < 10_000 * params.test_share]
    test: list[Test] = []
    for first, second, score, negative in held:
        test.append((first, second, score))
        if negative:
            test.append((first, negative, 0.0))
    test = list(dict.fromkeys(test))
    seen = {sentence for first, second, _ in test for sentence in (first, second)}
    groups: dict[str, int] = {}
    train: list[Train] = []
    for first, second, score, negative in dict.fromkeys(found):
        if score > 0.5 and not seen & {first, second, negative}:
            group = groups.setdefault(first, groups.get(second, len(groups)))
            groups.setdefault(second, group)
            train.append((first, second, negative, group))
    return save(train, test, str(source), out)


def read(path: Path) -> Iterator[Found]:
    """The pairs of one file; raises `Refusal` for a value of other fields."""
    with open_bytes(path) as stream:
        for value in values(stream, Faults()):
            try:
                if "query" in value:
                    yield value["query"].strip(), value["title"].strip(), 1.0, value["neg_title"].strip()
                else:
                    yield value["sentence1"].strip(), value["sentence2"].strip(), float(value["label"]), ""
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise Refusal(
                    f"{path} holds {str(value)[:80]!r}: give query, title and neg_title, or sentence1, sentence2, label"
                ) from error
