"""Records with one label each from grammars: TNEWS, IFLYTEK, AFQMC, CMNLI, OCNLI, CLUEWSC and CSL.

What the label of a pair depends on stands in neither of its sentences alone, but in how they go together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.corpora.clue.grammar import any_of, fill, grammar

SEPARATOR = "\u2028"  # of lines, to Unicode; in descriptions of apps as they are found
DISAGREED = 50  # one pair in so many has the label "-", as OCNLI has


def tnews(rng: np.random.Generator) -> dict[str, Any]:
    """A headline."""
    known = grammar("tnews")
    heading = any_of(list(known.sections), rng)
    code, section = heading.split()
    text = fill(any_of(known.sections[heading], rng), known, rng).text
    return {"label": code, "label_desc": section, "sentence": text, "keywords": ""}


def iflytek(rng: np.random.Generator) -> dict[str, Any]:
    """A description: sentences of its kind, and some that stand anywhere."""
    known = grammar("iflytek")
    kinds = [heading for heading in known.sections if heading != "anywhere"]
    heading = any_of(kinds, rng)
    number, name = heading.split()
    own = rng.permutation(known.sections[heading])[: rng.integers(1, 3)].tolist()
    more = rng.permutation(known.sections["anywhere"])[: rng.integers(1, 3)].tolist()
    opening = fill("{app}", known, rng).text
    told = [fill(each, known, rng).text for each in [*own, *more]]
    between = SEPARATOR if rng.integers(8) == 0 else ""
    return {"label": number, "label_des": name, "sentence": f"{opening}：" + between.join(told)}


def afqmc(rng: np.random.Generator) -> dict[str, Any]:
    """Two questions about one product: half of the pairs ask the same."""
    known = grammar("afqmc")
    chosen: dict[str, str] = {}
    asked = any_of(list(known.sections), rng)
    ways = rng.permutation(known.sections[asked]).tolist()
    first, second, label = ways[0], ways[1], "1"
    if rng.integers(2):
        label = "0"
        second = any_of(known.sections[any_of([name for name in known.sections if name != asked], rng)], rng)
    pair = [fill(each, known, rng, chosen=chosen).text for each in ("{polite}" + first, second)]
    return {"sentence1": pair[0], "sentence2": pair[1], "label": label}


def cmnli(rng: np.random.Generator) -> dict[str, Any]:
    """Quantifiers."""
    return _entailed("cmnli", rng)


def ocnli(rng: np.random.Generator) -> dict[str, Any]:
    """Done, not done, perhaps done; with the fields of OCNLI, and now and then no agreement."""
    found = _entailed("ocnli", rng)
    if rng.integers(DISAGREED) == 0:
        found["label"] = "-"
    return {"level": "easy", **found, "genre": "made", "prem_id": ""}


def cluewsc2020(rng: np.random.Generator) -> dict[str, Any]:
    """A pronoun, and one of the two whom it may mean."""
    known = grammar("cluewsc2020")
    meant = any_of(["first", "second"], rng)
    chosen = {"他": "他"}
    filled = fill(any_of(known.sections[meant], rng), known, rng, chosen=chosen)
    places = {slot: start for slot, start, _ in filled.slots}
    asked, slot = (("first", "he"), ("second", "he2"))[int(rng.integers(2))]
    target = {"span1_text": chosen[slot], "span1_index": places[slot], "span2_text": "他", "span2_index": places["他"]}
    return {"target": target, "label": "true" if asked == meant else "false", "text": filled.text}


def csl(rng: np.random.Generator) -> dict[str, Any]:
    """An abstract, and its keywords, or one of them and two of another field."""
    known = grammar("csl")
    field, other = rng.permutation(list(known.sections))[:2].tolist()
    filled = fill(any_of(known.sections[field], rng), known, rng, heading=field)
    words = [filled.text[start:end] for slot, start, end in filled.slots if slot.startswith("words")]
    label = int(rng.integers(2))
    if not label:
        words = [words[0], *rng.permutation(known.words[f"{other}.words"])[:2].tolist()]
    return {"abst": filled.text, "keyword": rng.permutation(words).tolist(), "label": str(label)}


def _entailed(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """A pair by the table of a grammar, each label as often as the others."""
    known = grammar(name)
    rows = [line.split() for line in known.sections["table"]]
    label = any_of(sorted({row[2] for row in rows}), rng)
    first, second, _ = any_of([row for row in rows if row[2] == label], rng)
    chosen: dict[str, str] = {}
    ways = [any_of(known.sections[first], rng)]
    ways.append(any_of([way for way in known.sections[second] if way != ways[0]], rng))
    pair = [fill(way, known, rng, chosen=chosen).text for way in ways]
    return {"sentence1": pair[0], "sentence2": pair[1], "label": label}
