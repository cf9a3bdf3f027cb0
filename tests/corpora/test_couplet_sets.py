"""Couplets of the lexicon have the answer that they are said to have; files of both formats are read whole."""

import functools
import hashlib
import http.server
import lzma
import os
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.corpora.couplets import lexicon
from stages.corpora.couplets.files import CoupletFiles, couplet_files
from stages.corpora.couplets.lexicon import SHAPES, CoupletLexicon, composed, couplet_lexicon, fits, words
from stages.corpora.download import Download, download

USUAL = CoupletFiles(("pairs.tsv",), (), (), 0.2, 0.1, ("whole",), 16)


def rows(folder):
    return tables.read(folder / "couplets.parquet").to_pylist()


def test_every_word_of_the_lexicon_stands_once_and_faces_a_word_of_its_length():
    found = words()
    halves = [half for entries in found.values() for word in entries for half in word]
    assert len(halves) > 800
    assert [half for half, count in Counter(halves).items() if count > 1] == []
    for kind, entries in found.items():
        assert {len(half) for word in entries for half in word} == {2 if kind.endswith("2") else 1}
        assert all(a != b for word in entries for a, b in zip(*word, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_makes_lines_of_4_to_11_characters_that_mirror_what_repeats(shape):
    first, second = composed(shape, words(), np.random.default_rng(0))
    assert len(first) == len(second) == sum(1 + slot.partition(".")[0].endswith("2") for slot in shape.split())
    assert 4 <= len(first) <= 11
    assert ("，" in shape) == ("，" in first) == ("，" in second)
    slots = [slot for slot in shape.split() for _ in range(1 + slot.partition(".")[0].endswith("2"))]
    for line in (first, second):
        for slot in {slot for slot in slots if "." in slot and "2" not in slot}:
            assert len({character for character, its in zip(line, slots, strict=True) if its == slot}) == 1


def test_couplets_are_words_facing_their_words(tmp_path):
    found = couplet_lexicon(None, CoupletLexicon(300, 20, 40, 3), tmp_path / "out")
    assert found.metrics == {"train": 300, "validation": 20, "test": 40}
    table = rows(tmp_path / "out")
    assert len({row["first"] for row in table}) == 360
    faces = {frozenset(word) for entries in words().values() for word in entries}
    for row in table:
        pair = [(row["first"], row["second"])]
        assert covered(*pair[0], faces), pair
        mapping = dict(zip(*pair[0], strict=True))
        assert len(set(mapping.values())) == len(mapping)
        assert "".join(mapping[c] for c in row["first"]) == row["second"]
        assert [c for c, d in mapping.items() if c == d] == (["，"] if "，" in row["first"] else [])


def covered(first, second, faces):
    """Whether both lines can be cut into words of the lexicon that face each other."""
    if not first:
        return True
    return any(
        (frozenset((first[:n], second[:n])) in faces or first[:n] == second[:n] == "，")
        and covered(first[n:], second[n:], faces)
        for n in (1, 2)
        if len(first) >= n
    )


def test_a_table_of_characters_does_not_do():
    """Characters that face more than one other: who looks at one alone must guess."""
    facing = {}
    for entries in words().values():
        for a, b in entries:
            for c, d in [*zip(a, b, strict=True), *zip(b, a, strict=True)]:
                facing.setdefault(c, set()).add(d)
    assert sum(len(others) > 1 for others in facing.values()) > 100


def test_pairs_that_break_a_rule_do_not_fit():
    assert fits("山山水", "水水山")
    assert not fits("山山水", "水云山")
    assert not fits("山水云", "水云云")
    assert not fits("山石云", "水水地")
    assert fits("山，水", "水，山")


def test_the_same_bytes_again(tmp_path):
    for name in ("one", "two"):
        couplet_lexicon(None, CoupletLexicon(30, 5, 5, 0), tmp_path / name)
    assert (tmp_path / "one/couplets.parquet").read_bytes() == (tmp_path / "two/couplets.parquet").read_bytes()


@pytest.fixture
def folder(tmp_path):
    lines = [f"{chr(0x4E00 + i)}山{chr(0x5E00 + i)}\t{chr(0x6E00 + i)}水{chr(0x7E00 + i)}\t书" for i in range(60)]
    lines += [lines[0], "春 风\t秋　雨\t书", "长长长\t短短\t书", "同一\t同一\t书", "太长" * 10 + "\t" + "很短" * 10]
    lines += ["江海松竹\t春夏梅兰\twhole"]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_files_of_pairs_are_cleaned_and_counted(folder):
    found = couplet_files(folder, USUAL, folder / "out").metrics
    table = rows(folder / "out")
    assert {name: found[name] for name in ("too_long", "equal", "unequal", "repeated")} == {
        "too_long": 1, "equal": 1, "unequal": 1, "repeated": 1
    }  # fmt: skip
    pairs = {(row["first"], row["second"]): row["split"] for row in table}
    assert ("春风", "秋雨") in pairs
    assert {("江海", "松竹"), ("春夏", "梅兰")} <= set(pairs)
    assert pairs[("江海松竹", "春夏梅兰")] == "joined"
    assert len(pairs) == 64
    assert Counter(pairs.values()) == {k: v for k, v in found.items() if k in ("train", "validation", "test", "joined")}
    assert 4 < found["test"] < 22


def test_no_held_out_line_is_trained_on(folder):
    (folder / "pairs.tsv").write_text(
        "".join(f"{chr(0x4E00 + i % 30)}山\t{chr(0x6E00 + i)}水\t\n" for i in range(200))
        + "".join(f"{chr(0x4E00 + i)}山{chr(0x6E00 + i)}水\t旧事新书\twhole\n" for i in range(30))
    )
    (folder / "more.tsv").write_text("".join(f"{chr(0x6E00 + i)}水\t{chr(0x5E00 + i)}火\n" for i in range(200)))
    couplet_files(folder, CoupletFiles(("pairs.tsv",), ("more.tsv",), (), 0.2, 0.1, ("whole",), 16), folder / "out")
    table = rows(folder / "out")
    held = {row[side] for row in table if row["split"] in ("test", "validation") for side in ("first", "second")}
    assert held
    trained = [row for row in table if row["split"] in ("train", "extra", "joined")]
    assert {row["split"] for row in trained} == {"train", "extra", "joined"}
    for row in trained:
        for line in (row["first"], row["second"]):
            assert line not in held
            assert row["split"] != "joined" or not {line[:2], line[2:]} & held


def test_the_format_of_two_files_is_read(folder):
    firsts, seconds = ["晚 风 摇 树 树 还 挺 ", "春 风 "], ["晨 露 润 花 花 更 红 ", "秋 雨 "]
    for part in ("train_", ""):
        for name, lines in (("in.txt", firsts), ("out.txt", seconds)):
            with lzma.open(folder / f"{part}{name}.xz", "wt", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
    (folder / "pairs.tsv").write_text("上联\t下联\n")
    how = CoupletFiles(("pairs.tsv",), (), ("in.txt.xz out.txt.xz",), 0, 0, (), 16)
    couplet_files(folder, how, folder / "out")
    table = rows(folder / "out")
    assert [(r["first"], r["second"]) for r in table if r["split"] == "test"] == [
        ("春风", "秋雨"), ("晚风摇树树还挺", "晨露润花花更红")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"files": ("none.tsv",)}, "no file named none.tsv"),
        ({"files": ("a b c",)}, "no file named a"),
        ({"files": ("pairs.tsv pairs.tsv pairs.tsv",)}, "must be one file of pairs"),
        ({"files": ("bad.tsv",)}, "line 2, has no tab"),
        ({"files": ("pairs.tsv bad.tsv",)}, "they must be as many"),
        ({"test_share": 1.0}, "within 0..1"),
        ({"test_share": -0.1}, "within 0..1"),
        ({"longest": 1}, "leave nothing to train on"),
    ],
)
def test_bad_input_is_named(change, says, folder):
    (folder / "bad.tsv").write_text("春风\t秋雨\n夏日\n")
    with pytest.raises(Refusal, match=says):
        couplet_files(folder, CoupletFiles(**(USUAL.__dict__ | change)), folder / "out")
    with pytest.raises(Refusal, match="needs an `input`"):
        couplet_files(None, USUAL, folder / "out")
    with pytest.raises(Refusal, match="must be 1 at least"):
        couplet_lexicon(None, CoupletLexicon(0, 1, 1, 0), folder / "out")


def test_the_740_000_are_downloaded_with_no_digest_known_and_read(tmp_path, monkeypatch):
    """The rows of params/web.yaml, the addresses on loopback."""
    monkeypatch.delenv("QUJING_MIRROR", raising=False)
    web = yaml.safe_load((Path(__file__).parents[2] / "params/web.yaml").read_text())
    made = {"train": ("春 风 \n明 月 \n", "秋 雨 \n清 风 \n"), "test": ("青 山 \n", "绿 水 \n")}
    for part, sides in made.items():
        (tmp_path / part).mkdir()
        for name, lines in zip(("in.txt", "out.txt"), sides, strict=True):
            (tmp_path / part / name).write_text(lines, encoding="utf-8")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        row = typed(Download, web["rounds"]["couplets_740k"]["crawl"], "row")
        here = f"http://127.0.0.1:{server.server_port}/"
        ours = {
            name: replace(source, urls=(here + source.urls[0].partition("couplets/")[2],))
            for name, source in row.sources.items()
        }
        download(None, Download(ours), tmp_path / "round", tmp_path / "spool")
        server.shutdown()
    for told in tables.read(tmp_path / "round/manifest.parquet").to_pylist():
        assert told["sha256"] == hashlib.sha256((tmp_path / "round/files" / told["name"]).read_bytes()).hexdigest()
    how = typed(CoupletFiles, web["corpora"]["couplets_740k"]["preprocess"], "row")
    couplet_files(tmp_path / "round/files", how, tmp_path / "out")
    found = {(row["first"], row["second"], row["split"]) for row in rows(tmp_path / "out")}
    assert found == {("青山", "绿水", "test"), ("明月", "清风", "train"), ("春风", "秋雨", "train")}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Python's file server without its log."""

    def log_message(self, *_):
        pass


MIRROR = Path(os.environ.get("QUJING_MIRROR") or Path(__file__).parents[3] / "shared/data")


@pytest.mark.real
@pytest.mark.skipif(not (MIRROR / "couplets").is_dir(), reason="QUJING_MIRROR names no folder with couplets/")
def test_the_real_couplets_are_read_and_those_joined_are_cut(tmp_path):
    row = yaml.safe_load((Path(__file__).parents[2] / "params/web.yaml").read_text())["corpora"]["couplet_pairs"]
    found = couplet_files(MIRROR / "couplets", typed(CoupletFiles, row["preprocess"], "row"), tmp_path / "out").metrics
    assert 60_000 < found["train"] < 70_000
    assert 1_000 < found["test"] < 2_000
    assert found["joined"] > 15_000
    assert found["extra"] > 200_000
    sample = CoupletFiles(
        ("upstream_format_sample_in.txt upstream_format_sample_out.txt",), (), (), 0.2, 0.0, (), 16
    )  # fmt: skip
    found = couplet_files(MIRROR / "couplets", sample, tmp_path / "upstream").metrics
    assert found["unequal"] == found["equal"] == 0
    assert sum(found.values()) - found["held_out"] <= 940


def test_the_row_of_params_is_of_the_kind():
    row = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["corpora"]["couplets"]
    assert typed(CoupletLexicon, row["preprocess"], "row").train > 1000
    assert lexicon.SHAPES
