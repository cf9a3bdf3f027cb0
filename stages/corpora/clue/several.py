"""Records of more than a label: CHID, C3 and CLUENER from grammars, CMRC 2018 from entries of the embedded site."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from stages.corpora.clue.grammar import any_of, fill, grammar
from stages.corpora.embedded.facts import Entry, entries, paragraphs

CANDIDATES, CHOICES = 10, 4

ASKED = {
    ("territory", "代码"): ("{name}的代码是什么？", "国际标准用哪两个字母表示{name}？"),
    ("territory", "货币"): ("{name}用什么货币？", "在{name}通行的货币叫什么？"),
    ("territory", "曾用货币"): ("{name}以前使用什么货币？", "{name}更早的时候用哪种钱？"),
    ("territory", "每周第一天"): ("{name}的一周从哪一天开始？", "在{name}的日历上，一周的第一天是哪一天？"),
    ("language", "自称"): ("说{name}的人怎么写自己的语言？", "{name}的自称是什么？"),
    ("language", "代码"): ("{name}的语言代码是什么？", "代码表里用什么表示{name}？"),
    ("currency", "货币代码"): ("{name}的代码是哪三个字母？", "银行怎样写{name}？"),
    ("unit", "符号"): ("{name}怎样缩写？", "{name}的符号是什么？"),
}
"""What is asked about an entry of a kind by a label of its infobox."""


def chid(rng: np.random.Generator) -> dict[str, Any]:
    """A document of one to three blanks; `answers` are the places of their idioms among the candidates."""
    known = grammar("chid")
    candidates = rng.permutation(list(known.sections))[:CANDIDATES].tolist()
    right = rng.permutation(CANDIDATES)[: rng.integers(1, 4)].tolist()
    texts = [any_of(known.sections[candidates[place]], rng) for place in right]
    return {"candidates": candidates, "content": texts, "answers": right}


def c3(rng: np.random.Generator) -> list[Any]:
    """A dialogue or a text with a question of three or four choices."""
    known = grammar("c3")
    template = any_of([*known.sections["d"], *known.sections["m"]], rng)
    chosen: dict[str, str] = {}
    turns, slot = template.rsplit("|", 1)
    *said, asked, answer = [fill(part, known, rng, chosen=chosen).text for part in turns.split("|")]
    named = [word for key, word in chosen.items() if key.rstrip("2") == slot and word != answer]
    others = [word for word in rng.permutation(known.words[slot]).tolist() if word not in (answer, *named)]
    choices = [answer, *named, *others][: rng.integers(CHOICES - 1, CHOICES + 1)]
    question = {"question": asked, "choice": rng.permutation(choices).tolist(), "answer": answer}
    return [said, [question], "made"]


def cluener(rng: np.random.Generator) -> dict[str, Any]:
    """A text with its names."""
    known = grammar("cluener")
    filled = fill(any_of(known.sections["texts"], rng), known, rng)
    label: dict[str, dict[str, list[list[int]]]] = {}
    for slot, start, end in filled.slots:
        label.setdefault(slot.rstrip("2"), {}).setdefault(filled.text[start:end], []).append([start, end - 1])
    return {"text": filled.text, "label": label}


def cmrc2018(rng: np.random.Generator) -> dict[str, Any]:
    """A paragraph of an entry, and a question about the entry that it answers in the words of the infobox."""
    entry, label = able()[int(rng.integers(len(able())))]
    words = dict(entry.infobox)[label]
    context = next(paragraph for paragraph in paragraphs(entry) if words in paragraph)
    asked = any_of(ASKED[entry.kind, label], rng).replace("{name}", entry.name)
    answer = {"text": words, "answer_start": context.index(words)}
    return {"context": context, "qas": [{"question": asked, "answers": [answer]}]}


@cache
def able() -> list[tuple[Entry, str]]:
    """Entries and labels of ASKED whose value stands in the entry's text."""
    pairs = [(entry, label) for entry in entries() for label, _ in entry.infobox if (entry.kind, label) in ASKED]
    return [
        (entry, label)
        for entry, label in pairs
        if any(dict(entry.infobox)[label] in paragraph for paragraph in paragraphs(entry))
    ]
