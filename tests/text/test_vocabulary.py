"""BERT's way of reading: planted texts, whose tokens and slices are known, and Hugging Face's tokenizer."""

import lzma
import os
import random
from itertools import islice
from pathlib import Path

import pytest

from stages.core.errors import Refusal
from stages.text.bert.vocabulary import SPECIAL, UNUSED, Vocabulary, padded

WORDS = [
    "天",
    "气",
    "北",
    "京",
    "，",
    "！",
    "caf",
    "##e",
    "na",
    "##ive",
    "a",
    "##b",
    "un",
    "##want",
    "##ed",
    "runn",
    "##ing",
]
KNOWN = Vocabulary([*SPECIAL, *UNUSED, *WORDS, "ａ", "##ｂ", ";", "-", "$", "2", "##0", "i"])


def read(text, vocabulary=KNOWN):
    ids, starts, ends = vocabulary.encode(text)
    return [(vocabulary.tokens[i], text[a:b]) for i, a, b in zip(ids, starts, ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \t\n\u3000", []),
        ("天气", [("天", "天"), ("气", "气")]),
        ("UNwanted running", [("un", "UN"), ("##want", "want"), ("##ed", "ed"), ("runn", "runn"), ("##ing", "ing")]),
        (
            "Café，Cafe\u0301！",
            [("caf", "Caf"), ("##e", "é"), ("，", "，"), ("caf", "Caf"), ("##e", "e"), ("！", "！")],
        ),
        ("nai\u0308ve", [("na", "na"), ("##ive", "i\u0308ve")]),
        ("A\x00B\u200b天", [("a", "A"), ("##b", "B"), ("天", "天")]),
        ("A\x00\ufffdB", [("a", "A"), ("##b", "B")]),
        ("ＡＢ", [("ａ", "Ａ"), ("##ｂ", "Ｂ")]),
        ("北x京", [("北", "北"), ("[UNK]", "x"), ("京", "京")]),
        ("abx ab", [("[UNK]", "abx"), ("a", "a"), ("##b", "b")]),
        ("a-b", [("a", "a"), ("-", "-"), ("[UNK]", "b")]),
        ("$20", [("$", "$"), ("2", "2"), ("##0", "0")]),
        ("a\u037eb", [("a", "a"), (";", "\u037e"), ("[UNK]", "b")]),  # becomes ; when decomposed
        ("İ", [("i", "İ")]),  # two characters in lower case
        ("a" * 101, [("[UNK]", "a" * 101)]),
        ("a\u2028a", [("a", "a"), ("a", "a")]),
    ],
)
def test_tokens_and_the_slices_they_are(text, tokens):
    assert read(text) == tokens


def test_capitals_and_accents_can_be_kept():
    cased = Vocabulary([*SPECIAL, "C", "##a", "##f", "##é"], lower=False)
    assert read("Café", cased) == [("C", "C"), ("##a", "a"), ("##f", "f"), ("##é", "é")]


def test_characters_of_texts_by_frequency():
    made = Vocabulary.of(["天天天 ba", "BA气", "气x"], 4)
    assert made.tokens == [*SPECIAL, *UNUSED, "天", "##a", "b", "气"]
    assert [made.pad, made.unknown, made.cls, made.sep, made.mask, made.unused(1)] == [0, 1, 2, 3, 4, 5]
    assert read("天ba x", made) == [("天", "天"), ("b", "b"), ("##a", "a"), ("[UNK]", "x")]


def test_rows_are_cut_with_their_end_kept():
    a, b = KNOWN.number["天"], KNOWN.number["气"]
    rows = KNOWN.rows(["天气天气", "气", ""], 5)
    assert rows.tolist() == [[2, a, b, a, 3], [2, b, 3, 0, 0], [2, 3, 0, 0, 0]]
    assert padded([[5, 6, 7]], 2).tolist() == [[5, 6]]


@pytest.mark.parametrize("text", ["天气，北京！", "unwanted running", "a-a", "a[UNK]a"])
def test_what_was_read_can_be_written(text):
    assert KNOWN.decode(KNOWN.rows([text.replace("[UNK]", "玄")], 20)[0]) == text


def test_a_vocab_txt_comes_back(tmp_path):
    KNOWN.write(tmp_path / "vocab.txt")
    assert Vocabulary.read(tmp_path / "vocab.txt").tokens == KNOWN.tokens
    (tmp_path / "dos.txt").write_bytes("\r\n".join(KNOWN.tokens).encode())
    assert Vocabulary.read(tmp_path / "dos.txt").tokens == KNOWN.tokens


def test_what_is_no_vocabulary_is_named(tmp_path):
    with pytest.raises(Refusal, match=r"no \[MASK\]"):
        Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "天"])
    with pytest.raises(Refusal, match="must come first"):
        Vocabulary(["天", *SPECIAL])
    with pytest.raises(Refusal, match=r"has no \[unused9\]"):
        KNOWN.unused(9)
    with pytest.raises(Refusal, match="is missing"):
        Vocabulary.read(tmp_path / "none.txt")
    (tmp_path / "gbk.txt").write_bytes("天气".encode("gbk"))
    with pytest.raises(Refusal, match="not UTF-8"):
        Vocabulary.read(tmp_path / "gbk.txt")


def peer(vocabulary, folder):
    tokenizers = pytest.importorskip("tokenizers", reason="pip install tokenizers to compare with it")
    vocabulary.write(folder / "vocab.txt")
    return tokenizers.BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)


def compare(lines, vocabulary, folder):
    theirs = peer(vocabulary, folder)
    for line in lines:
        found = theirs.encode(line, add_special_tokens=False)
        assert list(map(list, vocabulary.encode(line))) == [found.ids, *map(list, zip(*found.offsets, strict=True))], (
            line
        )


def test_it_is_hugging_faces_tokenizer(tmp_path):
    rng = random.Random(0)
    alphabet = "天气北京，！caféCAFE\u0301naiveab unwanted\x00\t\u3000ＡＢ-$20"
    compare(["天" + "".join(rng.choices(alphabet, k=30)) for _ in range(300)], KNOWN, tmp_path)


@pytest.mark.real
def test_it_is_hugging_faces_tokenizer_on_real_text(tmp_path):
    mirror = Path(os.environ.get("QUJING_MIRROR", ""))
    paths = sorted(mirror.glob("corpus_*/*.xz")) + sorted(mirror.glob("clue/*.jsonl.xz"))
    if not paths:
        pytest.skip("QUJING_MIRROR names no mirror")
    lines = []
    for path in paths:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            lines += [line[:2000] for line in islice(file, 1000)]
    more = ["the", "##ing", "##tion", "in", "##er", "pre", "19", "##00"]
    made = Vocabulary.of(lines, 6000).tokens
    compare(lines, Vocabulary([*made, *(token for token in more if token not in made)]), tmp_path)
