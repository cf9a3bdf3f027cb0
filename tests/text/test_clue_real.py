"""The shared parts of CLUE's tasks: records counted, windows that hold the answers, names that go there and back."""

import os
from pathlib import Path

import pytest
import yaml

from stages.core.params import typed
from stages.corpora.clue.files import Files, files
from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue.cluener import KINDS
from stages.text.clue.metrics import overlap
from stages.text.clue.records import Tally, place
from stages.text.clue.samples import NOTHING
from stages.text.clue.tasks import TASKS

ROOT = Path(__file__).parents[2]
MIRROR = Path(os.environ.get("QUJING_MIRROR") or ROOT.parent / "shared/data").resolve() / "clue"
WEB = yaml.safe_load((ROOT / "params/web.yaml").read_text(encoding="utf-8"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MIRROR.is_dir(), reason="QUJING_MIRROR names no folder of real data"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("clue") / "clue"
    files(MIRROR, typed(Files, WEB["corpora"]["clue"]["preprocess"], "row"), out)
    return out


@pytest.mark.parametrize("name", sorted(plan["task"] for plan in WEB["systems"]["clue"]["train"]["tasks"]))
def test_all_records_are_read_and_encoded(name, data):
    task, tally = TASKS[name], Tally()
    train = task.read(place(data, name, "train"), "train", tally)
    dev = task.read(place(data, name, "dev"), "dev", tally)
    assert len(train) >= 160
    assert len(dev) >= 159
    assert not any("no JSON" in reason for reason in tally)  # iflytek: 128 would be with splitlines
    known = Vocabulary.of((text for example in train for text in example.texts), 6000)
    samples = task.samples(dev[:200], known, 512, 128, tally)
    assert set(samples.of) == set(range(min(200, len(dev))))
    found = [0] * len(dev)
    if name == "tnews":
        assert task.score(dev, [example.label for example in dev]) == {"accuracy": 1.0}
        assert len(found) == 1098


def test_answers_are_inside_a_window_and_lead_back(data):
    task, tally = TASKS["cmrc2018"], Tally()
    asked = task.read(place(data, "cmrc2018", "train"), "train", tally)
    known = Vocabulary.of((text for one in asked for text in one.texts), 6000)
    samples = task.samples(asked, known, 512, 128, tally)
    assert tally["answers that no window holds"] <= 0.005 * len(asked)
    assert tally["questions whose answer is not in the passage left out"] <= 0.005 * len(asked)
    cells = samples.targets[:, 0].tolist()
    right = [(float(start > 0), start, end) for _, start, end in cells]
    found = task.decode(right, samples, asked)
    exact = sum(a == one.answers[0][0] for a, one in zip(found, asked, strict=True))
    assert exact >= 0.99 * len(asked)  # an answer of blanks or cut inside a Latin word is none of whole tokens
    assert min(overlap([one.answers[0][0]], a) for a, one in zip(found, asked, strict=True)) > 0


def test_names_go_there_and_back(data):
    task, tally = TASKS["cluener"], Tally()
    texts = task.read(place(data, "cluener", "train"), "train", tally)
    assert sum(tally.values()) == 0
    known = Vocabulary.of((one.text for one in texts), 6000)
    samples = task.samples(texts, known, 256, 8, tally)
    total = sum(len(one.names) for one in texts)
    assert tally["names that are no whole tokens, or cut off"] < 0.01 * total
    cells = [[tuple(c) for c in row if c[0] != NOTHING] for row in samples.targets.tolist()]
    found = task.decode(cells, samples, texts)
    lost = sum(len(set(one.names) ^ set(names)) for one, names in zip(texts, found, strict=True))
    assert lost == tally["names that are no whole tokens, or cut off"]
    assert {kind for one in texts for kind, *_ in one.names} == set(KINDS)
