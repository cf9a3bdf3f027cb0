"""CLUE's tasks as data: those made of grammars, and files as CLUE and FewCLUE have them."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages.core.errors import Refusal
from stages.core.params import typed
from stages.corpora.clue.files import Files, Source, content, files
from stages.corpora.clue.grammar import SLOT, fill, grammar
from stages.corpora.clue.made import MADE, Made, distinct, made
from stages.corpora.embedded.facts import entries

ROOT = Path(__file__).parents[2]
SIZES = {"train": 40, "dev": 20, "test": 10}
SINGLE = ("afqmc", "cluewsc2020", "cmnli", "csl", "iflytek", "ocnli", "tnews")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("clue") / "clue"
    made(None, Made(**SIZES, seed=0), out)
    return out


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def parts(data, task):
    for part, size in SIZES.items():
        path = data / task / f"{part}.json"
        if task == "c3":
            held = json.loads(path.read_text(encoding="utf-8"))
        elif task == "cmrc2018":
            articles = json.loads(path.read_text(encoding="utf-8"))["data"]
            held = [paragraph for article in articles for paragraph in article["paragraphs"]]
        else:
            held = lines(path)
        assert len(held) == size
        yield part, held


@pytest.mark.parametrize("task", MADE)
def test_every_task_has_its_parts_and_no_record_twice(data, task):
    seen = set()
    for _, held in parts(data, task):
        for record in held:
            text = json.dumps([{**record, "id": 0}] if isinstance(record, dict) else record[:1], ensure_ascii=False)
            if task not in ("c3", "chid", "cmrc2018"):  # whose names of questions differ
                assert text not in seen
            seen.add(text)
            assert not SLOT.search(json.dumps(record, ensure_ascii=False).replace('{"', ""))


@pytest.mark.parametrize("task", SINGLE)
def test_the_test_part_has_numbers_and_no_labels(data, task):
    for part, held in parts(data, task):
        assert [record["id"] for record in held] == list(range(SIZES[part]))
        assert all(("label" in record) == (part != "test") for record in held)
        assert part == "test" or len({record["label"] for record in held}) > 1


def test_spans_are_where_they_are_said_to_be(data):
    for _, held in parts(data, "cluener"):
        for record in held:
            for kind in record.get("label", {}).values():
                for words, places in kind.items():
                    assert all(record["text"][first : last + 1] == words for first, last in places)
    for _, held in parts(data, "cluewsc2020"):
        for record in held:
            for i in "12":
                words, index = (record["target"][f"span{i}_{name}"] for name in ("text", "index"))
                assert record["text"].startswith(words, index)
    for part, held in parts(data, "cmrc2018"):
        for record in held:
            for question in record["qas"]:
                answers = question["answers"]
                assert len(answers) == {"train": 1, "dev": 3, "test": 0}[part]
                assert all(record["context"].startswith(a["text"], a["answer_start"]) for a in answers)


def test_answers_about_entries_are_their_facts(data):
    known = {entry.name: {value for _, value in entry.infobox} for entry in entries()}
    for part, held in parts(data, "cmrc2018"):
        for record in held if part != "test" else []:
            (question,) = record["qas"]
            assert any(name in question["question"] and question["answers"][0]["text"] in values
                       for name, values in known.items())  # fmt: skip


def test_blanks_of_a_document_share_candidates_and_idioms_are_used_once(data):
    for part, held in parts(data, "chid"):
        answers = data / "chid" / f"{part}_answer.json"
        assert answers.exists() == (part != "test")
        right = json.loads(answers.read_text()) if part != "test" else {}
        for record in held:
            names = [name for text in record["content"] for name in right if name in text]
            assert len({right[name] for name in names}) == len(names)
            assert all(text.count("#idiom") == 1 for text in record["content"])
            assert len(set(record["candidates"])) == 10


def test_an_answer_is_one_of_its_choices_and_not_always_the_same(data):
    places = []
    for part, held in parts(data, "c3"):
        for said, (question,), _ in held:
            assert said
            assert len(set(question["choice"])) == len(question["choice"]) in (3, 4)
            assert ("answer" in question) == (part != "test")
            if part != "test":
                places.append(question["choice"].index(question["answer"]))
    assert len(set(places)) == 4


def test_the_same_bytes_again_and_others_of_another_seed(data, tmp_path):
    made(None, Made(**SIZES, seed=0), tmp_path / "again")
    made(None, Made(**SIZES, seed=1), tmp_path / "other")
    for path in data.rglob("*.json"):
        name = path.relative_to(data)
        assert (tmp_path / "again" / name).read_bytes() == path.read_bytes()
    assert (tmp_path / "other/tnews/train.json").read_bytes() != (data / "tnews/train.json").read_bytes()


def test_a_grammar_that_has_not_so_many_is_refused():
    with pytest.raises(Refusal, match="the grammar of dice has 6 records, not 7: ask for fewer"):
        distinct("dice", lambda rng: int(rng.integers(6)), 7, np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(set(MADE) - {"cmrc2018"}))
def test_every_slot_of_a_grammar_has_words(name):
    known = grammar(name)
    slots = {slot for held in known.sections.values() for line in held for slot, _ in SLOT.findall(line)}
    assert {slot for slot in slots if slot not in known.words and slot != "words"} <= {"他"}
    assert not [(key, word) for key, words in known.words.items() for word in words if words.count(word) > 1]


def test_a_slot_keeps_its_word_and_another_number_takes_another():
    filled = fill("{city}、{city2}、{city}", grammar("tnews"), np.random.default_rng(0))
    first, second, third = filled.text.split("、")
    assert first == third != second
    assert filled.word("city2") == second
    assert [filled.text[start:end] for _, start, end in filled.slots] == [first, second, third]


def row(**record):
    return json.dumps(record, ensure_ascii=False)


@pytest.fixture
def folder(tmp_path):
    """A zip with CHID's answers, a tar of FewCLUE, and a plain file."""
    out = tmp_path / "files"
    out.mkdir()
    with zipfile.ZipFile(out / "chid_public.zip", "w") as held:
        held.writestr("chid/train.json", row(candidates=["甲", "乙"], content=["#idiom000001#好"]) + "\n")
        held.writestr("chid/train_answer.json", row(**{"#idiom000001#": 1}))
    with tarfile.open(out / "few.tar.xz", "w:xz") as held:
        text = "\n".join(row(id=i, sentence=f"一行\u2028还是一行{i}", label="3") for i in range(40)).encode()
        info = tarfile.TarInfo("few/iflytek/train_few_all.json")
        info.size = len(text)
        held.addfile(info, io.BytesIO(text))
    paragraph = {"context": "甲乙", "qas": [{"id": "a", "question": "谁", "answers": []}]}
    squad = {"data": [{"paragraphs": [paragraph | {"context": f"甲{i}"}]} for i in range(30)]}
    (out / "cmrc.json").write_text(json.dumps(squad), encoding="utf-8")
    return out


def test_files_become_parts_and_a_share_is_held_out(folder, tmp_path):
    sources = (
        Source("chid", ("chid_public.zip/train.json",), (), ()),
        Source("iflytek", ("few.tar.xz/iflytek/train_few_all.json",), (), ("few.tar.xz/iflytek/train_few_all.json",)),
        Source("cmrc2018", ("cmrc.json",), (), ()),
    )
    found = files(folder, Files(0.4, sources), tmp_path / "out")
    assert found.metrics["iflytek_train"] + found.metrics["iflytek_dev"] == found.metrics["iflytek_test"] == 40
    assert found.metrics["cmrc2018_train"] + found.metrics["cmrc2018_dev"] == 30
    assert 5 < found.metrics["iflytek_dev"] < 28
    assert lines(tmp_path / "out/iflytek/train.json")[0]["sentence"].startswith("一行\u2028还是一行")
    chid = next((tmp_path / "out/chid").glob("*_answer.json"))
    assert json.loads(chid.read_text()) == {"#idiom000001#": 1}
    again = files(folder, Files(0.4, sources), tmp_path / "again")
    assert again.metrics == found.metrics


@pytest.mark.parametrize(
    ("task", "name", "why"),
    [
        ("iflytek", "few.tar.xz/iflytek/other.json", "holds no 'iflytek/other.json'"),
        ("iflytek", "missing.zip/train.json", "holds no file named missing.zip"),
        ("cmrc2018", "few.tar.xz/iflytek/train_few_all.json", "is not in the format of cmrc2018"),
        ("iflytec", "cmrc.json", "CLUE has no task 'iflytec'"),
        ("tnews", "cmrc.json", "held of clue is 0"),
    ],
)
def test_what_is_wrong_is_said(folder, tmp_path, task, name, why):
    with pytest.raises(Refusal, match=why):
        files(folder, Files(0.0, (Source(task, (name,), (), ()),)), tmp_path / "out")


def test_a_compressed_file_is_read(folder):
    import gzip

    (folder / "a.json.gz").write_bytes(gzip.compress(b"[1]"))
    assert content(folder, "a.json.gz") == b"[1]"
    with pytest.raises(Refusal, match="needs an `input`"):
        files(None, Files(0.1, ()), folder / "out")


@pytest.mark.parametrize(
    ("scale", "kind"), [("params.yaml", Made), ("params/web.yaml", Files), ("params/gpu.yaml", Files)]
)
def test_rows_of_all_scales_are_readable(scale, kind):
    rows = yaml.safe_load((ROOT / scale).read_text(encoding="utf-8"))
    typed(kind, rows["corpora"]["clue"]["preprocess"], "row")
