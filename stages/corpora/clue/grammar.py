"""Sentences from a grammar: a file of slots (`name = one、another`) and of templates under headings ([all]).

    {name} takes one of its words, {name2} another one of them; a word may have slots itself

What was filled in is told with its place, so that spans are known by construction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

SLOT = re.compile(r"\{([^{}]+?)(\d?)\}")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Grammar:
    """The words of slots, and templates by heading."""

    words: dict[str, tuple[str, ...]]
    sections: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Filled:
    """A sentence, and (slot as written, start, end) of what was filled into its template, in order."""

    text: str
    slots: tuple[tuple[str, int, int], ...]

    def word(self, slot: str) -> str:
        """What the slot was filled with."""
        return next(self.text[start:end] for name, start, end in self.slots if name == slot)


@cache
def grammar(name: str) -> Grammar:
    """The grammar in NAME.txt, with the words of words.txt; slots under a heading are named heading.slot."""
    words: dict[str, tuple[str, ...]] = {}
    sections: dict[str, list[str]] = {}
    for file in ("words", name):
        heading = ""
        for line in (HERE / f"{file}.txt").read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                heading = line[1:-1]
                sections[heading] = []
            elif " = " in line:
                slot, held = line.split(" = ")
                words[f"{heading}.{slot}" if heading else slot] = tuple(held.split("、"))
            elif line and not line.startswith("#"):
                sections[heading].append(line)
    return Grammar(words, {heading: tuple(lines) for heading, lines in sections.items()})


def fill(
    template: str, known: Grammar, rng: np.random.Generator, heading: str = "", chosen: dict[str, str] | None = None
) -> Filled:
    """The template with its slots filled; `chosen` says what some are filled with, and is told of the others.

    A slot that there are no words of stays as it is, without its braces.
    """
    chosen = {} if chosen is None else chosen
    text, slots, place = "", [], 0
    for match in SLOT.finditer(template):
        slot, number = match.groups()
        if (key := slot + number) not in chosen:
            taken = {word for name, word in chosen.items() if name.rstrip("0123456789") == slot}
            chosen[key] = _word(slot, known, rng, heading, taken)
        text += template[place : match.start()]
        slots.append((key, len(text), len(text) + len(chosen[key])))
        text, place = text + chosen[key], match.end()
    return Filled(text + template[place:], tuple(slots))


def any_of(items: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    """One of them."""
    return items[int(rng.integers(len(items)))]


def _word(slot: str, known: Grammar, rng: np.random.Generator, heading: str, taken: set[str]) -> str:
    words = known.words.get(f"{heading}.{slot}", known.words.get(slot, (slot,)))
    while True:
        word = fill(any_of(words, rng), known, rng, heading).text if words != (slot,) else slot
        if word not in taken:
            return word
