"""The tasks of CLUE: what is read of good and bad records, what the encoder sees, and the files that are handed in."""

import json

import numpy as np
import pytest
import torch

from stages.core.errors import Refusal
from stages.corpora.clue.made import Made, made
from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue import c3, chid, cluener, cmrc
from stages.text.clue.choice import best
from stages.text.clue.records import Tally, place
from stages.text.clue.samples import NOTHING, fitted, order, packed
from stages.text.clue.tasks import TASKS
from stages.text.clue.wsc import parse

SIZES = {"train": 30, "dev": 20, "test": 10}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("clue") / "clue"
    made(None, Made(**SIZES, seed=0), out)
    return out


def vocabulary(*texts):
    return Vocabulary.of(texts, 5000)


def known_of(examples):
    return vocabulary(*(text for example in examples for text in example.texts))


def written(tmp_path, rows, name="train.json", end="\n"):
    path = tmp_path / name
    path.write_text(end.join(json.dumps(row, ensure_ascii=False) for row in rows) + end, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_named_as_it_is_found_and_reads_what_is_made(name, data):
    task = TASKS[name]
    assert task.name == name
    for part, size in SIZES.items():
        tally = Tally()
        examples = task.read(place(data, name, part), part, tally)
        assert len(examples) >= size - (name == "ocnli") * 5
        samples = task.samples(examples, known_of(examples), 128, 64, tally)
        assert samples.ids.shape[2] <= 128
        assert set(samples.of) == set(range(len(examples)))
        assert (samples.ids[:, 0, 0] > 0).all()
        assert all(bool(example.gold) == (part != "test") for example in examples) or name == "cluener"
        assert all(example.shown for example in examples)


@pytest.mark.parametrize("name", TASKS)
def test_submissions_hold_the_schema_and_are_read_back(name, data):
    task, rng = TASKS[name], np.random.default_rng(0)
    examples = task.read(place(data, name, "test"), "test", Tally())
    samples = task.samples(examples, known_of(examples), 128, 64, Tally())
    torch.manual_seed(0)
    head = task.head(8, "first")
    if samples.slices:
        answers = [(float(rng.normal()), int(a), int(b - 1)) for a, b in samples.window.tolist()]
        answers = answers if name == "cmrc2018" else [[(3, a, a), (0, a, b)] for _, a, b in answers]
    else:
        answers = head.answers(
            torch.from_numpy(
                rng.normal(size=(len(samples), 10 if name == "chid" else 4 if name == "c3" else len(task.labels)))
            )
        )
    found = task.decode(answers, samples, examples)
    text = task.submission(examples, found)
    assert task.parsed(text) == dict(zip([e.id for e in examples], found, strict=True))
    rows = json.loads(text) if name in ("chid", "cmrc2018") else [json.loads(line) for line in text.splitlines()]
    assert len(rows) == len(examples)
    if name == "chid":
        assert all(key.startswith("#idiom") and 0 <= value < 10 for key, value in rows.items())
    elif name == "cmrc2018":
        assert all(value in example.passage for value, example in zip(rows.values(), examples, strict=True))
    elif name == "cluener":
        for row, example in zip(rows, examples, strict=True):
            assert all(
                example.text[a : b + 1] == w for k in row["label"].values() for w, ps in k.items() for a, b in ps
            )
    else:
        labels = {"0", "1", "2", "3"} if name == "c3" else set(task.labels)
        assert all(
            set(row) == {"id", "label"} and row["label"] in labels and row["id"] == str(row["id"]) for row in rows
        )
    if name == "tnews":
        assert set(task.labels) == {str(n) for n in range(100, 117)} - {"105", "111"}


def test_lines_end_at_newlines_only_and_bad_ones_are_counted(tmp_path):
    path = tmp_path / "train.json"
    good = [
        {"sentence": "甲\u2028乙\u0085丙", "label": 3},
        {"sentence": "", "label": "3"},
        {"sentence": "丁", "label": "999"},
    ]
    path.write_bytes("\n".join([*(json.dumps(r, ensure_ascii=False) for r in good), "{broken", "", "[]"]).encode())
    tally = Tally()
    (record,) = TASKS["iflytek"].read(path, "train", tally)
    assert record.first == "甲\u2028乙\u0085丙"
    assert record.label == "3"
    assert sum(tally.values()) == 4
    assert tally["lines that are no JSON object left out"] == 2
    assert len(TASKS["iflytek"].read(path, "test", Tally())) == 3  # all are answered


def test_pairs_without_agreement_are_left_out_and_of_the_test_kept(tmp_path):
    rows = [{"sentence1": "甲", "sentence2": "乙", "label": label} for label in ("neutral", "-", "entailment")]
    rows.append({"sentence1": "甲", "sentence2": " ", "label": "neutral"})
    path, tally = written(tmp_path, rows), Tally()
    assert [r.label for r in TASKS["ocnli"].read(path, "train", tally)] == ["neutral", "entailment"]
    assert tally == {"records of no known label ('-') left out": 1, "records without a text left out": 1}
    kept = TASKS["ocnli"].read(path, "test", Tally())
    known = vocabulary("甲乙")
    samples = TASKS["ocnli"].samples(kept, known, 8, 4, Tally())
    assert samples.ids[0, 0].tolist()[:5] == [
        known.cls,
        *known.encode("甲").ids,
        known.sep,
        *known.encode("乙").ids,
        known.sep,
    ]
    assert samples.ids[3, 0].tolist()[:3] == [known.cls, known.unknown, known.sep]


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        (("树叶", 2, "他", 5), "一片_树叶_，[他]走了"),
        (("他", 5, "树叶", 2), "一片[树叶]，_他_走了"),  # the other order
        (("树叶", 3, "他", 0), "一片_树叶_，[他]走了"),  # moved
        (("树根", 2, "他", 5), None),
    ],
)
def test_both_spans_are_marked_in_either_order(spans, wanted):
    target = dict(zip(("span1_text", "span1_index", "span2_text", "span2_index"), spans, strict=True))
    found = parse({"text": "一片树叶，他走了", "target": target}, Tally())
    assert (found and found[0]) == wanted


def test_the_longest_part_is_cut_first():
    assert [len(part) for part in fitted([[1] * 100, [2] * 20, [3] * 30], 50)] in (
        [15, 15, 20],
        [16, 17, 17],
        [15, 20, 15],
    )
    assert fitted([[1, 2, 3], [4]], 9) == [[1, 2, 3], [4]]
    for room in range(12):
        sizes = [len(part) for part in fitted([[1] * 7, [2] * 5], room)]
        assert sum(sizes) == min(room, 12)
        assert abs(sizes[0] - sizes[1]) <= 1 or sizes[1] == 5


def test_choices_are_filled_up_cut_and_left_out(tmp_path):
    asked = [{"question": "谁", "choice": list("甲乙丙丁戊")[:n], "answer": "甲" if n else "己"} for n in (2, 4, 5, 0)]
    path = tmp_path / "train.json"
    path.write_text(json.dumps([[["男：好", "女：好"], asked, "1"]]), encoding="utf-8")
    tally = Tally()
    two, four, five = c3.TASK.read(path, "train", tally)
    assert two.candidates == ("甲", "乙", c3.NONE, c3.NONE)
    assert four.candidates == five.candidates == tuple("甲乙丙丁")
    assert two.before == "男：好||女：好"
    assert tally["questions whose answer is no choice left out"] == 1
    known = known_of([two])
    samples = c3.TASK.samples([two], known, 14, 4, Tally())
    passage, asked, choice = (known.encode(text).ids for text in (two.before, two.after, "甲"))
    cut = 14 - 4 - 2
    assert samples.ids[0, 0].tolist() == [known.cls, *passage[:cut], known.sep, *asked, known.sep, *choice, known.sep]
    assert c3.TASK.decode([[0.0, 1.0, 9.0, 8.0]], samples, [two]) == [1]  # what is not there is not chosen


def test_a_blank_is_read_as_the_article_has_it(tmp_path):
    text = "前#idiom000001#中#idiom000002#后"
    path = written(tmp_path, [{"candidates": ["画蛇添足", "守株待兔"], "content": [text]}])
    (tmp_path / "train_answer.json").write_text(json.dumps({"#idiom000001#": 1, "#idiom000002#": 0}))
    first, second = chid.TASK.read(path, "train", Tally())
    assert (first.id, first.answer, first.gold, second.answer) == ("#idiom000001#", 1, "守株待兔", 0)
    known = vocabulary("画蛇添足守株待兔前中后")
    ids = chid.TASK.samples([first, second], known, 40, 4, Tally()).ids
    mask, mark = [known.mask] * 4, known.unused(1)
    a, b, c = (known.encode(x).ids[0] for x in "前中后")
    idiom = known.encode("画蛇添足").ids
    right = [known.cls, *idiom, known.sep, a, mark, b, *mask, c, known.sep]
    assert ids[0, 0, : len(right)].tolist() == right
    right = [known.cls, *idiom, known.sep, a, *mask, b, mark, c, known.sep]
    assert ids[1, 0, : len(right)].tolist() == right
    few = written(tmp_path, [{"id": 7, "candidates": ["甲", "乙"], "content": "好#idiom#坏", "answer": 1}], "dev.json")
    (one,) = chid.TASK.read(few, "dev", Tally())
    assert (one.id, one.before, one.after, one.answer) == ("7", "好", "坏", 1)


@pytest.mark.parametrize(("left", "right"), [(50, 50), (3, 90), (90, 3), (2, 2)])
def test_text_is_cut_evenly_around_the_blank(left, right):
    known = vocabulary("天地甲近邻")
    question = chid.Question("a", 0, "天" * (left - 1) + "近", "邻" + "地" * (right - 1), ("甲",), 0)
    row = chid.TASK.samples([question], known, 25, 4, Tally()).ids[0, 0].tolist()
    mark = row.index(known.unused(1))
    kept = row.count(known.number["天"]) + 1, row.count(known.number["地"]) + 1
    room = 25 - 4 - 1
    assert sum(kept) == min(room, left + right)
    assert kept[0] in (left, room // 2, room - right)
    assert row[mark - 1] == known.number["近"]
    assert row[mark + 1] == known.number["邻"]


def test_no_idiom_comes_twice_and_the_sum_is_at_least_that_of_greed():
    rng = np.random.default_rng(0)
    for _ in range(100):
        blanks, candidates = int(rng.integers(1, 8)), int(rng.integers(8, 11))
        scores = rng.normal(size=(blanks, candidates))
        found = chid.assigned(scores)
        assert len(set(found)) == blanks
        free, greedy = scores.copy(), 0.0
        for _ in range(blanks):
            i, j = np.unravel_index(free.argmax(), free.shape)
            greedy += scores[i, j]
            free[i, :], free[:, j] = -np.inf, -np.inf
        assert scores[range(blanks), found].sum() >= greedy - 1e-12
    crowded = chid.assigned(rng.normal(size=(5, 2)))  # more blanks than candidates
    assert len(crowded) == 5
    assert set(crowded) <= {0, 1}


def squad(tmp_path, passage, question, answers):
    row = {"id": "a", "question": question, "answers": [{"text": w, "answer_start": s} for w, s in answers]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": passage, "qas": [row]}]}]}), encoding="utf-8")
    return path


def test_windows_hold_the_answer_and_lead_back_to_its_very_characters(tmp_path):
    passage = "".join(f"第{i}段 ＡBc，É\u200b天；" for i in range(80))
    answer = "第61段 ＡBc，É\u200b天"
    (asked,) = cmrc.TASK.read(squad(tmp_path, passage, "谁？", [(answer, 3)]), "train", tally := Tally())
    assert asked.answers == ((answer, passage.index(answer)),)
    assert tally["answers moved to where they stand"] == 1
    known = known_of([asked])
    samples = cmrc.TASK.samples([asked], known, 96, 32, tally)
    assert tally["answers that no window holds"] == 0
    inside = samples.targets[:, 0, 1] > 0
    assert inside.any()
    assert not inside.all()
    for row in range(len(samples)):
        _, start, end = samples.targets[row, 0].tolist()
        first, last = samples.window[row].tolist()
        assert samples.ids[row, 0, 0] == known.cls
        if inside[row]:
            assert first <= start <= end < last
            answers = [(1.0 if i == row else 0.0, start, end) for i in range(len(samples))]
            assert cmrc.TASK.decode(answers, samples, [asked]) == [answer]
    covered = {slice for begins, ends in samples.slices for slice in zip(begins, ends, strict=True)}
    tokens = known.encode(passage)
    assert covered == set(zip(tokens.starts, tokens.ends, strict=True))


def test_questions_too_long_answers_not_there_and_empty_passages(tmp_path):
    tally = Tally()
    assert cmrc.TASK.read(squad(tmp_path, "天地", "谁", [("玄", 0)]), "train", tally) == []
    assert tally["questions whose answer is not in the passage left out"] == 1
    (kept,) = cmrc.TASK.read(squad(tmp_path, "天地", "谁" * 99, [("玄", 0), ("地", 1)]), "dev", Tally())
    assert kept.answers == (("地", 1),)
    samples = cmrc.TASK.samples([kept], known_of([kept]), 32, 16, tally)
    assert samples.ids.shape[2] <= 32
    assert tally["questions cut"] == 1
    (empty,) = cmrc.TASK.read(squad(tmp_path, "", "谁", []), "test", Tally())
    samples = cmrc.TASK.samples([empty], known_of([empty]), 32, 16, Tally())
    assert cmrc.TASK.decode([(-np.inf, 1, 1)], samples, [empty]) == [""]
    with pytest.raises(Refusal, match="leaves no room"):
        cmrc.TASK.samples([kept], known_of([kept]), 18, 16, tally)


def test_names_are_encoded_and_decoded_whole(tmp_path):
    text = "叶 老桂\u200b在浙商银行，叶 老桂说CSOL好"
    label = {
        "name": {"叶 老桂": [[0, 3], [11, 14]], "错": [[1, 1]]},
        "company": {"浙商银行": [[6, 9]], "浙商": [[6, 7]]},
        "game": {"CSOL": [[16, 19]], "CS": [[16, 17]]},
    }
    tally = Tally()
    (one,) = cluener.TASK.read(written(tmp_path, [{"text": text, "label": label}]), "train", tally)
    assert len(one.names) == 6
    assert sum(tally.values()) == 1
    known = vocabulary("叶老桂在浙商银行，说好")
    known = Vocabulary([*known.tokens, "csol"])
    samples = cluener.TASK.samples([one], known, 64, 8, tally)
    assert tally["names that are no whole tokens, or cut off"] == 1  # CS of the token csol
    cells = [tuple(cell) for cell in samples.targets[0].tolist() if cell[0] != NOTHING]
    (found,) = cluener.TASK.decode([cells], samples, [one])
    assert set(found) == set(one.names) - {("game", 16, 17)}
    assert cluener.TASK.score([one], [one.names]) == {"f1": 1.0, "macro_f1": pytest.approx(0.3)}  # of ten kinds three


def test_batches_hold_every_sample_once_and_like_lengths(data):
    rng = np.random.default_rng(0)
    rows = [[[1] * int(n)] for n in rng.integers(1, 60, 101)]
    samples = packed(rows, [0] * 101, range(101))
    for seed, epoch in ((0, 0), (0, 1), (None, 0)):
        found = order(samples, 10, seed, epoch)
        assert sorted(found.rows.tolist()) == list(range(101))
        assert sorted(last - first for first, last, _ in found.cuts) == [1, *[10] * 10]  # the last has one
        padded = sum((last - first) * longest for first, last, longest in found.cuts)
        assert padded < 1.15 * int(samples.lengths.sum())
        assert all(samples.lengths[found.rows[a:b]].max() == longest for a, b, longest in found.cuts)
    assert (
        order(samples, 10, 0, 0).rows.tolist()
        == order(samples, 10, 0, 0).rows.tolist()
        != order(samples, 10, 0, 1).rows.tolist()
    )
    assert best([1.0, 3.0, 3.0]) == 1
