"""Ways of asking one thing: the questions of the embedded site, each in all the forms that it has.

"去科摩罗旅行要带什么钱？" asks what "科摩罗用的是哪种货币？" does, with hardly a character in common but the name; and
"请问科摩罗的人讲哪种话？" does not, with more of them. Entries are split, so names of the test part are new.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.embedded.facts import Entry, entries
from stages.corpora.embedded.questions import ASKED
from stages.corpora.embedded.sentences import fill, turn
from stages.corpora.pairs.dataset import Test, Train, save


@dataclass(frozen=True)
class Phrasings:
    """Params of the pairs."""

    test_share: float  # of the entries


def phrasings(source: Path | None, params: Phrasings, out: Path) -> Findings:
    """Write pairs of forms to `out`; `source` is not used. Raises `Refusal` for a share out of range.

    A negative, and half of the test pairs, ask something else of the same entry where it has that, or else the same of
    the next entry.
    """
    if not 0 < params.test_share < 1:
        raise Refusal(f"params.yaml: test_share of phrasings is {params.test_share}: it must lie within 0..1")
    train: list[Train] = []
    test: list[Test] = []
    held = {entry.name for entry in entries() if turn(entry.name, 1000) < 1000 * params.test_share}
    for group, (forms, others) in enumerate(asked()):
        name, *ways = forms
        pairs = list(combinations(ways, 2))
        if name in held:
            first, second = pairs[turn(name + ways[0], len(pairs))]
            test += [(first, second, 1.0), (first, others[turn(second, len(others))], 0.0)]
        else:
            train += [(a, b, others[i % len(others)], group) for i, (a, b) in enumerate(pairs)]
    return save(train, test, "the embedded site", out)


def asked() -> list[tuple[list[str], list[str]]]:
    """What is asked: the name and then all forms of the question, and forms of another that is near to it."""
    known = [(row, [entry for entry in entries() if _able(entry, row)]) for row in ASKED]
    found = []
    for row, able in known:
        more = [other for other, _ in known if other is not row]
        for place, entry in enumerate(able):
            near = [form for other in more if _able(entry, other) for form in forms_of(entry, other)]
            found.append(([entry.name, *forms_of(entry, row)], near or forms_of(able[place - 1], row)))
    return found


def forms_of(entry: Entry, row: tuple) -> list[str]:
    """The forms of a row of ASKED about an entry."""
    return ["".join(fill(template, name=entry.name)) for template in row[2]]


def _able(entry: Entry, row: tuple) -> bool:
    return entry.kind == row[0] and row[1] in dict(entry.infobox)
