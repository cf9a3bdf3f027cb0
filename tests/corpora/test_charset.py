"""Bytes are read right whatever is declared."""

import pytest

from stages.corpora.charset import decode, in_head, known

TEXT = "新词发现是从文本里找出词典里没有的词。我们先统计，再切分，最后回头检查。"
RARE = "人名常用字：喆、镕、玥、䶮、𠮷，以及欧元符号€。" + TEXT
TRADITIONAL = "新詞發現是從文本裡找出詞典裡沒有的詞，我們先統計再切分。"


@pytest.mark.parametrize(
    ("payload", "declared", "expected"),
    [
        (TEXT.encode("gbk"), "gbk", TEXT),
        (TEXT.encode("gbk"), "gb2312", TEXT),
        (RARE.encode("gb18030"), "gb2312", RARE),
        (TEXT.encode("utf-8"), "gbk", TEXT),
        (TEXT.encode("gbk"), "utf-8", TEXT),
        (TEXT.encode("gbk"), "", TEXT),
        (TEXT.encode("utf-8"), "iso-8859-1", TEXT),
        (TEXT.encode("gbk"), "iso-8859-1", TEXT),
        (TRADITIONAL.encode("big5hkscs"), "big5", TRADITIONAL),
        (TEXT.encode("utf-16"), "", TEXT),
        (TEXT.encode("utf-8-sig"), "gbk", TEXT),
        (TEXT.encode("utf-8"), "no-such-charset", TEXT),
        (b'<meta charset="gb2312">' + RARE.encode("gb18030"), "", '<meta charset="gb2312">' + RARE),
    ],
)
def test_declarations_that_lie_do_not_harm(payload, declared, expected):
    assert decode(payload, declared)[0] == expected


def test_a_few_bad_bytes_cost_only_themselves():
    payload = TEXT.encode() + b"\xff\xfe" + TEXT.encode()
    assert decode(payload, "utf-8")[0].replace("\ufffd", "") == TEXT + TEXT
    payload = TEXT.encode("gbk") + b"\xff" + TEXT.encode("gbk")
    assert decode(payload, "gbk")[0].replace("\ufffd", "").startswith(TEXT)


def test_the_head_of_a_page_is_looked_into():
    assert in_head(b"<html><meta http-equiv='Content-Type' content='text/html; charset=GB2312'>") == "GB2312"
    assert in_head(b"<?xml version='1.0' encoding='utf-8'?><html/>") == "utf-8"
    assert in_head(b"<html><body>") == ""
    assert known("GB2312") == "gb18030"
    assert known("nonsense") == ""
