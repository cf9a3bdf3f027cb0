"""Hand rules that take generic words out of a list of terms; off by default.

Article: https://kexue.fm/archives/6540, whose author found his raw list full of phrases and generic words. The rules
are data, rules.yaml beside this module, of kinds that the article names: a least length, characters a term must not
hold, start with or end with, generic beginnings and endings, and no word of one repeated character.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import params

if TYPE_CHECKING:
    import pyarrow as pa

STANDARD = Path(__file__).parent / "rules.yaml"


@dataclass(frozen=True)
class Rules:
    """The rules; characters are given as one text, beginnings and endings as words."""

    shortest: int  # characters
    han: bool  # a term holds a Chinese character
    never: str  # characters that no term holds
    not_first: str
    not_last: str
    beginnings: tuple[str, ...]
    endings: tuple[str, ...]
    noise: str  # a term is not made of these only


def load(path: Path = STANDARD) -> Rules:
    """The rules in a file. Raises `Refusal` for one that is missing, no YAML, or has other keys."""
    return params.typed(Rules, params.load(path), str(path))


def accepted(terms: pa.Array, rules: Rules) -> pa.Array:
    """Truth of each term: does it pass all rules? [n] bool."""
    import pyarrow.compute as pc

    good = pc.greater_equal(pc.utf8_length(terms), rules.shortest)
    if rules.han:
        good = pc.and_(good, pc.match_substring_regex(terms, r"\p{Han}"))
    for pattern in _patterns(rules):
        good = pc.and_not(good, pc.match_substring_regex(terms, pattern))
    lengths = pc.utf8_length(terms)
    first = pc.utf8_slice_codeunits(terms, 0, 1)
    return pc.and_not(good, pc.equal(terms, pc.binary_repeat(first, lengths)))


def _patterns(rules: Rules) -> list[str]:
    """What a term must not match, as regular expressions."""
    import re

    sets = {"[{}]": rules.never, "^[{}]": rules.not_first, "[{}]$": rules.not_last, "^[{}]+$": rules.noise}
    patterns = [form.format(re.escape(characters)) for form, characters in sets.items() if characters]
    for form, words in (("^(?:{})", rules.beginnings), ("(?:{})$", rules.endings)):
        if words:
            patterns.append(form.format("|".join(map(re.escape, words))))
    return patterns
