"""Terms: planted ones are found and ranked, the score's algebra, every refusal, and the evidence."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made import ROWS, write_corpus, zipf_text

from stages.core import params, tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.words import candidates, compounds, contrast, dictionary, retrieval, rules, terms, vocabularies
from stages.words.encoded import encode


def settings(key: str = "terms", **changes) -> terms.Terms:
    """The row `key` of params.yaml, with vectors that are trained in no time."""
    found = params.typed(terms.Terms, ROWS[key]["train"], "tests")
    vectors = replace(found.vectors, dim=8, epochs=1, device="cpu")
    discovery = replace(found.discovery, min_count=3, workers=1)
    return replace(found, **{"vectors": vectors, "discovery": discovery, **changes})


def planted(pieces: int, strings: int, seed: int) -> tuple[list[str], list[str], list[str]]:
    """Pieces of a domain and twice as many in general, of the same words, and `strings` random ones of 2-4
    characters, one of which, by Zipf's law, stands between words in 30 % of the domain's pieces."""
    draw = random.Random(seed)
    letters = [chr(0x4E00 + 7 * i) for i in range(300)]
    drawn = ["".join(draw.choices(letters, k=draw.choice([1, 1, 2, 2, 2, 3, 4]))) for _ in range(2000)]
    lexicon = list(dict.fromkeys(drawn))
    weights = [1 / (i + 1) for i in range(len(lexicon))]
    made = [draw.choices(lexicon, weights, k=12) for _ in range(3 * pieces)]
    new = list(dict.fromkeys("".join(draw.choices(letters, k=draw.choice([2, 3, 4]))) for _ in range(2 * strings)))
    new = [string for string in new if string not in lexicon][:strings]
    chances = [1 / (i + 1) for i in range(strings)]
    for piece in made[:pieces]:
        if draw.random() < 0.3:
            piece.insert(draw.randint(0, len(piece)), draw.choices(new, chances)[0])
    texts = ["".join(piece) for piece in made]
    return texts[:pieces], texts[pieces:], new


def ranking(folder: Path, domain: list[str], general: list[str] | None, how: terms.Terms) -> candidates.Ranked:
    """Stages A and B."""
    (folder / "scratch").mkdir(parents=True)
    own = write_corpus(folder / "in", domain)
    other = None if general is None else write_corpus(folder / "against", general)
    found = vocabularies.found(Inputs(input=own, against=other), how, folder / "scratch")
    return candidates.rank(*found, how)


def run(folder: Path, domain: list[str], general: list[str] | None, how: terms.Terms) -> list[dict]:
    """The whole training; the rows of its table."""
    other = None if general is None else write_corpus(folder / "against", general)
    inputs = Inputs(input=write_corpus(folder / "in", domain), against=other)
    terms.train(inputs, how, folder / "out")
    assert not (folder / "out" / "scratch").exists()
    return tables.read(folder / "out" / "terms.parquet").to_pylist()


@pytest.mark.parametrize(("score", "at_40"), [("contrast", 0.85), ("termhood", 0.7)])
def test_planted_terms_are_found_and_ranked_first(tmp_path, score, at_40):
    """The check of the spec at a sixth of its size: 200 strings are 40, one million characters 170 thousand.

    Its numbers are for contrast; termhood puts long and frequent terms before the rarest planted ones.
    """
    domain, general, strings = planted(7000, 40, seed=2)
    how = settings(compounds=terms.Compounding(1, 1, 0, 0), score=score)
    made = ranking(tmp_path, ["。".join(domain[i::50]) for i in range(50)], general, how)
    found = made.texts.to_pylist()
    assert retrieval.recall(found, set(strings)) >= 0.95
    assert retrieval.precision(found, set(strings), 20) >= 0.9
    assert retrieval.precision(found, set(strings), 40) >= at_40
    frequent = retrieval.baselines(made.words, 2)["frequency"]
    assert retrieval.precision(frequent, set(strings), 40) <= 0.2


def test_the_score_rises_with_the_count_and_swaps_with_the_corpora():
    draw = np.random.default_rng(0)
    a, o = draw.integers(0, 50, 300).astype(float), draw.integers(0, 700, 300).astype(float)
    m, alpha = contrast.prior(a, contrast.rescaled(o, a))
    assert alpha == pytest.approx(0.5)
    steps = contrast.smoothed(np.arange(100.0), np.full(100, 7.0), m, alpha)
    assert (np.diff(steps) > 0).all()
    there = contrast.smoothed(a, contrast.rescaled(o, a), m, alpha)
    back = contrast.smoothed(o, contrast.rescaled(a, o), *contrast.prior(o, contrast.rescaled(a, o)))
    assert np.abs(there + back - 1).max() < 1e-9


def test_log_odds_is_the_formula_of_the_paper():
    known = contrast.Evidence(np.array([8.0, 2]), np.array([2.0, 8]), *[np.ones(2)] * 3, 1, 5, 0.5)
    p, whole = 1000 * 10 / 20, 10 + 1000
    by_hand = np.log((8 + p) / (whole - 8 - p)) - np.log((2 + p) / (whole - 2 - p))
    assert contrast.log_odds(known)[0] == pytest.approx(by_hand / np.sqrt(1 / (8 + p) + 1 / (2 + p)))


def test_ties_are_broken_by_count_and_then_by_text():
    order = contrast.order(np.array([1.0, 1, 1, 2]), np.array([1, 2, 2, 1]), np.array(["甲", "乙", "丁", "丙"]))
    assert order.tolist() == [3, 2, 1, 0]


def brute_cut(text: str, words: dict[str, float]) -> list[str]:
    """The best cut by dynamic programming over plain strings."""
    total = sum(words.values())
    best: list[tuple[float, list[str]]] = [(0.0, [])]
    for j in range(1, len(text) + 1):
        options = []
        for i in range(max(0, j - 6), j):
            word = text[i:j]
            if word in words or j - i == 1:
                options.append((best[i][0] + np.log(words.get(word, 0.5) / total), [*best[i][1], word]))
        best.append(max(options, key=lambda option: option[0]))
    return best[-1][1]


@pytest.mark.parametrize("chunk", [16, 64, 1 << 18])
def test_the_cut_is_the_best_one_however_the_corpus_is_cut_into_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(dictionary, "CHUNK", chunk)
    draw = random.Random(3)
    words = {"".join(draw.choices("甲乙丙丁戊", k=draw.randint(1, 5))): draw.uniform(1, 99) for _ in range(60)}
    texts = ["".join(draw.choices("甲乙丙丁戊己，", k=40)) for _ in range(30)]
    corpus = encode(write_corpus(tmp_path, texts) / "documents.parquet", "han", tmp_path / "ids")
    book = dictionary.Dictionary(pa.array(list(words)), np.array(list(words.values())))
    made = dictionary.cut(corpus, book, tmp_path / "cut")
    names = [*words, "?"]
    expected = [word for text in texts for piece in text.split("，") for word in brute_cut(piece, words)]
    mine = [names[row] for row in made.rows]
    scores = [
        sum(np.log(words.get(word, 0.5)) - np.log(sum(words.values())) for word in cut) for cut in (mine, expected)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-12)
    assert made.lengths[made.rows].sum() == sum(len(word) for word in expected)
    assert (np.diff(made.documents(corpus)) >= 0).all()


def test_compounds_are_counted_as_by_brute_force(tmp_path):
    draw = random.Random(4)
    texts = ["".join(draw.choices(["甲乙", "丙丁", "戊", "，"], [4, 3, 2, 1], k=80)) for _ in range(20)]
    corpus = encode(write_corpus(tmp_path, texts) / "documents.parquet", "han", tmp_path / "ids")
    book = dictionary.Dictionary(pa.array(["甲乙", "丙丁", "戊"]), np.ones(3))
    cut = dictionary.cut(corpus, book, tmp_path / "cut")
    found = compounds.candidates(cut, cut.documents(corpus), cut, 3, 1)
    names, grams, inside, after = ["甲乙", "丙丁", "戊", ""], Counter(), Counter(), {}
    for text in texts:
        seen = set()
        for piece in text.split("，"):
            split = [piece[i : i + 2] if piece[i] != "戊" else "戊" for i in range(len(piece)) if piece[i] in "甲丙戊"]
            for n in (1, 2, 3):
                for i in range(len(split) - n + 1):
                    gram = tuple(split[i : i + n])
                    grams[gram] += 1
                    seen.add(gram)
                    after.setdefault(gram, Counter())[split[i + n] if i + n < len(split) else "edge"] += 1
        inside.update(seen)
    keys = [tuple(names[part] for part in row if part >= 0) for row in found.parts]
    assert dict(zip(keys, found.counts, strict=True)) == dict(grams)
    assert dict(zip(keys, found.general, strict=True)) == dict(grams)
    assert dict(zip(keys, found.documents, strict=True)) == dict(inside)
    key = ("甲乙", "丙丁", "甲乙")
    n, whole = grams.total() - sum(c for g, c in grams.items() if len(g) > 1), grams[key]
    by_hand = min(np.log(n * whole / (grams[key[:s]] * grams[key[s:]])) for s in (1, 2))
    assert found.cohesion[keys.index(key)] == pytest.approx(by_hand)
    longest = max(c for g, c in grams.items() if len(g) == 3 and key[:2] in (g[:2], g[1:]))
    assert found.net[keys.index(key[:2])] == grams[key[:2]] - longest
    p = np.array(list(after[key].values())) / whole
    assert found.freedom[keys.index(key)] <= -(p * np.log(p)).sum() + 1e-9


def test_terms_of_several_words_come_with_their_evidence(tmp_path):
    draw = random.Random(5)
    _, general, _ = planted(400, 1, seed=6)
    words = ["".join(draw.choices(general[0] + general[1] + general[2], k=2)) for _ in range(400)]
    domain = []
    for i in range(90):
        framed = [f"{draw.choice(words)}{term}{draw.choice(words)}！" for term in ("上下文管理器", "关键字参数") * 2]
        domain.append(f"标题{i}\n{''.join(framed[: draw.randint(1, 4)])}{general[i]}")
    parts = ["上下文", "管理器", "关键字", "参数"]
    general = general[90:] + [f"{draw.choice(words)}{draw.choice(parts)}{draw.choice(words)}。" for _ in range(200)]
    rows = run(tmp_path, domain, general, settings(compounds=terms.Compounding(4, 9, 1, 0)))
    by_term = {row["term"]: row for row in rows}
    assert {"上下文管理器", "关键字参数"} <= set(list(by_term)[:10])
    found = by_term["上下文管理器"]
    text = "\n".join(domain)
    assert 0.8 * text.count("上下文管理器") <= found["domain_count"] <= text.count("上下文管理器")  # of the best cut
    assert found["documents"] <= sum("上下文管理器" in document for document in domain)
    assert found["general_count"] == 0
    assert 0.5 < found["contrast"] < 1
    for row in rows:
        assert row["examples"]
        for sentence in row["examples"]:
            assert row["term"] in sentence
            assert sentence in text
            assert not set("。！\n") & set(sentence[:-1])


def test_the_same_bytes_twice_and_repeated_documents_count_once(tmp_path):
    domain = [zipf_text(3000, seed=i) for i in range(20)]
    general = [zipf_text(3000, seed=100 + i, alphabet=200) for i in range(20)]
    for name, texts in (("a", domain), ("b", domain), ("c", domain * 3)):
        run(tmp_path / name, texts, general, settings())
    made = [(tmp_path / name / "out" / "terms.parquet").read_bytes() for name in "abc"]
    assert made[0] == made[1] == made[2]


def test_without_a_general_corpus_the_rank_is_by_frequency_and_that_is_said(tmp_path, capsys):
    domain = [zipf_text(3000, seed=i) for i in range(10)]
    plain = settings("terms_plain", only_reached=False)
    for name, general in (("none", None), ("empty", [])):
        rows = run(tmp_path / name, domain, general, plain)
        assert candidates.NO_GENERAL in capsys.readouterr().err
        assert [row["score"] for row in rows] == sorted((row["domain_count"] for row in rows), reverse=True)
    assert run(tmp_path / "ours", domain, None, settings())


def test_a_word_of_one_corpus_only_has_a_count_of_zero_in_the_other(tmp_path):
    how = settings("terms_plain", only_reached=False)
    rows = run(tmp_path, ["凝固，" * 40 + zipf_text(5000)], [zipf_text(5000)], how)
    (found,) = [row for row in rows if row["term"] == "凝固"]
    assert (found["domain_count"], found["general_count"]) == (40, 0)


@pytest.mark.parametrize("key", ["terms", "terms_plain"])
def test_seeds_that_do_not_occur_are_told_and_without_any_it_is_refused(tmp_path, capsys, key):
    how = settings(key)
    domain, general = [zipf_text(20_000)], [zipf_text(20_000, seed=7)]
    first = ranking(tmp_path / "first", domain, general, how).texts[0].as_py()
    spreading = replace(how.spreading, seeds=(first, "没有这个词"))
    rows = run(tmp_path / "some", domain, general, replace(how, spreading=spreading, only_reached=True))
    assert "没有这个词" in capsys.readouterr().err
    assert [row["depth"] for row in rows if row["term"] == first] == [0]
    assert all(row["depth"] is not None for row in rows)
    with pytest.raises(Refusal, match="no seed"):
        run(tmp_path / "none", domain, general, replace(how, spreading=replace(how.spreading, seeds=("没有这个词",))))


@pytest.mark.parametrize(
    ("domain", "changes", "message"),
    [
        ([], {}, "alphabet"),
        (["。"], {}, "alphabet"),
        ([zipf_text(5000)], {"counts": "discovered"}, "order to 1"),
        ([zipf_text(5000)], {"score": "contrasts"}, "contrast"),
        ([zipf_text(5000)], {"finder": "words"}, "word_finder"),
        ([zipf_text(5000)], {"shortest": 99}, "no "),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(tmp_path, domain, changes, message):
    with pytest.raises(Refusal, match=message) as refusal:
        run(tmp_path, domain, [zipf_text(5000)], settings(**changes))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out" / "terms.parquet").exists()


def test_the_rules_are_off_until_asked_for(tmp_path):
    given = rules.load()
    words = pa.array(["散度", "的散度", "更大", "问题情况", "啊啊", "散", "abc", "二十三条", "散度等"])
    assert rules.accepted(words, given).to_pylist() == [True] + [False] * 8
    domain, general = [zipf_text(20_000) + "大家很快。" * 30], [zipf_text(20_000, seed=7)]
    off = run(tmp_path / "off", domain, general, settings())
    on = run(tmp_path / "on", domain, general, settings(rules=True))
    assert [row["term"] for row in on] == [row["term"] for row in off if row["accepted_by_rules"]]
    assert any(not row["accepted_by_rules"] for row in off)
    wrong = rules.STANDARD.read_text(encoding="utf-8").replace("not_last", "not_lst")
    (tmp_path / "wrong.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(Refusal, match="not_l"):
        rules.load(tmp_path / "wrong.yaml")


def test_precision_and_recall_are_those_by_hand(tmp_path):
    names = pa.table({"name": ["甲乙", "丙丁", "戊己"], "kind": ["term", "term", "place"], "count": [5, 1, 9]})
    assert retrieval.known(names, 1) == {"甲乙", "丙丁"}
    assert retrieval.known(names, 2) == {"甲乙"}
    assert retrieval.precision(["甲乙", "辛"], {"甲乙", "丙丁"}, 4) == 0.25
    assert retrieval.recall(["甲乙", "辛"], {"甲乙", "丙丁"}) == 0.5
    words = pa.table({"word": ["甲乙", "丙丁", "戊", "庚辛"], "count": [3.0, 5, 9, 0], "documents": [1, 4, 4, 1]})
    assert retrieval.baselines(words, 2) == {"frequency": ["丙丁", "甲乙"], "tf_idf": ["甲乙", "丙丁"]}
    with pytest.raises(Refusal, match="kind 'term'"):
        retrieval.known(names, 99)


def test_the_judgement_of_a_list_has_its_claims(tmp_path):
    rows = run(tmp_path, [zipf_text(20_000) + "凝固度，" * 40], [zipf_text(20_000, seed=7)], settings())
    names = pa.table({"name": ["凝固度", "没有的"], "kind": ["term"] * 2, "count": [40, 9]})
    tables.write(names, tmp_path / "truth/names.parquet")
    judge = params.typed(retrieval.EvaluateTerms, ROWS["terms"]["evaluate"], "tests")
    found = retrieval.evaluate(
        tmp_path / "out", Inputs(truth=tmp_path / "truth"), replace(judge, tops=(10,), claimed=10)
    )
    rank = [row["term"] for row in rows].index("凝固度")
    assert found.metrics["precision_at_10"] == (0.1 if rank < 10 else 0)
    assert found.metrics["recall"] == 0.5
    assert [claim.passed for claim in found.claims][1] is True
    with pytest.raises(Refusal, match="truth"):
        retrieval.evaluate(tmp_path / "out", Inputs(), judge)
