"""Real text for the tests of words."""

from __future__ import annotations

import json
import lzma

import pytest
from made import NEWS, real_file


@pytest.fixture(scope="session")
def real_texts() -> list[str]:
    """About 1 MB of evening news."""
    path = real_file(NEWS)
    if path is None:
        pytest.skip(f"{NEWS} is neither in QUJING_MIRROR nor beside the repository")
    texts, size = [], 0
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            texts.append(json.loads(line)["text"])
            size += len(texts[-1].encode())
            if size > 1_000_000:
                return texts
    return texts
