"""The cut against jieba itself, and its score against cases done by hand."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from made import judge, plain, write_corpus, zipf_text

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.words import EVALUATE, TRAIN, bakeoff
from stages.words.segmenter import Segmenter

ODD_TEXTS = [
    "",
    "a\r\n b\n\r",
    "3D4G A股x4A",
    "\u3000\t ３Ｄ１",
    "1.5%的R&D",
    "𠮷野家",
    "甲\x00乙",
    "\ud800甲",
    "甲" * 300,
]


def jieba_with(counts: dict[str, int], folder: Path):
    jieba = pytest.importorskip("jieba")
    jieba.setLogLevel(60)
    dictionary = folder / "dictionary.txt"
    dictionary.write_text("".join(f"{word} {count}\n" for word, count in counts.items()), encoding="utf-8")
    tokenizer = jieba.Tokenizer(str(dictionary))
    tokenizer.tmp_dir = tempfile.mkdtemp(dir=folder)
    return lambda texts: [tokenizer.lcut(text, HMM=False) for text in texts]


def dictionary_of(text: str, seed: int = 0) -> dict[str, int]:
    """Random substrings with small counts, so that ties are frequent."""
    rng = random.Random(seed)
    starts = [rng.randrange(len(text)) for _ in range(4000)]
    words = {text[i : i + rng.choice([1, 1, 2, 2, 3, 4, 6])] for i in starts}
    found = {w: rng.choice([1, 2, 2, 3, 5, 50]) for w in sorted(words) if w.isalnum()}
    return {**found, "3D": 7, "4": 3, "A股": 9, "R&D": 2}


def test_cut_equals_jieba_on_made_text(tmp_path):
    text = zipf_text(30_000, alphabet=60)
    texts = [text[i : i + 200] for i in range(0, len(text), 200)] + ODD_TEXTS
    counts = dictionary_of(text)
    segmenter, expected = Segmenter(counts), jieba_with(counts, tmp_path)(texts)
    assert segmenter.cut_many(texts) == expected
    assert [segmenter.cut(text) for text in texts] == expected


def test_cut_equals_jieba_on_real_text(tmp_path, real_texts):
    counts = dictionary_of("".join(real_texts))
    lines = [line for text in real_texts for line in text.split("\n")]
    segmenter, expected = Segmenter(counts), jieba_with(counts, tmp_path)(lines)
    assert segmenter.cut_many(lines) == expected
    assert [segmenter.cut(line) for line in lines] == expected


def test_full_width_runs_can_be_kept():
    for text, words in (("１９９８年", ["１９９８", "年"]), ("年ＡＢ１", ["年", "ＡＢ１"])):
        segmenter = Segmenter({"年": 1}, keep_full_width=True)
        assert segmenter.cut(text) == words
        assert segmenter.cut_many(["", text, text]) == [[], words, words]
        assert Segmenter({"年": 1}).cut(text) == list(text)


def test_long_words_are_found_in_text():
    segmenter = Segmenter({"甲乙": 1, "甲乙丙丁戊己": 2, "庚": 1})
    assert segmenter.occurring(["辛甲乙", "丙丁戊己甲乙", "庚辛"]) == {"甲乙", "庚"}
    assert segmenter.cut("辛甲乙丙丁戊己甲") == ["辛", "甲乙丙丁戊己", "甲"]


def test_an_empty_vocabulary_is_refused():
    with pytest.raises(Refusal, match="empty"):
        Segmenter({})


def lists(*sentences: str) -> pa.ListArray:
    return pa.array([sentence.split() for sentence in sentences], pa.list_(pa.string()))


def test_bakeoff_by_hand():
    gold, cut = lists("共同 创造 美好 的 世纪", "新年"), lists("共同 创 造 美好的 世纪", "新 年")
    scored = bakeoff.score(gold, cut, pa.array(["共同", "创造", "的"]))
    assert (scored.recall, scored.precision) == (2 / 6, 2 / 7)
    assert scored.f1 == pytest.approx(2 * (2 / 6) * (2 / 7) / (2 / 6 + 2 / 7))
    assert (scored.oov_recall, scored.iv_recall, scored.oov_rate) == (1 / 3, 1 / 3, 1 / 2)
    assert bakeoff.score(gold, gold).f1 == 1
    assert bakeoff.score(lists("甲 乙"), lists("甲乙")).f1 == 0
    with pytest.raises(ValueError, match="same text"):
        bakeoff.score(gold, lists("共同", "新年"))


def test_evaluate_end_to_end(tmp_path):
    corpus = write_corpus(tmp_path, ["蝴蝶，" * 30 + "葡萄牙，的。" * 40 + "飞；" * 20])
    params = plain(min_count=3, thresholds=(1.0, 1.0, 9.0), workers=1)
    TRAIN["new_words"](Inputs(input=corpus), params, tmp_path / "model")
    tables.write(pa.table({"words": lists("葡萄牙 的 蝴蝶", "飞")}), tmp_path / "truth" / "gold.parquet")
    tables.write(pa.table({"word": ["的", "飞"]}), tmp_path / "truth" / "training_words.parquet")
    names = pa.table({"name": ["蝴蝶", "西班牙", "没有"], "count": [70, 9, 1]})
    tables.write(names, tmp_path / "truth" / "names.parquet")
    how = judge(target_f1=0.9, target_name_recall=0.9, tops=(1, 5), data="made")
    found = EVALUATE["new_words"](tmp_path / "model", Inputs(truth=tmp_path / "truth"), how)
    assert found.metrics["f1"] == 1
    assert found.metrics["oov_recall"] == 1
    assert found.metrics["recall_of_names"] == 0.5
    assert found.metrics["f1_every_character"] == pytest.approx(2 * (2 / 4) * (2 / 7) / (2 / 4 + 2 / 7))
    assert [claim.passed for claim in found.claims] == [True, False]
    assert set(found.figures) == {"rank", "solidity_entropy", "f1_top"}
    for figure in found.figures.values():
        figure.savefig(tmp_path / "figure.png")
    assert found.tables["top_words"].num_rows == 4


def test_evaluate_without_truth_is_refused(tmp_path):
    corpus = write_corpus(tmp_path, ["蝴蝶飞，" * 30])
    TRAIN["new_words"](Inputs(input=corpus), plain(thresholds=(0.0, 0.0, 0.0), workers=1), tmp_path / "model")
    with pytest.raises(Refusal, match="gold"):
        bakeoff.evaluate(tmp_path / "model", Inputs(truth=tmp_path), judge())
