"""From raw boxes to a table of triples: cleaning, merging, typed values, look-ups, exports, and what is planted."""

import csv as rfc
import json
import random
import re
from dataclasses import replace

import pyarrow as pa
import pytest

from stages.core import params, tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.corpora.triples import export, sources, store, system, tabular
from stages.corpora.triples.clean import Cleaning, cleaned
from stages.corpora.triples.merge import merged
from stages.corpora.triples.typed import typed

CLEANING = Cleaning(
    aliases=(("外文名", "英文名"), ("别名", "又名", "别称")),
    person_aliases=(("国籍", "国家/地区"),),
    person_marks=("性别", "出生日期"),
    lists=("别名", "代表作品"),
    skip=("图片",),
)
PARAMS = system.Triples(("baike", "mediawiki", "hudong", "lists"), CLEANING, run=50, group=8)
JUDGE = system.Judge(1.0, 1.0, 10, "made")


def raw(*rows):
    """Rows (page, entity, sense, name, value) as sources.read gives them."""
    columns = list(zip(*rows, strict=True))
    page, entity, sense, name, value = columns
    url = [f"http://x/{number}" for number in page]
    return pa.table([page, url, [""] * len(rows), entity, sense, name, value], sources.COLUMNS)


def clean(*rows):
    table = cleaned(raw(*rows), CLEANING)
    return list(zip(*(table[name].to_pylist() for name in ("entity", "attribute", "value")), strict=True))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("中\xa0\xa0文\u3000名：", "鲁迅[1]", [("中文名", "鲁迅")]),
        ("身高", "１６１厘米 [1-2]", [("身高", "１６１厘米")]),  # NFKC is for names only
        ("ＡＢ", "\u200b甲\ufeff \t乙\xa0", [("AB", "甲 乙")]),
        ("站", "Lu\xa0Xun\xa0鲁迅", [("站", "Lu Xun鲁迅")]),
        ("英文名", "A\nB", [("外文名", "A B")]),
        (
            "又名",
            "甲、乙；（丙、丁）戊\n《己、庚》、",
            [("别名", v) for v in ("甲", "乙", "（丙、丁）戊", "《己、庚》")],
        ),
        ("别名", "（甲、乙", [("别名", "（甲"), ("别名", "乙")]),
        ("产地", "甲、乙", [("产地", "甲、乙")]),
        ("图片", "x.png", []),
        ("空", " [1] ", []),
        ("", "值", []),
        ("区间", "[1000,2000]", [("区间", "[1000,2000]")]),
        ("长", "字" * 1_000_000, [("长", "字" * 1_000_000)]),
    ],
)
def test_names_and_values_are_made_even(name, value, expected):
    assert sorted(clean((0, "甲", "", name, value))) == sorted(("甲", a, v) for a, v in expected)


def test_some_synonyms_are_for_persons_only():
    rows = [(0, "甲", "", "性别", "男"), (0, "甲", "", "国家/地区", "中国"), (1, "乙", "", "国家/地区", "中国")]
    assert ("甲", "国籍", "中国") in clean(*rows)
    assert ("乙", "国家/地区", "中国") in clean(*rows)
    with pytest.raises(Refusal, match="in two groups"):
        cleaned(raw(*rows), replace(CLEANING, aliases=(("a", "b"), ("c", "b"))))


def test_cleaning_twice_is_cleaning_once_and_partitions_do_not_matter():
    rng = random.Random(0)
    parts = ["甲", "b", " ", "\xa0", "、", "；", "\n", "[1]", "（", "）", "：", "\u200b", "３", "·"]
    rows = [
        (page, f"题{page}", "", rng.choice(["别名", "又名", "产 地", "ｘ："]), "".join(rng.choices(parts, k=8)))
        for page in range(60)
        for _ in range(5)
    ]
    first = cleaned(raw(*rows), CLEANING)
    values = zip(*(first[name].to_pylist() for name in ("entity", "attribute", "value")), strict=True)
    once = sorted(values)
    again = sorted(clean(*[(0, entity, "", name, value) for entity, name, value in once]))
    assert again == once
    apart = [cleaned(raw(*rows[i : i + 5]), CLEANING) for i in range(0, len(rows), 5)]
    rng.shuffle(apart)
    assert merged(pa.concat_tables(apart)).equals(merged(first))


def test_what_says_the_same_is_one_row_with_the_number_of_its_pages():
    rows = [
        (0, "甲", "", "面积", "《红楼梦》，石头记"),
        (1, "甲", "", "面积", "红楼梦 石头记"),
        (2, "甲", "", "面积", "红楼梦 石头记"),
        (2, "甲", "", "面积", "红楼梦 石头记"),
        (3, "甲", "", "面积", "1.5"),
        (3, "甲", "", "面积", "15"),
        (4, "甲", "电影", "面积", "红楼梦 石头记"),
    ]
    for order in (rows, rows[::-1]):
        table = merged(cleaned(raw(*sorted(order, key=lambda row: 0)), CLEANING))
        found = [(r["sense"], r["value"], r["sources"], r["source_url"]) for r in table.to_pylist()]
        assert found == [
            ("", "1.5", 1, "http://x/3"),
            ("", "15", 1, "http://x/3"),
            ("", "红楼梦 石头记", 3, "http://x/1"),
            ("电影", "红楼梦 石头记", 1, "http://x/4"),
        ]
    assert len(set(table["entity_id"].to_pylist())) == 2


@pytest.mark.parametrize(
    ("value", "kind", "number", "unit", "date"),
    [
        ("1996年(丙子年)12月13日", "date", None, None, "1996-12-13"),
        ("公元618年", "date", None, None, "0618"),
        ("2010/2/3", "date", None, None, "2010-02-03"),
        ("１９９６年５月", "date", None, None, "1996-05"),
        ("1996年13月", "text", None, None, None),
        ("007", "text", None, None, None),
        ("0.5", "number", 0.5, None, None),
        ("1,234.5万平方千米", "number", 12345000.0, "平方千米", None),
        ("-5 ℃", "number", -5.0, "°C", None),
        ("3亿", "number", 3e8, None, None),
        ("5-6", "text", None, None, None),
        ("约5", "text", None, None, None),
        ("", "text", None, None, None),
    ],
)
def test_numbers_and_dates_are_told_from_texts(value, kind, number, unit, date):
    found = {name: column[0].as_py() for name, column in typed(pa.array([value])).items()}
    assert found == {"value_type": kind, "number": number, "unit": unit, "date": date}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table of 3,000 triples of 500 subjects, and the rows it was made from."""
    folder = tmp_path_factory.mktemp("triples")
    rng = random.Random(1)
    facts = sorted(
        {(f"题{rng.randrange(500)}", f"名{rng.randrange(30)}", f"值{rng.randrange(400)}") for _ in range(3000)}
    )
    shuffled = rng.sample(facts, len(facts))
    lines = [json.dumps({"entity": s, "attribute": a, "value": v}, ensure_ascii=False) for s, a, v in shuffled]
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    counts = system.make(folder / "in.jsonl", PARAMS, folder / "out.parquet")
    assert counts["triples"] == len(facts)
    return folder / "out.parquet", facts


def test_the_table_is_sorted_and_whole_though_no_run_is(made):
    path, facts = made
    table = tables.read(path, ["entity", "attribute", "value"])
    assert list(zip(*(column.to_pylist() for column in table), strict=True)) == facts


@pytest.mark.parametrize("asked", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_a_look_up_finds_all_and_only_what_is_asked_for(made, asked):
    path, facts = made
    names = ("subject", "attribute", "value")
    for fact in (facts[0], facts[777], facts[-1], ("无", "无", "无")):
        tables_ = store.find(path, **{names[i]: fact[i] for i in asked})
        found = [(r["entity"], r["attribute"], r["value"]) for table in tables_ for r in table.to_pylist()]
        assert found == [row for row in facts if all(row[i] == fact[i] for i in asked)]


def test_a_look_up_reads_the_row_groups_that_hold_an_answer_and_no_others(made, monkeypatch):
    path, facts = made
    with tables.opened(path) as file:
        count = file.metadata.num_row_groups
        assert count > 300
        assert len(store._candidates(file, path, {"entity": facts[500][0]})) <= 3
        holding = list(store._candidates(file, path, {"attribute": facts[500][1], "value": facts[500][2]}))
    assert 0 < len(holding) < count / 20
    assert list(store.find(path, subject="一")) == list(store.find(path, subject="龥")) == []


ODD = [
    '甲"乙',
    '"起头',
    "a,b",
    "行\n行",
    "\\n",
    "'",
    "末\\",
    "007",
    "NULL",
    "",
    " ",
    "<i>&",
    "\t",
    "😀𠀀",
    "é\r\nx",
    "#",
]


def test_csv_goes_out_and_in_without_loss(tmp_path):
    rows = [{"entity": a, "attribute": b, "value": c} for a in ODD for b in ("名", 'n"') for c in ODD]
    whole = pa.Table.from_pylist(rows)
    tables.write(whole, tmp_path / "t.parquet")
    export.csv(tmp_path / "t.parquet", tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as lines:
        assert list(rfc.reader(lines)) == [list(row.values()) for row in rows]
    back = pa.concat_tables(tabular.triples(tmp_path / "t.csv", ",", '"'))
    assert back.to_pydict() == whole.rename_columns(["entity", "name", "value"]).to_pydict()


def exported(tmp_path, rows):
    (tmp_path / "in.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    system.make(tmp_path / "in.json", PARAMS, tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_neo4j_gets_one_node_an_entity_and_links_to_nodes_that_are_there(tmp_path):
    odd = [value for value in ODD if value.strip()]
    rows = [{"name": "上海", "sense": sense, "infobox": [["值", value] for value in odd]} for sense in ("", "电影")]
    rows += [{"name": "浦东", "infobox": {"属于": ["上海", "中国"], "又名": "甲"}}]
    rows += [{"name": "中国", "infobox": [["首都", "北京"]]}]
    export.neo4j(exported(tmp_path, rows), tmp_path / "neo")
    with (tmp_path / "neo/nodes.csv").open(newline="", encoding="utf-8") as lines:
        head, *nodes = rfc.reader(lines)
    assert head == ["id:ID", "name", "sense", ":LABEL"]
    ids = {node[0]: (node[1], node[2], node[3]) for node in nodes}
    assert len(ids) == len(nodes)
    assert {("上海", "", "Entity"), ("上海", "电影", "Entity"), ('"起头', "", "Value")} <= set(ids.values())
    assert ("中国", "", "Value") not in ids.values()
    with (tmp_path / "neo/relationships.csv").open(newline="", encoding="utf-8") as lines:
        head, *links = rfc.reader(lines)
    assert head == [":START_ID", ":END_ID", ":TYPE", "source"]
    assert all("\n" not in field for row in [*nodes, *links] for field in row)
    linked = {(ids[start][:2], kind, ids[end]) for start, end, kind, _ in links}
    assert (("浦东", ""), "属于", ("上海 中国", "", "Value")) in linked
    assert (("中国", ""), "首都", ("北京", "", "Value")) in linked
    assert len(links) == 2 * len(odd) + 3


def test_n_triples_are_well_formed(tmp_path):
    rows = [{"name": name, "infobox": [["a b<>", value] for value in ODD]} for name in ("上 海/1", 'q"{}|\\^`%', "f#?")]
    path = exported(tmp_path, rows)
    export.ntriples(path, tmp_path / "t.nt", "http://example.org/")
    iri = r'<http://example\.org/(?:entity|attribute)/[^\x00-\x20<>"{}|^`\\]+>'
    form = re.compile(rf'{iri} {iri} "((?:[^"\\\n\r]|\\[tbnrf"\\])*)" \.')
    found = [form.fullmatch(line) for line in (tmp_path / "t.nt").read_text(encoding="utf-8").splitlines()]
    assert all(found)
    values = [json.loads('"' + match[1].replace("\t", "\\t") + '"') for match in found]
    assert values == tables.read(path, ["value"])["value"].to_pylist()
    assert "<http://example.org/entity/上%20海%2F1>" in (tmp_path / "t.nt").read_text(encoding="utf-8")


def test_files_of_every_kind_are_read(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeff实体,属性,值\n曹禺,出生地,天津\n只有,两栏\n".encode())
    (tmp_path / "b.tsv").write_bytes('甲\t名\t"值\n'.encode("gb18030"))
    (tmp_path / "c.jsonl").write_text('{"name": "乙（丙）", "info": {"a": "1", "b": null}}\n{broken\n{"x": 1}\n')
    (tmp_path / "d.html").write_text('<h1>丁</h1><table class="infobox"><tr><th>x<td>y</table>')
    text = "{{Infobox|高=1}}"
    (tmp_path / "e.xml").write_text(f"<m><page><title>戊</title><revision><text>{text}</text></revision></page>")
    system.make(tmp_path, PARAMS, tmp_path / "out" / "t.parquet")
    table = tables.read(tmp_path / "out/t.parquet")
    found = {(r["entity"], r["sense"], r["attribute"], r["value"]) for r in table.to_pylist()}
    assert found == {
        ("曹禺", "", "出生地", "天津"),
        ("甲", "", "名", '"值'),
        ("乙", "丙", "a", "1"),
        ("丁", "", "x", "y"),
        ("戊", "", "高", "1"),
    }


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(Refusal, match="is missing"):
        system.make(tmp_path / "no", PARAMS, tmp_path / "t.parquet")
    (tmp_path / "a.doc").write_text("x")
    for path in (tmp_path, tmp_path / "a.doc"):
        with pytest.raises(Refusal, match="known kind"):
            system.make(path, PARAMS, tmp_path / "t.parquet")
    with pytest.raises(Refusal, match="need an `input`"):
        system.train(Inputs(), PARAMS, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["a.doc"]
    (tmp_path / "empty.csv").write_text("")
    assert system.make(tmp_path / "empty.csv", PARAMS, tmp_path / "t.parquet")["triples"] == 0
    assert list(store.find(tmp_path / "t.parquet", subject="x", value="y")) == []


def test_evaluation_counts_and_judges(tmp_path):
    rows = [{"entity": "甲", "attribute": "a", "value": str(i)} for i in range(4)]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    system.train(Inputs(input=tmp_path / "in.json"), PARAMS, tmp_path / "model")
    truth = [{"subject": "甲", "attribute": "a", "value": str(i)} for i in range(3)]
    truth += [{"subject": "乙", "attribute": "a", "value": str(i)} for i in range(3)]
    tables.write(pa.Table.from_pylist(truth), tmp_path / "truth/triples.parquet")
    found = system.evaluate(tmp_path / "model", Inputs(truth=tmp_path / "truth"), JUDGE)
    assert (found.metrics["precision"], found.metrics["recall"]) == (0.75, 0.5)
    assert found.metrics["triples"] == found.metrics["number_values"] == 4
    assert [claim.passed for claim in found.claims] == [False, False]
    assert found.tables["misjudged"].num_rows == 4
    assert set(found.figures) == {"per_attribute", "per_subject"}
    assert system.evaluate(tmp_path / "model", Inputs(), JUDGE).claims == []


def test_all_facts_of_the_embedded_site_are_found_and_no_others(tmp_path):
    """Its pages as files, whatever the mark-up and however broken: the graph judges the crawled ones."""
    from stages.corpora.embedded.site import build
    from stages.corpora.truth import SiteTruth, site_truth

    (tmp_path / "pages").mkdir()
    for number, page in enumerate(build(2).values()):
        if page.fate == "keep" and page.status == 200:
            (tmp_path / f"pages/{number}.html").write_bytes(page.body)
    site_truth(None, SiteTruth(2), tmp_path / "truth")
    row = params.load()["systems"]["triples"]["train"]
    wanted = params.typed(system.Triples, row, "systems.triples.train")
    system.train(Inputs(input=tmp_path / "pages"), wanted, tmp_path / "model")
    found = system.evaluate(tmp_path / "model", Inputs(truth=tmp_path / "truth"), JUDGE)
    assert (found.metrics["precision"], found.metrics["recall"]) == (1, 1), found.tables["misjudged"].to_pylist()
    assert found.metrics["triples"] > 5000
