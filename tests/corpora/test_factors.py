"""Questions of two factors: all combinations, each once, and their truth."""

import pytest

from stages.core import files, tables
from stages.core.errors import Refusal
from stages.corpora.sequences.factors import PATTERNS, TOPICS, Factors, factors


def test_the_lists_are_fit_for_their_use():
    assert len(set(TOPICS)) == len(TOPICS)
    assert len(set(PATTERNS)) == len(PATTERNS)
    assert all(pattern.count("{}") == 1 for pattern in PATTERNS)
    whole = [pattern.replace("{}", topic) for topic in TOPICS for pattern in PATTERNS]
    assert len(set(whole)) == len(whole) >= 5000
    assert {len(text) for text in whole} >= {4, 15}
    assert all(4 <= len(text) <= 16 for text in whole)


def test_every_combination_is_there_once(tmp_path):
    found = factors(None, Factors(5, 4, 0.25, 0), tmp_path / "out")
    assert found.metrics == {"train": 15.0, "test": 5.0}
    train, test = (tables.read(tmp_path / "out" / f"{part}.parquet").to_pylist() for part in ("train", "test"))
    assert {(row["topic"], row["pattern"]) for row in train + test} == {
        (t, p) for t in TOPICS[:5] for p in PATTERNS[:4]
    }
    assert [len(train), len(test)] == [15, 5]
    assert all(row["text"] == row["pattern"].replace("{}", row["topic"]) for row in train + test)
    assert files.read_json(tmp_path / "out" / "metadata.json")["topics"] == TOPICS[:5]
    factors(None, Factors(5, 4, 0.25, 0), tmp_path / "again")
    for name in ("train.parquet", "test.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (Factors(1, 4, 0.1, 0), "2 to 72 topics"),
        (Factors(5, 500, 0.1, 0), "2 to 70 patterns"),
        (Factors(5, 4, 0.0, 0), "empty"),
    ],
)
def test_bad_params_are_named(params, says, tmp_path):
    with pytest.raises(Refusal, match=says):
        factors(None, params, tmp_path / "out")
