"""Parquet tables: same rows, same bytes; what is wrong with a file is one sentence."""

import pyarrow as pa
import pytest

from stages.core import tables
from stages.core.errors import Refusal


def test_the_order_of_rows_does_not_matter(tmp_path):
    one = pa.table({"word": ["b", "a", "c"], "count": [2, 2, 3]})
    for name, table in (("1", one), ("2", one.take([2, 1, 0]))):
        tables.write(table, tmp_path / name, [("count", "descending")])
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert tables.read(tmp_path / "1").column("word").to_pylist() == ["c", "a", "b"]


def test_comments_of_columns_are_kept(tmp_path):
    schema = tables.schema(word=(pa.string(), "the word"))
    tables.write(pa.table({"word": ["x"]}, schema=schema), tmp_path / "t")
    assert tables.read(tmp_path / "t").schema.field("word").metadata == {b"comment": b"the word"}


def test_a_cut_file_is_named(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write(pa.table({"word": ["x"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(Refusal, match=r"t\.parquet is not a readable Parquet file"):
        tables.read(path)


def test_a_missing_file_and_a_missing_column_are_named(tmp_path):
    with pytest.raises(Refusal, match=r"none\.parquet is missing"):
        tables.read(tmp_path / "none.parquet")
    tables.write(pa.table({"word": ["x"]}), tmp_path / "t")
    with pytest.raises(Refusal, match="has no column 'count'; its columns are: word"):
        list(tables.batches(tmp_path / "t", ["count"]))


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), tables.writer(tmp_path / "t", pa.schema([("x", pa.int64())])) as out:
        out.write_table(pa.table({"x": [1]}))
        raise RuntimeError
    assert not list(tmp_path.iterdir())
