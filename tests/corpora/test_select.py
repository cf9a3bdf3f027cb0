"""A part of a data set, and a list of terms."""

import lzma

import pyarrow as pa
import pytest

from stages.core import tables
from stages.core.errors import Refusal
from stages.corpora.documents import columns
from stages.corpora.select import Select, select
from stages.corpora.term_list import TermList, term_list


@pytest.fixture
def source(tmp_path):
    rows = [
        dict.fromkeys(columns().names, value) | {"url": f"http://x/{value}"}
        for value in ("wiki/1", "article/2", "wiki/3")
    ]
    tables.write(pa.Table.from_pylist(rows, schema=columns()), tmp_path / "data/documents.parquet")
    return tmp_path / "data"


def test_documents_whose_address_matches_are_kept_in_order(source, tmp_path):
    found = select(source, Select("/wiki/"), tmp_path / "out")
    kept = tables.read(tmp_path / "out/documents.parquet")
    assert kept["url"].to_pylist() == ["http://x/wiki/1", "http://x/wiki/3"]
    assert kept.schema == tables.read(source / "documents.parquet").schema
    assert found.metrics == {"documents": 2, "left_out": 1}


@pytest.mark.parametrize(("url", "message"), [("(", "no regular expression"), ("nowhere", "mend the expression")])
def test_an_expression_that_selects_nothing_is_refused(source, tmp_path, url, message):
    with pytest.raises(Refusal, match=message):
        select(source, Select(url), tmp_path / "out")


def test_a_selection_needs_an_input(tmp_path):
    with pytest.raises(Refusal, match="input"):
        select(None, Select("x"), tmp_path / "out")


@pytest.mark.parametrize("name", ["terms.txt", "terms.txt.xz"])
def test_a_list_of_terms_becomes_names(tmp_path, name):
    with (lzma.open if name.endswith("xz") else open)(tmp_path / name, "wt", encoding="utf-8") as stream:
        stream.write("版权\t13204281\n证券 \t57\n\n版权\n")
    term_list(tmp_path, TermList(name), tmp_path / "out")
    rows = tables.read(tmp_path / "out/names.parquet").to_pylist()
    assert rows == [{"name": name, "kind": "term", "count": 0} for name in ("版权", "证券")]
    with pytest.raises(Refusal, match="missing"):
        term_list(tmp_path, TermList("no.txt"), tmp_path / "out")
