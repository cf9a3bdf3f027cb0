"""The census of a crawl counts what is missing, forbidden, repeated and badly extracted."""

import pyarrow as pa
import pytest

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.corpora.census import Census, Judge, evaluate, similarity, train

TEXT = "新词发现是从文本里找出词典里没有的词。"
OTHER = "我们先统计，再切分，最后回头检查。"


@pytest.fixture
def folders(tmp_path):
    """A round of four addresses, two documents of them, and the truth: one page is missing, one was forbidden."""
    rows = [
        ("http://x/a", "fetched", "", 200),
        ("http://x/b", "unchanged", "not modified", 304),
        ("http://x/private", "fetched", "", 200),
        ("http://x/no", "refused", "robots.txt", 0),
    ]
    names = ["url", "outcome", "reason", "status"]
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    tables.write(table, tmp_path / "round/manifest.parquet")
    tables.write(
        pa.table({"url": ["http://x/a", "http://x/b"], "text": [TEXT, OTHER]}), tmp_path / "data/documents.parquet"
    )
    dropped = pa.table({"url": ["http://x/private"], "reason": ["short"]})
    tables.write(dropped, tmp_path / "data/dropped.parquet")
    pages = [("http://x/a", TEXT, "标题", "keep"), ("http://x/b", TEXT, "", "keep"), ("http://x/c", TEXT, "", "keep")]
    columns = dict(zip(["url", "text", "aside", "fate"], map(list, zip(*pages, strict=True)), strict=True))
    tables.write(pa.table(columns), tmp_path / "truth/pages.parquet")
    tables.write(pa.table({"url": ["http://x/private", "http://x/no"]}), tmp_path / "truth/forbidden.parquet")
    train(Inputs(input=tmp_path / "data", against=tmp_path / "round"), Census(), tmp_path / "model")
    return tmp_path


def test_what_went_wrong_is_counted(folders):
    found = evaluate(folders / "model", Inputs(truth=folders / "truth"), Judge(1.0, 0.95, "made"))
    assert found.metrics["coverage"] == pytest.approx(2 / 3)
    assert found.metrics["forbidden_requested"] == 1
    assert found.metrics["documents_recall"] == pytest.approx(2 / 3)
    assert found.metrics["documents_precision"] == 1
    assert found.metrics["extraction_f1"] == pytest.approx(0.5)
    assert [claim.passed for claim in found.claims] == [False, False, False]
    dropped = tables.read(folders / "model/pages.parquet", ["url", "dropped"]).to_pylist()
    assert {row["url"]: row["dropped"] for row in dropped}["http://x/private"] == "short"


def test_a_census_needs_its_inputs(folders):
    with pytest.raises(Refusal, match="needs `input`"):
        train(Inputs(input=folders / "data"), Census(), folders / "other")
    with pytest.raises(Refusal, match="against a `truth`"):
        evaluate(folders / "model", Inputs(), Judge(1.0, 0.95, "made"))


def test_similarity_asks_for_the_text_and_nothing_else():
    assert similarity(TEXT, "", TEXT) == 1
    assert similarity(TEXT, "导航首页文章语言", f"导航首页文章语言{TEXT}") > 0.85
    assert similarity(TEXT, "", f"导航首页文章语言{TEXT}") < 0.8
    assert similarity(TEXT + OTHER, "", TEXT) < 0.75
    assert similarity(TEXT, "", OTHER) == similarity(TEXT, "", "") == 0
