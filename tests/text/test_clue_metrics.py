"""CLUE's scores against the same written in another way, on random predictions."""

import itertools
import random
import unicodedata

import pytest

from stages.text.clue.metrics import accuracy, exact, macro, micro, overlap, segments

ALPHABET = "天地玄黄宇宙a b1é，。-'…_“”ABz 3.%\u9fa6"
IGNORED = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"


def tokens(text):
    """The official segmentation, by groups of characters of one class."""
    kept = [c for c in text.strip().lower() if c not in IGNORED]

    def group(pair):
        i, c = pair
        if "\u4e00" <= c <= "\u9fa5":
            return ("han", i)
        if c.isspace():
            return ("space",)
        return ("word",) if unicodedata.category(c)[0] in "LN" else ("sign", i)

    groups = itertools.groupby(enumerate(kept), group)
    return ["".join(c for _, c in held) for name, held in groups if name != ("space",)]


def stretch(a, b):
    """The longest common run, by trying all."""
    runs = {tuple(a[i:j]) for i in range(len(a)) for j in range(i + 1, len(a) + 1)}
    return max((len(r) for r in runs if any(tuple(b[k : k + len(r)]) == r for k in range(len(b)))), default=0)


def naive(answers, found):
    best = 0.0
    for answer in answers:
        a, b = tokens(answer), tokens(found)
        if common := stretch(a, b):
            precision, recall = common / len(b), common / len(a)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def test_cmrc_scores_are_those_of_a_naive_script():
    draw = random.Random(0)
    for _ in range(400):
        answers = ["".join(draw.choices(ALPHABET, k=draw.randrange(1, 9))) for _ in range(draw.randrange(1, 4))]
        found = draw.choice(answers) if draw.random() < 0.3 else "".join(draw.choices(ALPHABET, k=draw.randrange(9)))
        assert segments(found) == tokens(found)
        assert overlap(answers, found) == pytest.approx(naive(answers, found), abs=1e-12)
        plain = ["".join(c for c in a.strip().lower() if c not in IGNORED) for a in [*answers, found]]
        assert exact(answers, found) == (plain[-1] in plain[:-1])


@pytest.mark.parametrize(
    ("answers", "found", "f1", "em"),
    [
        (["光荣和ω-force"], "光荣和ω-force", 1.0, 1),
        (["《红楼梦》"], "红楼梦", 1.0, 1),
        (["北京大学"], "北京的大学", 2 * 2 / 9, 0),  # a substring, not a subsequence: two of four and of five
        (["1998年"], "1998年5月", 2 * 2 / 6, 0),
        (["甲"], "", 0.0, 0),
        ([], "甲", 0.0, 0),
        (["等……"], "等", 2 * 1 / 4, 0),  # the dots stay: the script knows only both of them as one sign
    ],
)
def test_cmrc_scores_by_hand(answers, found, f1, em):
    assert overlap(answers, found) == pytest.approx(f1)
    assert exact(answers, found) == em


def test_names_are_scored_as_by_loops():
    draw, kinds = random.Random(1), ("a", "b", "c")
    text = "天地玄黄天地"

    def some():
        spans = {(draw.choice(kinds), i, draw.randrange(i, len(text))) for i in range(len(text)) if draw.random() < 0.5}
        return sorted(spans)

    right, found = ([some() for _ in range(40)] for _ in range(2))
    tp = sum(span in b for a, b in zip(right, found, strict=True) for span in a)
    fp = sum(span not in a for a, b in zip(right, found, strict=True) for span in b)
    fn = sum(span not in b for a, b in zip(right, found, strict=True) for span in a)
    assert micro(right, found) == pytest.approx(tp / (tp + (fp + fn) / 2))

    def words(side):
        return [{k: {text[i : j + 1]: 0 for kind, i, j in spans if kind == k} for k in kinds} for spans in side]

    scores = []
    for kind in kinds:
        tp = fp = fn = 0
        for a, b in zip(words(right), words(found), strict=True):
            tp += sum(w in a[kind] for w in b[kind])
            fp += sum(w not in a[kind] for w in b[kind])
            fn += sum(w not in b[kind] for w in a[kind])
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        scores.append(2 * precision * recall / (precision + recall))
    got = macro(words(right), words(found), kinds)
    assert [got[kind] for kind in kinds] == pytest.approx(scores)
    assert got[""] == pytest.approx(sum(scores) / 3)


def test_scores_of_nothing_are_zero():
    assert accuracy([], []) == micro([[]], [[]]) == macro([{}], [{}], ("a",))[""] == 0
    assert accuracy([1, 2, 3], [1, 0, 3]) == pytest.approx(2 / 3)
