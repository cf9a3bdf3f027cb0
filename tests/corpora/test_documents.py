"""Files of every kind become one clean table, and nothing is dropped without a reason."""

import bz2
import gzip
import io
import json
import lzma
import tarfile

import pyarrow as pa
import pytest

from stages.core import tables
from stages.core.errors import Refusal
from stages.corpora.clean import clean, language, simplified
from stages.corpora.documents import Documents, documents
from stages.corpora.html import main_text
from stages.corpora.near import Near
from stages.corpora.readers import Reading, kind, read

LINE = Reading("line", (), ())
ONE = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。这是一首大家都会背的诗，写的是春天的早晨。"
TWO = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。这一首写的是登高望远，也是从小就会背的。"


def params(**changes):
    given = {
        "reading": LINE,
        "script": "keep",
        "shortest": 10,
        "most_links": 0.7,
        "near": Near(4, 16, 8, 0.8, 0),
        "workers": 1,
    }
    return Documents(**{**given, **changes})


def made(source, out, **changes):
    findings = documents(source, params(**changes), out)
    return (
        tables.read(out / "documents.parquet").to_pylist(),
        tables.read(out / "dropped.parquet").to_pylist(),
        findings,
    )


def tar(**members):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:xz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


RECORD = json.dumps({"title": "诗", "url": "http://x/1", "text": ONE, "id": "a1"}, ensure_ascii=False).encode()


def named(value):
    """Name of a test by its file: gzip writes the time, which would name the test differently in each worker."""
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", f"{ONE}\r\n{TWO}\n".encode(), [ONE, TWO]),
        ("a.txt", ONE.encode("gbk"), [ONE]),
        ("a.txt.xz", lzma.compress(ONE.encode()), [ONE]),
        ("a.txt.gz", gzip.compress(ONE.encode()), [ONE]),
        ("a.md.bz2", bz2.compress(ONE.encode()), [ONE]),
        ("a.tsv", f"1\t{ONE}\tabc\t{TWO}\n".encode(), [f"{ONE}\n{TWO}"]),
        ("a.jsonl", RECORD + b"\n\n" + RECORD, ["诗\n" + ONE] * 2),
        ("a.json", b"[" + RECORD + b"," + RECORD + b"]", ["诗\n" + ONE] * 2),
        ("a.json", RECORD + b"\n" + RECORD, ["诗\n" + ONE] * 2),
        ("a.json", json.dumps({"data": [[["甲", ONE], [{"q": TWO}], "x"]]}).encode(), [f"甲\n{ONE}\n{TWO}"]),
        ("a.tar.xz", tar(**{"x/b.txt": ONE.encode(), "x/c.bin": b"no", "x/d.jsonl": RECORD}), [ONE, "诗\n" + ONE]),
    ],
    ids=named,
)
def test_every_kind_of_file_is_read(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert [raw.text for raw in read(tmp_path / name, LINE)] == expected


def test_named_fields_are_read_alone_and_titles_and_addresses_kept(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(RECORD)
    (raw,) = read(tmp_path / "a.jsonl", Reading("line", ("text",), ()))
    assert (raw.title, raw.url, raw.text) == ("诗", "http://x/1", ONE)


def test_a_parquet_table_is_read_by_its_columns(tmp_path):
    tables.write(pa.table({"body": [ONE, None], "url": ["u", "v"]}), tmp_path / "t.parquet")
    assert [(r.url, r.text) for r in read(tmp_path / "t.parquet", Reading("line", ("body",), ()))] == [
        ("u", ONE),
        ("v", ""),
    ]
    with pytest.raises(Refusal, match="has no column 'text'"):
        list(read(tmp_path / "t.parquet", LINE))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b'{"text": "cut', r"a\.jsonl cannot be read as JSON: .*get it again or `skip` it"),
        ("a.txt.xz", lzma.compress(ONE.encode() * 100)[:-20], r"a\.txt\.xz cannot be read"),
        ("a.tar.xz", tar(**{"b.txt": ONE.encode() * 9999})[:-60], r"a\.tar\.xz cannot be read"),
        ("a.doc", b"x", r"a\.doc is of no known kind"),
        ("a.parquet", b"PAR1 not", r"a\.parquet is not a readable Parquet file"),
        (
            "a.warc.gz",
            gzip.compress(b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 999\r\n\r\nHTTP/1.1 200"),
            "cut",
        ),
    ],
    ids=named,
)
def test_a_broken_file_is_one_sentence_and_leaves_nothing_whole(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refusal, match=sentence):
        documents(tmp_path / name, params(), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet")), "the runner would have renamed a half-written table"


def test_what_is_to_be_skipped_is(tmp_path):
    members = {"a.json": b"not JSON", "b.json": RECORD, "._b.json": b"\x00", "c.txt": ONE.encode()}
    (tmp_path / "x.tar.xz").write_bytes(tar(**members))
    with pytest.raises(Refusal, match=r"x\.tar\.xz/a\.json cannot be read as JSON"):
        list(read(tmp_path, LINE))
    found = list(read(tmp_path, Reading("line", (), ("a.*", "*.txt"))))
    assert [raw.source for raw in found] == ["x.tar.xz/b.json"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"abc\n"])
def test_an_empty_corpus_is_refused(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(Refusal, match=r"a\.txt yields no document"):
        documents(tmp_path / "a.txt", params(), tmp_path / "out")
    with pytest.raises(Refusal, match="is missing"):
        documents(tmp_path / "none", params(), tmp_path / "out2")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Refusal, match="workers is 0, but must be at least 1"):
        documents(tmp_path / "a.txt", params(workers=0), tmp_path / "out4")
    with pytest.raises(Refusal, match="holds no file of a known kind"):
        documents(tmp_path / "folder", params(), tmp_path / "out3")


def test_duplicates_go_with_a_reason_and_the_twin_that_stays(tmp_path):
    other = TWO[::-1]
    (tmp_path / "a.txt").write_text(
        "\n".join([ONE, TWO * 3, ONE.replace("，", " ，"), "短", TWO * 3 + "完", other * 9])
    )
    kept, dropped, findings = made(tmp_path / "a.txt", tmp_path / "out")
    assert [row["text"] for row in kept] == [ONE, TWO * 3, other * 9]
    assert [(row["reason"], row["twin"]) for row in dropped] == [
        ("duplicate", kept[0]["id"]),
        ("short", ""),
        ("near duplicate", kept[1]["id"]),
    ]
    assert findings.metrics == {
        "kept_zh": 3.0,
        "dropped_duplicate": 1.0,
        "dropped_short": 1.0,
        "dropped_near_duplicate": 1.0,
        "documents": 3.0,
        "characters": float(sum(len(row["text"]) for row in kept)),
    }


def test_many_documents_over_processes_are_the_same_table(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"第{i}篇，" + ONE[i % 20 :] + str(i) * 30 for i in range(300)))
    made(tmp_path / "a.txt", tmp_path / "1", workers=1)
    made(tmp_path / "a.txt", tmp_path / "2", workers=2)
    for name in ("documents.parquet", "dropped.parquet"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_one_line_of_fifty_megabytes(tmp_path):
    line = "".join(chr(0x4E00 + (i * 7919) % 20000) for i in range(17_500_000))
    (tmp_path / "a.txt").write_text(line)
    kept, _, _ = made(tmp_path / "a.txt", tmp_path / "out", near=Near(4, 2, 2, 0.8, 0))
    assert [row["text"] == line for row in kept] == [True]


def test_cleaning():
    assert clean("一\u200b二\r\n\r\n三\x00  四\u3000五\ufeff \n ") == "一二\n三 四 五"
    assert clean("e\u0301 \ud800x") == "é ?x"
    assert simplified("漢字與軟體") == "汉字与软体"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ONE, "zh"),
        ("これはテストです。漢字もある。", "ja"),
        ("안녕하세요 세계", "ko"),
        ("Hello world", "other"),
        ("", "other"),
    ],
)
def test_languages_by_script(text, expected):
    assert language(text) == expected


def test_a_page_loses_its_shell():
    body = "".join(f"<p>{text}</p>" for text in (ONE, TWO, ONE[::-1]))
    page = f"""<html lang="zh-CN"><head><title>诗两首 - 站名</title><link rel="canonical" href="/p">
    <meta name="Robots" content="NOINDEX, follow"></head><body><nav><a href="/">首页</a><a href="/x">导航链接</a></nav>
    <article><h1>诗两首</h1>{body}</article><footer>版权所有 请勿转载</footer></body></html>"""
    found = main_text(page.encode("gbk"), "gb2312")
    assert (found.title, found.canonical, found.noindex, found.language) == ("诗两首", "/p", True, "zh-cn")
    assert ONE in found.text
    assert TWO in found.text
    assert "导航链接" not in found.text
    assert "版权所有" not in found.text


def test_a_page_of_nothing_is_empty():
    for payload in (b"", b"   ", b"\x00\x00", b"<html></html>", b"<?xml version='1.0' encoding='utf-8'?><html/>"):
        assert main_text(payload).text == ""


def test_kinds_by_name():
    assert [kind(name) for name in ("a.jsonl.xz", "A.TXT", "x.tar.gz", "noext", "a.b.warc.gz")] == [
        "jsonl",
        "txt",
        "tar",
        "",
        "warc",
    ]
