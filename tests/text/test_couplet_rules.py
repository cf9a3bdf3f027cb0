"""Second lines that keep the rules, against going through all of them."""

from itertools import permutations, product

import numpy as np
import pytest

from stages.text.couplet.refine import refined, sureness
from stages.text.couplet.tied import choices, classes_of, murty, scores, untied, violations, written
from stages.text.couplet.vocabulary import UNKNOWN, Vocabulary, han

KNOWN = Vocabulary([*"天地山水风云花月", "，", "A"])


def logs(t, seed):
    table = np.random.default_rng(seed).normal(size=(t, len(KNOWN)))
    return table - np.log(np.exp(table).sum(1, keepdims=True))


def every(line, table):
    """All second lines that keep the rules, heaviest first, as (score, line)."""
    groups = classes_of(line)
    found = []
    for chosen in permutations([c for c in KNOWN.characters if han(c)], len(groups)):
        if not any(a == b for a, b in zip(groups, chosen, strict=True)):
            facing = dict(zip(groups, chosen, strict=True))
            total = sum(table[i, KNOWN.number[facing[c]]] for i, c in enumerate(line) if c in facing)
            found.append((total, "".join(facing.get(c, c) for c in line)))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("line", ["天", "山山水", "天天地地天", "风，风A月", "龙天龙", "，A"])
@pytest.mark.parametrize("most", [1, 7, 300])
def test_the_best_answers_are_those_of_going_through_all(line, most):
    table = logs(len(line), len(line))
    found = [(total, written(line, c, KNOWN)) for total, c in choices(scores(line, table, KNOWN, KNOWN.barred), most)]
    truth = every(line, table)[:most]
    assert [second for _, second in found] == [second for _, second in truth]
    assert [total for total, _ in found] == pytest.approx([total for total, _ in truth])


def test_murty_gives_every_assignment_once_in_order():
    table = np.random.default_rng(1).normal(size=(3, 5))
    found = list(murty(table, 1000))
    assert len(found) == len({choice for _, choice in found}) == 60
    assert [total for total, _ in found] == sorted((total for total, _ in found), reverse=True)
    assert all(total == pytest.approx(table[range(3), list(choice)].sum()) for total, choice in found)
    assert list(murty(np.full((2, 1), 0.0), 5)) == []


def test_what_is_held_stays_and_is_taken():
    table = scores("天地山", logs(3, 0), KNOWN, KNOWN.barred)
    free = [choice for _, choice in choices(table, 500)]
    held = [choice for _, choice in choices(table, 500, {1: free[0][0]})]
    assert held == [choice for choice in free if choice[1] == free[0][0]]
    assert held


def test_nothing_is_barred_that_need_not_be():
    assert KNOWN.barred[UNKNOWN]
    assert [c for c in KNOWN.characters if KNOWN.barred[KNOWN.number[c]]] == ["，", "A"]
    assert han("㐂") and han("𠀀") and not han("。") and not han("７") and not han("x")  # noqa: PT018


def test_the_authors_decoding_is_the_likeliest_of_each_place_but_the_one_above():
    line, table = "天天地，A", logs(5, 4)
    for place, (above, below) in enumerate(zip(line, untied(line, table, KNOWN, KNOWN.barred), strict=True)):
        if han(above):
            best = max(
                (c for c in KNOWN.characters if han(c) and c != above), key=lambda c: table[place, KNOWN.number[c]]
            )
            assert below == best
        else:
            assert below == above


def test_violations_are_named():
    assert violations("天天地", "山山水", KNOWN) == []
    assert violations("天天地", "山水风", KNOWN) == ["mirror"]
    assert violations("天地", "天水", KNOWN) == ["copy"]
    assert violations("天，地", "山，龙", KNOWN) == ["unknown"]
    assert violations("天地", "山水风", KNOWN) == ["length"]
    assert violations("A，", "A，", KNOWN) == []


def test_refining_changes_the_weak_given_the_strong():
    """A law under which the right second character depends on the first one of the same line, which is sure."""
    line, barred, mask = "天地", KNOWN.barred, len(KNOWN)
    number = KNOWN.number
    blind = np.full((1, 2, len(KNOWN)), -9.0)
    blind[0, 0, number["山"]], blind[0, 1, number["花"]] = -0.1, -1.0

    def read(lines, shown):
        assert list(lines) == [line]
        assert mask in shown[0]
        found = blind.copy()
        if shown[0, 0] == number["山"]:
            found[0, 1] = -9.0
            found[0, 1, number["水"]] = -0.01
        return found

    first = (number["山"], number["花"])
    assert refined(read, [line], blind, [[first]], KNOWN, barred, 2) == [(0, (number["山"], number["水"]))]
    assert refined(read, [line], blind, [[first]], KNOWN, barred, 0) == [(0, first)]


def test_fewer_and_fewer_classes_are_masked_and_never_those_of_a_comma():
    line, found = "天天地，山水", []

    def read(lines, shown):
        found.append([i for i, number in enumerate(shown[0]) if number == len(KNOWN)])
        return first

    first = logs(6, 8)[None]
    start = next(c for _, c in choices(scores(line, first[0], KNOWN, KNOWN.barred), 1))
    refined(read, [line], first, [[start]], KNOWN, KNOWN.barred, 3)
    assert [len({line[i] for i in masked}) for masked in found] == [3, 2, 1]
    assert all(3 not in masked and (0 in masked) == (1 in masked) for masked in found)


def test_sureness_is_the_mean_over_the_places_of_a_class():
    table = logs(3, 2)
    assert sureness(table, [[0, 2], [1]], (3, 4)) == pytest.approx([(table[0, 3] + table[2, 3]) / 2, table[1, 4]])


def test_every_refined_line_keeps_the_rules():
    lines = ["".join(line) for line in product("天地，", repeat=3) if set(line) != {"，"}]
    first = np.stack([logs(3, i) for i in range(len(lines))])
    chosen = [[c for _, c in choices(scores(x, t, KNOWN, KNOWN.barred), 3)] for x, t in zip(lines, first, strict=True)]
    state = refined(
        lambda lines, shown: np.stack([logs(3, 100 + i) for i in range(len(lines))]), lines, first, chosen, KNOWN,
        KNOWN.barred, 3,
    )  # fmt: skip
    assert len(state) == 3 * len(lines)
    for row, choice in state:
        assert violations(lines[row], written(lines[row], choice, KNOWN), KNOWN) == []
