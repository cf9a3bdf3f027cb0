"""Hashing, folding, sorting beyond memory, and working ahead."""

import itertools
import random
import threading

import numpy as np
import pyarrow as pa
import pytest

from stages.corpora import runs as sorting
from stages.corpora.ahead import ahead
from stages.corpora.columns import folded, hashes
from stages.corpora.runs import Runs


def test_hashes_tell_texts_apart_and_depend_on_the_text_alone():
    texts = ["".join(letters) for size in range(5) for letters in itertools.product("ab甲", repeat=size)]
    texts += [f"{i}" for i in range(40_000)] + ["a" * n for n in range(5, 300)]
    found = hashes(pa.array(texts))
    assert len(set(found.tolist())) == len(texts)
    assert hashes(pa.array(["x", *texts[::-1]]).slice(1)).tolist() == found[::-1].tolist()
    assert hashes(pa.array([None, ""])).tolist() == [hashes(pa.array([""]))[0]] * 2
    bits = np.unpackbits(found.view(np.uint8)).mean()
    assert bits == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("什么是股票？", "什么是，股票", True),
        ("《红楼梦》", "红楼 梦", True),
        ("ＡＢＣ", "abc", True),
        ("1996年（丙子年） 12月", "1996年(丙子年)12月", True),
        ("共 5 个。", "共5个", True),
        ("1.5", "15", False),
        ("1-2", "12", False),
        ("1 2", "12", False),
        ("C++", "C", False),
        ("C#", "C", False),
        ("？", "！", False),
        ("-5", "5", False),
    ],
)
def test_folding_joins_spellings_and_not_meanings(one, other, same):
    first, second = folded(pa.array([one, other])).to_pylist()
    assert (first == second) is same


def test_runs_come_out_in_the_order_of_their_key_in_bounded_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(sorting, "BATCH", 16)
    rng = random.Random(0)
    keys = [f"{rng.randrange(900)}键" for _ in range(3000)] + ["重"] * 500 + [""]
    rng.shuffle(keys)
    runs = Runs(tmp_path, "key")
    runs.add(pa.table({"key": pa.array([], pa.string()), "n": pa.array([], pa.int64())}))
    for start in range(0, len(keys), 700):
        part = keys[start : start + 700]
        runs.add(pa.table({"key": part, "n": list(range(start, start + len(part)))}))
    ranges = list(runs.ranges(200))
    found = [[row["key"] for row in table.to_pylist()] for table in ranges]
    assert len(found) > 8
    assert all(max(a) < min(b) for a, b in itertools.pairwise(part for part in found if part))
    assert max(len(part) for part in found if "重" not in part) < 500
    rows = sorted(row["n"] for table in ranges for row in table.to_pylist())
    assert rows == list(range(len(keys)))
    assert all(row["key"] == keys[row["n"]] for table in ranges for row in table.to_pylist())
    (tmp_path / "none").mkdir()
    assert list(Runs(tmp_path / "none", "key").ranges(10)) == []


def test_working_ahead_keeps_order_errors_and_stops():
    assert list(ahead(iter(range(100)))) == list(range(100))

    def failing():
        yield None
        raise ValueError("broken")

    items = ahead(failing())
    assert next(items) is None
    with pytest.raises(ValueError, match="broken"):
        next(items)
    before = threading.active_count()
    items = ahead(itertools.count())
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
