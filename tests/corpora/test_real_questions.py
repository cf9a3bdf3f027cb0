"""Saved pages of Baidu Zhidao give the address, the question and the tags that were recorded of them."""

import json
import os
import tarfile
from pathlib import Path

import pytest
import yaml

from stages import run
from stages.core import tables
from stages.corpora.markup import Page
from stages.corpora.questions import pages, system

ROOT = Path(__file__).parents[2]
MIRROR = Path(os.environ.get("QUJING_MIRROR") or ROOT.parent / "shared/data").resolve() / "zhidao"
WEB = yaml.safe_load((ROOT / "params/web.yaml").read_text(encoding="utf-8"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MIRROR.is_dir(), reason="QUJING_MIRROR names no folder of real data"),
]


@pytest.fixture(scope="module")
def recorded():
    lines = (MIRROR / "zhidao_records.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["file"]: row for row in map(json.loads, lines)}


def test_every_saved_page_gives_its_record(recorded):
    wrong, others = [], 0
    with tarfile.open(MIRROR / "zhidao_html.tar.xz") as archive:
        for member in archive:
            asked = pages.asked(Page.of(archive.extractfile(member).read()), tuple(pages.PARSERS))
            record = recorded.get(Path(member.name).name)
            if record is None:
                others += len(asked)  # pages of errors
            elif [(one.url, one.question, list(one.tags)) for one in asked] != [
                (record["url"], record["question"], record["tags"])
            ]:
                wrong.append((record, asked))
    print(*wrong, sep="\n")
    assert len(recorded) == 132
    assert len(wrong) <= 0.01 * len(recorded)
    assert others == 0


def test_the_corpus_of_the_pages_has_each_question_once(tmp_path, recorded):
    counts = system.make(
        MIRROR / "zhidao_html.tar.xz", run.read(WEB, "train", "questions").settings, tmp_path / "q.parquet"
    )
    rows = tables.read(tmp_path / "q.parquet").to_pylist()
    by_url = {row["url"]: row for row in recorded.values()}
    assert counts["read"] == 132
    assert 95 <= len(rows) <= 110
    assert all(
        (by_url[row["url"]]["question"], by_url[row["url"]]["tags"]) == (row["question"], row["tags"]) for row in rows
    )
