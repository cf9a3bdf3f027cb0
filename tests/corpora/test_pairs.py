"""Pairs: the embedded questions in all their forms, and files of SimCLUE's two kinds."""

import json
import lzma
import os
from pathlib import Path

import pytest
import yaml

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.corpora.embedded.questions import questions
from stages.corpora.pairs.files import Pairs, pairs
from stages.corpora.pairs.phrasings import Phrasings, asked, phrasings


def rows(folder, name):
    return tables.read(folder / f"{name}.parquet").to_pylist()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("phrasings") / "out"
    return phrasings(None, Phrasings(0.2), out), out


def test_forms_are_those_that_the_site_asks_in():
    forms = {form for (_, *ways), _ in asked() for form in ways}
    built = [question.question for question in questions() if question.about]
    assert built
    assert set(built) <= forms


def test_names_of_the_test_part_are_new(made):
    found, out = made
    train, test = rows(out, "train"), rows(out, "test")
    assert found.metrics == {"train": len(train), "test": len(test), "test_same": len(test) / 2}
    names = {name for (name, *ways), _ in asked() if any(row["first"] in ways for row in test)}
    assert names
    known = {row[key] for row in train for key in ("first", "second")}
    assert not [form for (name, *ways), _ in asked() if name in names for form in ways if form in known]


def test_a_pair_asks_one_thing_and_a_negative_another(made):
    _, out = made
    thing = {form: i for i, ((_, *ways), _) in enumerate(asked()) for form in ways}
    for row in rows(out, "train"):
        assert thing[row["first"]] == thing[row["second"]] == row["group"] != thing[row["negative"]]
        assert row["first"] != row["second"]
    for row in rows(out, "test"):
        assert (thing[row["first"]] == thing[row["second"]]) == (row["score"] == 1)


def test_the_same_bytes_again(made, tmp_path):
    phrasings(None, Phrasings(0.2), tmp_path / "again")
    for name in ("train", "test"):
        assert (tmp_path / "again" / f"{name}.parquet").read_bytes() == (made[1] / f"{name}.parquet").read_bytes()


@pytest.fixture
def folder(tmp_path):
    triples = [{"query": f"问{i}", "title": f"也问{i}", "neg_title": f"不问{i}"} for i in range(40)]
    labelled = [{"sentence1": f"句{i}", "sentence2": f"也句{i}", "label": str(i % 2)} for i in range(40)]
    with lzma.open(tmp_path / "rank.json.xz", "wt") as file:
        file.write("\n".join(json.dumps(row, ensure_ascii=False) for row in triples))
    (tmp_path / "pair.jsonl").write_text("\n".join(json.dumps(row) for row in labelled))
    return tmp_path


def test_files_of_both_kinds_are_read_and_nothing_is_both_trained_and_tested(folder):
    pairs(folder, Pairs(("rank.json.xz", "pair.jsonl"), (), 0.25), folder / "out")
    train, test = rows(folder / "out", "train"), rows(folder / "out", "test")
    scores = {(row["first"], row["second"]): row["score"] for row in test}
    for (first, second), score in scores.items():
        number = int(first[1:])
        assert score == (number % 2 if first[0] == "句" else float(second[0] == "也"))
    seen = {sentence for pair in scores for sentence in pair}
    known = {row[key] for row in train for key in ("first", "second", "negative")}
    assert not seen & known
    assert len({row["first"] for row in test} | {row["first"] for row in train}) >= 40 + 20
    assert all(row["negative"] == row["second"].replace("也", "不") for row in train if row["first"][0] == "问")


def test_a_test_part_of_its_own_is_taken_as_it_is(folder):
    pairs(folder, Pairs(("rank.json.xz",), ("pair.jsonl",), 0), folder / "out")
    assert len(rows(folder / "out", "train")) == len(rows(folder / "out", "test")) == 40


def test_sentences_of_one_meaning_are_one_group(folder):
    chain = [{"query": "甲", "title": "乙", "neg_title": "丙"}, {"query": "乙", "title": "丁", "neg_title": "丙"}]
    (folder / "chain.json").write_text(json.dumps(chain))
    pairs(folder, Pairs(("chain.json",), ("pair.jsonl",), 0), folder / "out")
    assert len({row["group"] for row in rows(folder / "out", "train")}) == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder, out: phrasings(None, Phrasings(1.0), out), "within 0..1"),
        (lambda folder, out: pairs(None, Pairs((), (), 0.1), out), "need an `input`|needs an `input`"),
        (lambda folder, out: pairs(folder, Pairs(("rank.json.xz",), (), 0.0), out), "within 0..1"),
        (lambda folder, out: pairs(folder, Pairs(("none.json",), (), 0.1), out), "no file named none.json"),
        (lambda folder, out: pairs(folder, Pairs(("rank.json.xz",), ("rank.json.xz",), 0.1), out), "pairs to train"),
    ],
)
def test_bad_input_is_named(make, says, folder):
    with pytest.raises(Refusal, match=says):
        make(folder, folder / "out")


def test_other_fields_are_named(folder):
    (folder / "other.json").write_text('{"question": "甲", "answer": "乙"}')
    with pytest.raises(Refusal, match="query, title and neg_title"):
        pairs(folder, Pairs(("other.json",), (), 0.1), folder / "out")


MIRROR = Path(os.environ.get("QUJING_MIRROR") or Path(__file__).parents[3] / "shared/data")


@pytest.mark.real
@pytest.mark.skipif(not (MIRROR / "clue").is_dir(), reason="QUJING_MIRROR names no folder with clue/")
def test_simclue_is_read_whole(tmp_path):
    row = yaml.safe_load((Path(__file__).parents[2] / "params/web.yaml").read_text())["corpora"]["pairs"]
    found = pairs(MIRROR / "clue", typed(Pairs, row["preprocess"], "row"), tmp_path / "out")
    assert found.metrics["train"] > 12_000
    assert found.metrics["test"] > 2_900
    train, test = rows(tmp_path / "out", "train"), rows(tmp_path / "out", "test")
    seen = {pair[key] for pair in test for key in ("first", "second")}
    assert not seen & {pair[key] for pair in train for key in ("first", "second", "negative") if pair[key]}
