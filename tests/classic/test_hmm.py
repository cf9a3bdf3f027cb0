"""Hidden Markov models against all states there are, counts by hand, and the text of a newspaper."""

import itertools
import lzma
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from stages.classic.hmm import lexicon, system, words
from stages.classic.hmm.lexicon import Lexicon
from stages.classic.hmm.model import HMM, likelihood, viterbi
from stages.classic.hmm.words import B, E, M, S
from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target

LEARN = [["小明", "毕业", "于", "中国", "科学院"], ["他", "在", "中国", "计算所", "学习"], ["我们", "学习", "计算"]]
LEGAL = {(S, S), (S, B), (B, M), (B, E), (M, M), (M, E), (E, S), (E, B)}


def made(states=4, symbols=5, seed=0, forbidden=()):
    chance = np.random.default_rng(seed)
    transition = np.log(chance.dirichlet(np.ones(states), states))
    for move in forbidden:
        transition[move] = -np.inf
    emission = np.log(chance.dirichlet(np.ones(symbols), states))
    return HMM(np.log(chance.dirichlet(np.ones(states))), transition, emission, np.log(chance.random(states)))


def every(model, x):
    """(score, states) of all sequences of states."""
    for states in itertools.product(range(len(model.start)), repeat=len(x)):
        score = model.start[states[0]] + model.emission[states[0], x[0]] + model.end[states[-1]]
        for k in range(1, len(x)):
            score += model.transition[states[k - 1], states[k]] + model.emission[states[k], x[k]]
        yield score, states


def test_the_best_states_and_all_of_them_together_are_those_of_enumeration():
    chance = np.random.default_rng(1)
    forbidden = [(i, j) for i in range(4) for j in range(4) if (i, j) not in LEGAL]
    for round_ in range(25):
        model = made(seed=round_, forbidden=forbidden if round_ % 2 else ())
        lengths = chance.integers(0, 6, size=20)
        lengths[0] = 7 if round_ == 0 else lengths[0]
        symbols = chance.integers(5, size=lengths.sum())
        states, scores = viterbi(model, symbols, lengths)
        whole = likelihood(model, symbols, lengths)
        for i, length in enumerate(lengths):
            begin = lengths[:i].sum()
            if not length:
                assert scores[i] == whole[i] == 0
                continue
            known = list(every(model, symbols[begin : begin + length]))
            best = max(known)
            assert scores[i] == pytest.approx(best[0], abs=1e-10)
            found = tuple(states[begin : begin + length])
            assert dict(map(reversed, known))[found] == pytest.approx(best[0], abs=1e-10)
            assert whole[i] == pytest.approx(special.logsumexp([score for score, _ in known]), abs=1e-10)
            if round_ % 2:
                assert set(itertools.pairwise(found)) <= LEGAL


def test_unknown_symbols_are_the_last_one():
    model = made()
    known, scores = viterbi(model, np.array([0, 4, 2]), np.array([3]))
    other, others = viterbi(model, np.array([0, 99, 2]), np.array([3]))
    assert scores[0] == others[0]
    assert (known == other).all()
    assert viterbi(model, np.array([0, -1, 2]), np.array([3]))[1][0] == scores[0]


def test_words_are_read_as_tags():
    text = words.read(LEARN)
    assert "".join("sbme"[tag] for tag in text.tags) == "bebesbebmessbebmebebebebe"
    assert text.lengths.tolist() == [10, 9, 6]


def test_counts_are_those_by_hand():
    model = words.first_order(words.read(LEARN)).model
    assert np.exp(model.start) == pytest.approx([2 / 5, 3 / 5, 0, 0])  # one of three sentences begins in s, one added
    # after b: e 8 times, m twice, one added to each
    assert np.exp(model.transition[B, [M, E]]) == pytest.approx([3 / 12, 9 / 12])
    assert np.isneginf(model.transition[B, [S, B]]).all()
    assert np.isneginf(model.end[[B, M]]).all()
    np.testing.assert_allclose(np.exp(model.emission).sum(1), 1)
    whole = np.exp(np.concatenate([model.transition, model.end[:, None]], 1))
    np.testing.assert_allclose(whole.sum(1), 1)


def test_pairs_of_tags_are_a_law_too_and_begin_after_a_word():
    model = words.second_order(words.read(LEARN)).model
    whole = np.exp(np.concatenate([model.transition, model.end[:, None]], 1))
    np.testing.assert_allclose(whole.sum(1), 1)
    assert np.isneginf(model.start[: 4 * E]).all()
    for before, tag, after in itertools.product(range(4), repeat=3):
        for other in range(4):
            if other != tag:  # a pair leads to pairs that begin with its second tag only
                assert np.isneginf(model.transition[4 * before + tag, 4 * other + after])


def test_a_dictionary_alone_cuts_the_article_s_samples():
    counts = {"今天": 100, "天气": 60, "不错": 50, "一个": 200, "好": 80, "是": 300, "孩子": 90, "李": 5, "想": 40}
    counts |= {"小明": 9, "硕士": 20, "毕业": 30, "于": 80, "中国": 150, "科学院": 12, "计算": 40, "所": 60, "思想": 30}
    tagger = words.dictionary(counts)
    assert words.cut(tagger.starts, ["今天天气不错"]) == [["今天", "天气", "不错"]]
    expected = np.log((counts["好"] + 1) / sum(counts[word] for word in counts if len(word) == 1))
    place = words.numbered(np.array([ord("好")]), tagger.characters)[0]
    assert tagger.model.emission[S, place] == pytest.approx(expected)


@pytest.mark.parametrize("way", [*words.WAYS, "dictionary"])
def test_any_text_is_cut_into_itself(way):
    text = words.read(LEARN)
    tagger = words.dictionary({"小明": 3}) if way == "dictionary" else words.WAYS[way](text)
    lines = ["", "学", "我们在中国学习", "abc 123 𠮷😀", "\ud800", "繁體字也行" * 500]
    for line, cut in zip(lines, words.cut(tagger.starts, lines), strict=True):
        assert "".join(cut) == line
        assert "" not in cut


def cuts(text):
    """All ways to cut a text."""
    for bits in itertools.product((True, False), repeat=len(text) - 1):
        yield [True, *bits]


def test_lists_cut_as_all_cuts_and_hands_would():
    """The unigram model against every cut there is; forward matching against a loop."""
    counts = {"甲": 5, "乙": 3, "甲乙": 4, "乙丙": 9, "丙丁": 2, "丁": 1, "甲乙丙": 2, "丁戊己庚": 7}
    held, total = Lexicon.of(counts), sum(counts.values())
    chance = np.random.default_rng(0)
    lines = ["".join(chance.choice(list("甲乙丙丁戊己庚x"), size=chance.integers(0, 9))) for _ in range(60)]
    lines += ["甲乙丙", "丁戊己庚", ""]

    def worth(starts, line):
        at = [*np.flatnonzero(starts), len(line)]
        parts = [line[a:b] for a, b in itertools.pairwise(at)]
        logs = [np.log(counts[w] / total) if w in counts else held.unknown for w in parts]
        return sum(logs) if all(w in counts or len(w) == 1 for w in parts) else -np.inf

    text, lengths = words.encoded(lines)
    ends = np.cumsum(lengths)
    best, greedy = (way(held, text, lengths) for way in (lexicon.unigram, lexicon.forward_match))
    for line, end in zip(lines, ends, strict=True):
        if line:
            mine = worth(best[end - len(line) : end], line)
            assert mine == pytest.approx(max(worth(np.array(cut), line) for cut in cuts(line)))
            at, expected = 0, np.zeros(len(line), bool)
            while at < len(line):
                expected[at] = True
                at += max([k for k in range(1, 5) if line[at : at + k] in counts and at + k <= len(line)], default=1)
            assert (greedy[end - len(line) : end] == expected).all()
    with pytest.raises(Refusal, match="holds no word"):
        Lexicon.of({"": 3, "甲": 0})


def test_a_score_is_that_of_words_by_their_ends():
    gold = np.array([1, 0, 1, 1, 0, 0, 1, 0], bool)  # 2 1 3 2
    found = np.array([1, 0, 1, 0, 1, 0, 1, 0], bool)  # 2 2 2 2
    scored = words.score(gold, found)
    assert (scored.recall, scored.precision) == (2 / 4, 2 / 4)
    assert words.score(gold, gold).f1 == 1


def test_the_stage_learns_and_is_judged_on_other_sentences(tmp_path):
    import pyarrow as pa

    chance = np.random.default_rng(0)
    lexicon = ["我们", "学习", "计算所", "在", "中国", "的", "科研院", "毕业", "了", "老师"]
    sentences = [[lexicon[i] for i in chance.integers(10, size=chance.integers(2, 9))] for _ in range(400)]
    tables.write(pa.table({"words": sentences}), tmp_path / "data/gold.parquet")
    kinds = ("dictionary", "independent", "first_order", "second_order", "forward_match", "unigram")
    system.train(Inputs(input=tmp_path / "data"), system.Segmenters(kinds), tmp_path / "model")
    target = Target("first_order.f1", "F1", "at least", 0.999)
    found = system.evaluate(tmp_path / "model", Inputs(), system.EvaluateSegmenters("made", (target,), 3))
    assert [claim.passed for claim in found.claims] == [True]
    assert found.metrics["first_order.legal"] == found.metrics["second_order.legal"] == 1
    assert found.tables["cuts"].num_rows == 3
    with pytest.raises(Refusal, match=r"third\.safetensors is missing"):
        system.load(tmp_path / "model", "third")


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(Refusal, match="no word"):
        words.read([[""], []])
    with pytest.raises(Refusal, match="transition must be"):
        HMM(np.zeros(2), np.zeros((3, 3)), np.zeros((2, 4)), np.zeros(2))


def test_half_a_million_characters_a_second():
    tagger = words.first_order(words.read(LEARN))
    text, lengths = words.encoded(["我们在中国科学院学习计算" * 5] * 3000)
    begin = time.thread_time()
    tagger.starts(text, lengths)
    assert len(text) / (time.thread_time() - begin) > 5e5


@pytest.mark.real
def test_a_newspaper_teaches_the_words_of_another_day():
    """F1 of 0.80 on the PKU test, and what transitions are worth."""
    folder = Path(os.environ.get("QUJING_MIRROR", "")) / "cws"
    if not os.environ.get("QUJING_MIRROR") or not folder.exists():
        pytest.skip("no segmented text in QUJING_MIRROR")

    def lines(name):
        with lzma.open(folder / name, "rt", encoding="utf-8") as stream:
            return [line.split() for line in stream if line.strip()]

    learn, text = lines("pd199801_training.utf8.xz"), words.read(lines("pku_test_gold.utf8.xz"))
    gold = (text.tags == S) | (text.tags == B)
    taggers = {kind: way(words.read(learn)) for kind, way in words.WAYS.items()}
    taggers["dictionary"] = words.dictionary(Counter(word for sentence in learn for word in sentence))
    found = {kind: words.score(gold, tagger.starts(text.characters, text.lengths)) for kind, tagger in taggers.items()}
    listed = Lexicon.of(Counter(word for sentence in learn for word in sentence))
    for kind, way in system.LISTED.items():
        found[kind] = words.score(gold, way(listed, text.characters, text.lengths))
    print({kind: round(scored.f1, 4) for kind, scored in found.items()})
    assert found["first_order"].f1 >= 0.80
    order = ("independent", "dictionary", "first_order", "forward_match", "unigram")
    assert all(found[a].f1 < found[b].f1 for a, b in itertools.pairwise(order))
