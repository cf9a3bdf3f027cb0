"""From question pages and corpora to a table of questions: parsers, imports, filters, repeats, split, export."""

import gzip
import json
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from stages.core import params, tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.corpora.markup import Page
from stages.corpora.near import Near
from stages.corpora.questions import clean, export, pages, repeats, sources, system
from stages.corpora.questions.clean import Filters

FILTERS = Filters(4, 200, 0.5, (r"(?i)qq[^\d\n]{0,4}\d{5,}", r"(?i)https?://"))
PARAMS = system.Questions(tuple(pages.PARSERS), FILTERS, True, False, Near(3, 8, 8, 0.9, 0), {"a": 98, "b": 1, "c": 1})
JUDGE = system.Judge(1.0, 1.0, 10, "made")
ZHIDAO = """<div>1.0</div><!DOCTYPE html><html><head><meta charset="gbk"/><title>什么是&lt;股票&gt;？_百度知道</title>
<meta name="keywords" content="股票,股票，炒股 "/><link rel="canonical" href="http://zhidao.baidu.com/question/7.html"/>
</head><body><span class="ask-title">什么是股票</span>"""
PRESENT = """<title>一个很长的...-百度知道</title><h1 accuse="qTitle">
<span class="ask-title ">一个很长的问题应该怎么问</span></h1>
<ul class="tag-list"><li><a class="tag-item">语文</a></li></ul><a href="https://zhidao.baidu.com/question/99.html">x"""
GRAPH = {
    "@type": ["Question"],
    "name": "怎么 做\n饭？",
    "keywords": ["做饭", {"name": "家务"}, None],
    "url": "http://x/1",
}
JSON_LD = '<script type="application/ld+json">{{oops}}</script><script type="application/ld+json">{}</script>'
MICRODATA = """<div itemscope itemtype="http://schema.org/QAPage"><div itemscope itemtype="https://schema.org/Question">
<h1 itemprop="name">怎么做饭？</h1><meta itemprop="keywords" content="做饭,家务"><a itemprop="keywords">厨房</a>
<div itemtype="https://schema.org/Answer"><p itemprop="name">不知道</p></div></div></div>"""
MARKED = """<article class="qa"><h1 class="question">怎么做饭？</h1>
<ul class="tags"><li class="tag">做饭<li class="tag">家务</ul>"""
CASES = {
    "zhidao": (ZHIDAO, "http://zhidao.baidu.com/question/7.html", "什么是<股票>？", ("股票", "炒股")),
    "zhidao now": (PRESENT, "https://zhidao.baidu.com/question/99.html", "一个很长的问题应该怎么问", ("语文",)),
    "json-ld": (
        JSON_LD.format(json.dumps({"@graph": [{"mainEntity": GRAPH}]})),
        "http://x/1",
        "怎么 做 饭？",
        ("做饭", "家务"),
    ),
    "microdata": (MICRODATA, "", "怎么做饭？", ("做饭", "家务", "厨房")),
    "marked": (MARKED, "", "怎么做饭？", ("做饭", "家务")),
}


@pytest.mark.parametrize(("page", "url", "question", "tags"), CASES.values(), ids=CASES)
def test_a_question_page_is_read(page, url, question, tags):
    (found,) = pages.asked(Page(page), PARAMS.kinds)
    assert (found.url, found.question, found.tags) == (url, question, tags)


def test_other_pages_have_no_question():
    error = "<title>百度知道 - 信息提示</title><p>百度知道"
    for page in ("", "<h1>x</h1>", error, "<title>股票_百度知道</title><ul>", JSON_LD.format('{"@type": "Person"}')):
        assert pages.asked(Page(page), PARAMS.kinds) == []
    with pytest.raises(Refusal, match="did you mean"):
        pages.asked(Page(""), ("zhidoa",))


def made(tmp_path, text, wanted=PARAMS, name="in.json"):
    """The rows and the counts of a file that holds `text`."""
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(data)
    counts = system.make(tmp_path / name, wanted, tmp_path / "out.parquet")
    return tables.read(tmp_path / "out.parquet").to_pylist(), counts


def record(number, question, tags=None):
    url = f"http://zhidao.baidu.com/question/{number}.html"
    return {"url": url, "question": question, "tags": tags}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ([], []),
        ("股票", ["股票"]),
        ("股票,炒股，股票", ["股票", "炒股"]),
        (["股票", "股票 ", "", None, 5], ["股票", "5"]),
        ({"a": 1}, []),
    ],
)
def test_tags_may_be_missing_null_a_text_or_repeated(tmp_path, given, expected):
    rows, _ = made(tmp_path, json.dumps([record(10**18, "什么是股票？", given), {"question": "怎么炒股呢"}]))
    assert {row["qid"]: row["tags"] for row in rows if row["qid"] == str(10**18)} == {str(10**18): expected}
    assert [row["qid"][0] for row in rows if not row["url"]] == ["h"]


WHOLE = [record(number, f"第{number}个问题是什么意思呢", ["标签", f"甲{number}"]) for number in range(100, 400)]
COMPACT = json.dumps(WHOLE, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    ("text", "count", "told"),
    [
        (COMPACT, 300, ""),
        ("\ufeff" + COMPACT[:-1] + " , ]", 300, ""),
        ("\n".join(json.dumps(row) for row in WHOLE), 300, ""),
        (json.dumps(WHOLE, indent=2, ensure_ascii=False).encode("gb18030"), 300, ""),
        (COMPACT.replace("[{", "[{bad},{", 1), 300, "1 records without"),
        (COMPACT.replace("}]", '}, null, 5, {"x": 1}]'), 300, "3 records without"),
        ("", 0, ""),
        ("[]", 0, ""),
    ],
)
@pytest.mark.parametrize("chunk", [97, 1 << 20])
def test_an_array_is_read_whatever_is_wrong_with_it(tmp_path, monkeypatch, capsys, text, count, told, chunk):
    monkeypatch.setattr("stages.corpora.json_records.CHUNK", chunk)
    monkeypatch.setattr(
        "stages.corpora.json_records._charset", lambda head: "gb18030" if isinstance(text, bytes) else "utf-8-sig"
    )
    rows, counts = made(tmp_path, text)
    assert [(row["url"], row["question"], row["tags"]) for row in rows] == [
        (row["url"], row["question"], row["tags"]) for row in WHOLE[:count]
    ]
    assert counts["read"] == count
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("end", [10, 5000, 5003, 9999, 10001, len(COMPACT.encode()) - 3])
def test_a_cut_array_gives_its_whole_records_and_tells_the_byte(tmp_path, capsys, end):
    data = COMPACT.encode()[:end]
    rows, _ = made(tmp_path, data)
    whole = data.rfind(b"},") + 1
    told = capsys.readouterr().err
    assert len(rows) == data[:whole].count(b'{"url"')
    start = int(told.split("cut at byte ")[1])
    assert data[start:].startswith(b'{"url"'[: end - start])
    assert start == data.rfind(b"{")


def test_the_corpora_of_others_are_read(tmp_path):
    lines = [
        {"qid": "qid_1", "category": "健康-内科", "title": "感冒了怎么办", "desc": "", "answer": "多喝水"},
        {"qid": 65618973, "title": "怎么学好汉语", "desc": "", "topic": "教育", "star": 3, "answer_id": 1},
        {"qid": 65618973, "title": "怎么学好汉语", "desc": "", "topic": "教育", "star": 5, "answer_id": 2},
    ]
    text = gzip.compress("\n".join(json.dumps(line) for line in lines).encode())
    rows, counts = made(tmp_path, text, name="in.jsonl.gz")
    assert [(r["qid"], r["question"], r["tags"]) for r in rows] == [
        ("65618973", "怎么学好汉语", ["教育"]),
        ("qid_1", "感冒了怎么办", ["健康", "内科"]),
    ]
    assert counts["repeated id"] == 1


@pytest.mark.parametrize(
    ("url", "qid"),
    [
        ("http://zhidao.baidu.com/question/9223372036854775808.html", "9223372036854775808"),
        ("https://zhidao.baidu.com/question/12.html?fr=iks&word=3", "12"),
        ("https://x/question/13#a", "13"),
        ("/14/", "14"),
        ("https://x/q5.html", None),
    ],
)
def test_the_id_is_the_digits_of_the_address(url, qid):
    (found,) = clean.qids(pa.array([""]), pa.array([url]), pa.array(["问"])).to_pylist()
    assert found == qid if qid else found.startswith("h")


def test_what_is_private_is_scrubbed_and_numbers_that_are_not_stay():
    given = [
        "打13812345678或13912345678找我",
        "+86 138-1234-5678",
        "邮件a.b@c-d.com.cn吧",
        "110101199003077758",
        "号11010119900307775x吗",
    ]
    given += ["订单138123456789", "圆周率3.14159265358"]
    assert clean.scrubbed(pa.array(given)).to_pylist() == [
        "打[电话]或[电话]找我",
        "[电话]",
        "邮件[邮箱]吧",
        "[身份证]",
        "号[身份证]吗",
        "订单138123456789",
        "圆周率3.14159265358",
    ]


def test_questions_are_left_out_for_a_reason_that_is_counted(tmp_path):
    texts = [
        "短问题",
        "长" * 201,
        "加我QQ：123456吧朋友",
        "看http://x.cn行吗",
        "what is this 吗",
        "   ",
        "怎么&amp;😀呢？\n好",
    ]
    rows, counts = made(tmp_path, json.dumps([record(i, text) for i, text in enumerate(texts, 1)]))
    assert [row["question"] for row in rows] == ["怎么&😀呢？ 好"]
    expected = {"short": 1, "long": 1, "spam": 2, "not Chinese": 1, "empty": 1, "kept": 1, "read": 7}
    assert {name: counts[name] for name in expected} == expected
    with pytest.raises(Refusal, match=r"filters\.spam has the pattern"):
        made(tmp_path, json.dumps([record(1, texts[0])]), replace(PARAMS, filters=replace(FILTERS, spam=("(",))))


def corpus(size=2000, seed=0):
    """Distinct questions, 5 % of them again with other punctuation, 5 % nearly again; and the numbers of each."""
    rng = random.Random(seed)
    han = [chr(0x4E00 + i) for i in range(2000)]
    texts = ["".join(rng.choices(han, k=40)) for _ in range(size)]
    rows = [record(10**6 + i, text + "？", ["标签"]) for i, text in enumerate(texts)]
    exact = [record(2 * 10**6 + i, f"{texts[i][:20]}， {texts[i][20:]}") for i in range(0, size, 20)]
    near = [record(3 * 10**6 + i, texts[i] + rng.choice(han)) for i in range(7, size, 20)]
    return rows, exact, near


def test_repeats_go_and_nothing_else(tmp_path):
    rows, exact, near = corpus()
    given = rows + exact + near + rows[:10]
    for wanted, planted in ((PARAMS, exact), (replace(PARAMS, near_repeats=True), exact + near)):
        found, counts = made(tmp_path, json.dumps(given), wanted)
        assert counts["repeated id"] == 10
        assert counts["repeated question"] == len(exact)
        removed = len(given) - 10 - len(found)
        stay = {row["question"].strip("？").replace("， ", "")[:40] for row in found}
        right = removed - sum(row["question"].strip("？") not in stay for row in rows)
        assert right / removed >= 0.99
        assert right / len(planted) >= 0.95
    found, _ = made(tmp_path, json.dumps(given), replace(PARAMS, repeats=False))
    assert len(found) == len(given)


def test_the_order_of_the_input_changes_nothing(tmp_path):
    rows, exact, near = corpus(300)
    given = rows + exact + near + [record(10**6, "同一个号码的另一个问题", ["不同"])]
    first, _ = made(tmp_path, json.dumps(given))
    bytes_ = (tmp_path / "out.parquet").read_bytes()
    random.Random(1).shuffle(given)
    again, _ = made(tmp_path, json.dumps(given))
    assert again == first
    assert (tmp_path / "out.parquet").read_bytes() == bytes_


def test_the_split_has_its_shares_and_depends_on_the_id_alone():
    qid = pa.array([str(10**17 + i) for i in range(20_000)])
    part = clean.parts(qid, {"train": 98, "valid": 1, "test": 1}).to_pylist()
    shares = {name: count / 20_000 for name, count in Counter(part).items()}
    assert shares["train"] == pytest.approx(0.98, abs=0.004)
    assert shares["valid"] == pytest.approx(0.01, abs=0.003)
    assert clean.parts(qid.slice(500, 3), {"train": 98, "valid": 1, "test": 1}).to_pylist() == part[500:503]


def test_survivors_are_what_a_dictionary_would_keep():
    rng = np.random.default_rng(0)
    qid, same = (rng.integers(0, 300, 1000).astype(np.uint64) for _ in range(2))
    best: dict[int, int] = {}
    for one, text in zip(qid.tolist(), same.tolist(), strict=True):
        best[one] = min(text, best.get(one, text))
    of_text: dict[int, int] = {}
    for one, text in best.items():
        of_text[text] = min(one, of_text.get(text, one))
    kept, ids, texts = repeats.survivors(qid, same)
    expected = repeats.pair(np.array(list(of_text.values()), np.uint64), np.array(list(of_text), np.uint64))
    assert kept.tolist() == sorted(expected.tolist())
    assert (ids, texts) == (1000 - len(best), len(best) - len(of_text))
    with pytest.raises(Refusal, match="near repeats of 9000000 questions"):
        repeats.near_repeats(pa.repeat("", 9_000_000), Near(3, 8, 8, 0.9, 0))


def test_the_authors_format_goes_out_and_in(tmp_path):
    rows, _ = made(tmp_path, COMPACT)
    export.records(tmp_path / "out.parquet", tmp_path / "author.json")
    text = (tmp_path / "author.json").read_text(encoding="utf-8")
    assert json.loads(text) == sorted(WHOLE, key=lambda row: row["url"])
    assert made(tmp_path, text)[0] == rows
    made(tmp_path, "[]")
    export.records(tmp_path / "out.parquet", tmp_path / "author.json")
    assert json.loads((tmp_path / "author.json").read_text()) == []


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(Refusal, match="is missing"):
        list(sources.read(tmp_path / "no", PARAMS.kinds))
    (tmp_path / "a.doc").write_text("x")
    for path in (tmp_path, tmp_path / "a.doc"):
        with pytest.raises(Refusal, match="known kind"):
            list(sources.read(path, PARAMS.kinds))
    with pytest.raises(Refusal, match="sum to 100"):
        system.make(tmp_path, replace(PARAMS, split={"a": 99}), tmp_path / "t.parquet")
    with pytest.raises(Refusal, match="need an `input`"):
        system.train(Inputs(), PARAMS, tmp_path / "m")


def test_all_questions_of_the_embedded_site_are_found_and_no_others(tmp_path):
    """Its pages as files, whatever the mark-up and however broken: the graph judges the crawled ones."""
    from stages.corpora.embedded.site import build
    from stages.corpora.truth import SiteTruth, site_truth

    for page in build(2).values():
        if page.fate == "keep" and page.status == 200 and page.kind in ("question", "territory", "article"):
            target = tmp_path / "pages" / f"{page.path.strip('/').replace('/', '~').replace('?', '~')}.html"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(page.body)
    site_truth(None, SiteTruth(2), tmp_path / "truth")
    wanted = params.typed(system.Questions, params.load()["systems"]["questions"]["train"], "systems.questions.train")
    system.train(Inputs(input=tmp_path / "pages"), wanted, tmp_path / "model")
    table = tables.read(tmp_path / "model/questions.parquet")
    url = [f"http://encyclopedia.test/question/{name.split('~')[-1][:-5]}" for name in table["url"].to_pylist()]
    tables.write(table.set_column(1, "url", pa.array(url)), tmp_path / "model/questions.parquet")
    found = system.evaluate(tmp_path / "model", Inputs(truth=tmp_path / "truth"), JUDGE)
    assert (found.metrics["precision"], found.metrics["recall"]) == (1, 1), found.tables["misjudged"].to_pylist()
    assert [claim.passed for claim in found.claims] == [True, True]
    assert set(found.figures) == {"tags_per_question", "questions_per_tag"}
    assert found.metrics["questions"] == 250
