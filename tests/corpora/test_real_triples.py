"""Saved pages and records of Baidu Baike give what was recorded of them."""

import json
import lzma
import os
import tarfile
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
import yaml

from stages import run
from stages.core import tables
from stages.corpora.markup import Page
from stages.corpora.triples import pages, system

ROOT = Path(__file__).parents[2]
MIRROR = Path(os.environ.get("QUJING_MIRROR") or ROOT.parent / "shared/data").resolve() / "encyclopedia"
WEB = yaml.safe_load((ROOT / "params/web.yaml").read_text(encoding="utf-8"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MIRROR.is_dir(), reason="QUJING_MIRROR names no folder of real data"),
]
KINDS = tuple(pages.PARSERS)


def row():
    return run.read(WEB, "train", "triples").settings


def test_the_boxes_of_the_records_are_the_recorded_triples(tmp_path):
    counts = system.make(MIRROR / "baike_crops.jsonl.xz", row(), tmp_path / "t.parquet")
    with lzma.open(MIRROR / "baike_crops_triples.tsv.xz", "rt", encoding="utf-8") as lines:
        expected = {tuple(" ".join(part.split()) for part in line.rstrip("\n").split("\t")) for line in lines}
    table = tables.read(tmp_path / "t.parquet", ["entity", "attribute_raw", "value_raw"])
    found = {tuple(" ".join(part.split()) for part in row.values()) for row in table.to_pylist()}
    wrong = sorted(expected - found)
    print(*wrong, sep="\n")
    assert counts["rows"] == 3710
    assert len(wrong) <= 0.01 * len(expected)
    assert len(found - expected) <= 0.01 * len(found)


SHAPES = {
    "old": ("basicInfo-item name", "basicInfo-item value"),
    "present": ("basicInfoItem_a1 itemName_b2", "basicInfoItem_a1 itemValue_c3"),
}


@pytest.mark.parametrize(("name", "value"), SHAPES.values(), ids=SHAPES)
def test_the_records_as_pages_of_a_layout(name, value):
    """Their pages are not in the mirror: the recorded boxes, written as each layout writes them, are read back."""
    with lzma.open(MIRROR / "baike_crops.jsonl.xz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    for record in records:
        rows = [f'<dt class="{name}">{escape(a)}<dd class="{value}">\n{escape(v)}\n' for a, v in record["infobox"]]
        page = f"<title>{record['name']}_百度百科</title><h1>{record['name']}</h1><dl>{''.join(rows)}</dl>"
        found = pages.box(Page(page), KINDS)
        pairs = [tuple(map(squeezed, pair)) for pair in found.pairs] if found else []
        assert pairs == [tuple(map(squeezed, pair)) for pair in record["infobox"]], record["url"]


def squeezed(text):
    return " ".join(text.replace("\xa0", " ").split())


def test_the_raw_pages_have_their_title_and_sense():
    senses = {}
    with tarfile.open(MIRROR / "baike_raw_html.tar.xz") as archive:
        for member in archive:
            box = pages.box(Page.of(archive.extractfile(member).read()), KINDS)
            senses[member.name.split("_")[1][:-5]] = (box.title, box.sense, dict(box.pairs)) if box else None
    print(senses)
    assert senses["choreographer"][:2] == ("陈驰", "舞蹈编导")
    assert senses["athlete"][:2] == ("陈驰", "四川大坝运动员")
    assert senses["athlete"][2]["出生地"] == "四川大坝"
    assert senses["writer"] is None  # it has no box, though its navigation has lists


def test_a_table_of_65_thousand_triples_keeps_them_all_but_repeats(tmp_path):
    plain = replace(row(), cleaning=replace(row().cleaning, lists=(), aliases=(), person_aliases=()))
    counts = system.make(MIRROR / "agrikg_attributes.tsv.xz", plain, tmp_path / "t.parquet")
    assert counts["rows"] == 65_345
    assert counts["triples"] + counts["merged"] >= 0.999 * 65_345
