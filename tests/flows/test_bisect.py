"""`qujing bisect`: the commit and the factor that moved a metric, with next to no training."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from repository import dvc, environment, run

from flows import bisect, blame, records, why
from flows.bisect import Search
from flows.blame import Factor
from flows.graph import Stage
from flows.history import History, Point
from flows.recipes import Failure

COUNTING = """
import os, sys
if "stages.run" in sys.orig_argv:
    with open(os.environ["COUNTED"], "a") as counted:
        counted.write(" ".join(sys.orig_argv[-2:]) + "\\n")
"""


class Repository:
    """A repository with commits, of which few were ever run."""

    def __init__(self, folder, beside):
        self.folder, self.counted = folder, beside / "counted"
        beside.mkdir()
        (beside / "sitecustomize.py").write_text(COUNTING)
        self.more = {
            "QUJING_TRACKING": "off",
            "COUNTED": str(self.counted),
            "PYTHONPATH": f"{folder}{os.pathsep}{beside}",
        }
        config = folder / ".dvc/config"
        config.write_text(
            f"{config.read_text()}[core]\n    remote = store\n['remote \"store\"']\n    url = {beside / 'store'}\n"
        )
        dvc(folder, "push", "-q")
        run(folder, "git", "add", "stages", "flows", "params.yaml", "dvc.yaml", "dvc.lock", ".dvc", ".gitignore")
        (folder / "README.md").write_text("begin\n")
        run(folder, "git", "add", "README.md")
        self.commit("Begin", "README.md")

    def commit(self, subject, path, old="", new="more\n"):
        """Replace a text in a file, or add one at its end, and commit."""
        file = self.folder / path
        text = file.read_text() if file.exists() else ""
        assert old in text
        file.write_text(text.replace(old, new, 1) if old else text + new)
        run(self.folder, "git", "-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qam", subject)

    def bisect(self, *arguments, code=0):
        """What the command prints, and the trainings that it ran."""
        self.counted.write_text("")
        command = [sys.executable, "-m", "flows.bisect", *arguments]
        given = environment(self.folder, **self.more, COLUMNS="200")
        done = subprocess.run(command, cwd=self.folder, env=given, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr, [s for s in self.counted.read_text().splitlines() if s.startswith("train")]


@pytest.fixture(scope="module")
def history(finished, tmp_path_factory):
    """Twenty commits on each of three branches: the first ten are the same, one later commit is the culprit."""
    folder = tmp_path_factory.mktemp("bisected")
    subprocess.run(["cp", "-a", str(finished), str(folder / "qujing")], check=True)
    made = Repository(folder / "qujing", folder / "beside")
    for number in range(4):
        made.commit(f"Readme {number}", "README.md")
    made.commit("Comment", "stages/words/new_words.py", new="# how words are found\n")
    made.commit("Show fewer", "params.yaml", "shown: 200", "shown: 100")
    made.commit("Crawl otherwise", "stages/corpora/web/polite.py", new="OTHER = 1\n")
    made.commit("Promote", "params.yaml", new="promotion: {}\n")
    made.commit("Readme", "README.md")
    run(made.folder, "git", "branch", "-m", "params")
    run(made.folder, "git", "branch", "code")
    run(made.folder, "git", "branch", "both")
    few = ("params.yaml", "    top: 0", "    top: 3")
    made.commit("Fewer words", *few)
    made.commit("Another comment", "stages/words/new_words.py", new="# and no more\n")
    end(made)
    run(made.folder, "git", "checkout", "-q", "code")
    made.commit(
        "Be strict", "stages/words/new_words.py", "if found.num_rows == 0:", "found = found.slice(0, 3)\n    if False:"
    )
    end(made)
    run(made.folder, "git", "checkout", "-q", "both")
    clock = ("stages/words/new_words.py", "sum(watch.seconds.values())", "sum(list(watch.seconds.values()))")
    text = (made.folder / clock[0]).read_text()
    (made.folder / clock[0]).write_text(text.replace(*clock[1:]))
    made.commit("Tidy up", few[0], few[1], "    top: 4")
    end(made)
    run(made.folder, "git", "checkout", "-q", "params")
    return made


def end(made):
    for number in range(9):
        made.commit(f"Readme {number}", "README.md")


def state(folder):
    """What must stay: what git sees, the lock, and when each output was written."""
    kept = [path for top in ("models", "metrics", "data") for path in sorted((folder / top).rglob("*"))]
    return (
        run(folder, "git", "status", "--porcelain"),
        run(folder, "git", "branch", "-v"),
        (folder / "dvc.lock").read_bytes(),
        [(path, path.stat().st_mtime_ns) for path in kept],
    )


@pytest.mark.parametrize(
    ("branch", "culprit", "factor", "trainings"),
    [
        ("params", "Fewer words", "params systems.new_words.train.top: 0 -> 3", 1),
        ("code", "Be strict", "code of train@new_words", 1),
        ("both", "Tidy up", "params systems.new_words.train.top: 0 -> 4", 2),
    ],
)
def test_a_regression_is_found_with_at_most_two_trainings(history, branch, culprit, factor, trainings):
    with (history.folder / "params.yaml").open("a") as params:
        params.write("# an edit of the user\n")
    before = state(history.folder)
    printed, trained = history.bisect("new_words.f1", f"{branch}~19", branch)
    said = printed.splitlines()[-1]
    assert f" {culprit}; factor: {factor}; f1 1 -> 0." in said
    assert trained == ["train new_words"] * trainings
    assert f"; {trainings} new training" in said
    assert state(history.folder) == before


def test_a_second_bisect_runs_nothing(history):
    """What the first one computed is recorded on the remote, whence any machine has it."""
    history.bisect("new_words.f1", "params~19", "params")
    shutil.rmtree(history.folder / ".dvc/cache")
    printed, trained = history.bisect("new_words.f1", "params~19", "params")
    assert " Fewer words; factor: params" in printed
    assert "; 0 new trainings, 0 stages run" in printed
    assert trained == []


def test_what_the_user_has_not_committed_yet_is_known_too(history):
    lock = history.folder / "dvc.lock"
    before = lock.read_text()
    lock.write_text(before + "  own:\n    cmd: own\n")
    past = History(history.folder, "new_words.f1")
    past.commits("params~1", "params")
    lock.write_text(before)
    assert past.known.find(records.key_of({"cmd": "own"})) == {"cmd": "own"}


def test_a_broken_commit_is_stepped_over_and_its_repair_is_noticed(history, monkeypatch):
    """Params that cannot be read, then the same code with readable ones."""
    monkeypatch.setenv("PATH", environment(history.folder)["PATH"])
    run(history.folder, "git", "stash", "-q")
    run(history.folder, "git", "checkout", "-q", "-b", "broken", "params~19")
    history.commit("Break", "params.yaml", "seed: 0", "seed: [0")
    history.commit("Repair", "params.yaml", "seed: [0", "seed: 0")
    past = History(history.folder, "new_words.f1")
    whole, broken, repaired = past.points(past.commits("broken~2", "broken"))
    run(history.folder, "git", "checkout", "-q", "params")
    assert broken.failure.startswith("its graph cannot be read: ")
    assert (repaired.failure, repaired.value) == ("", whole.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["new_words.f1", "nowhere", "params"], "there is no commit nowhere"),
        (["new_words.f1", "params", "params~1"], "params is not before params~1 along first parents"),
        (
            ["new_wrods.f1", "params~19", "params~18"],
            "no stage makes metrics/new_wrods.json; there are metrics of new_words",
        ),
        (["new_words.f2", "params~19", "params~18"], "metrics/new_words.json has no number f2; it has f1, f1_every"),
        (["new_words", "params~19", "params~18"], "new_words names no metric: say NAME.KEY, as in new_words.f1"),
        (["new_words.f1", "params~19", "params~15"], "the metric did not move: it is 1 at the first commit and 1 at"),
    ],
)
def test_wrong_names_get_one_sentence(history, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(history.folder)
    assert bisect.main(arguments) == 1
    printed = capsys.readouterr().err.strip()
    assert sentence in printed
    assert "\n" not in printed


def searched(values, known):
    """A search through points of these values (None fails), of which only some are known."""

    def compute(point):
        value = values[int(point.commit)]
        return replace(point, value=value, failure="" if value is not None else "train@x fails", ran=("train@x",))

    points = [Point(str(n), value=v if n in known else None) for n, v in enumerate(values)]
    return Search(points, compute)


@pytest.mark.parametrize(
    ("values", "known", "found", "computed"),
    [
        ([1, 1, 1, 0, 0], {0, 1, 2, 3, 4}, (2, 3), 0),
        ([1, 1, 1, 0, 0], {0, 2, 4}, (2, 3), 1),
        ([1] * 9 + [0] * 8, {0, 16}, (8, 9), 4),
        ([1, 0.9, 0.8, 0.3, 0.1, 0], {0, 5}, (2, 3), 2),
        ([1, 0], set(), (0, 1), 2),
        ([1, 1, None, 0], {0, 3}, (1, 3), 2),
        ([1, None, None, 0], {0, 3}, (0, 3), 2),
    ],
)
def test_the_search_halves_what_is_open_and_steps_around_what_fails(values, known, found, computed):
    search = searched(values, known)
    assert search.run() == found
    assert len(search.computed) == computed
    assert not search.returns()


def test_of_several_changes_the_first_is_taken_and_said_so():
    search = searched([1, 1, 0, 0, 1, 0], {0, 1, 2, 3, 4, 5})
    assert search.run() == (1, 2)
    assert search.returns()


def test_an_end_without_a_value_is_one_sentence():
    with pytest.raises(Failure, match="1 has no value: train@x fails"):
        searched([1, None], {0})


def mixed(name, cost):
    """A factor whose mixture takes so many stages to compute."""
    chain = tuple(Stage(f"train@{number}", (), False, {}) for number in range(cost))
    return Factor(name, Point(name, chain=chain, keys={stage.name: name for stage in chain}))


@pytest.mark.parametrize(
    ("tried", "said", "computed"),
    [
        ([("a", 0, 1)], "a", []),
        ([("bad", 0, 1), ("b", 1, 1)], "bad", []),
        ([("a", 0, 1), ("b", 1, 1)], "a", ["a"]),
        ([("a", 1, 2), ("b", 0, 1)], "b", ["b"]),
        ([("a", 1, 1), ("b", 0, 1)], "b (alone, or with a, which alone moves nothing)", ["a"]),
        ([("a", None, 1), ("b", 0, 1)], "b", ["a", "b"]),
        ([("a", None, 1), ("b", 1, 1)], "a (alone, or with b, which alone moves nothing)", ["a", "b"]),
        ([("a", None, 1), ("b", None, 1)], "a or b: none of them can be tried alone", ["a", "b"]),
        ([], "none that is known: code, params, graph and data are the same", []),
    ],
)
def test_factors_are_tried_one_at_a_time_and_the_last_is_left(tried, said, computed):
    values = {name: value for name, value, _ in tried}
    bad = Point("bad", chain=(Stage("x", (), False, {}),), keys={"x": "bad"})

    def compute(point):
        value = values[point.commit]
        return replace(point, value=value, failure="" if value is not None else "fails")

    found, points = blame.judge([mixed(name, cost) for name, _, cost in tried], bad, compute, lambda value: value < 0.5)
    assert (found, [point.commit for point in points]) == (said, computed)


def test_factors_that_are_known_to_move_nothing_alone_are_an_interplay():
    known = [Factor(name, Point(name, value=1.0)) for name in "ab"]
    assert (
        blame.judge(known, Point("bad"), lambda point: point, lambda value: value < 0.5)[0] == "only together: a and b"
    )


def test_other_bytes_from_the_same_inputs_are_data_environment_or_chance(tmp_path):
    run(tmp_path, "git", "init", "-q")
    commits = []
    for version in ("2.11", "2.12"):
        (tmp_path / "requirements.lock").write_text(f"numpy==2.4\ntorch=={version}\n")
        run(tmp_path, "git", "add", "requirements.lock")
        run(tmp_path, "git", "-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", version)
        commits.append(run(tmp_path, "git", "rev-parse", "HEAD").strip())
    history = SimpleNamespace(root=tmp_path, look=lambda point: point)

    def point(commit, stage, md5):
        chain = (Stage(stage, (), False, {}, outs=("a/b",)),)
        return Point(
            commit, chain=chain, keys={stage: "same"}, entries={stage: {"outs": [{"path": "a/b", "md5": md5}]}}
        )

    def factor(stage, good, bad):
        return [f.said for f in blame.other_bytes(history, point(good, stage, "1"), point(bad, stage, "2"))]

    assert factor("crawl@x", *commits) == ["data a/b (fetched again)"]
    assert factor("train@x", *commits) == ["environment torch==2.11 -> torch==2.12 (first seen in train@x)"]
    assert factor("train@x", commits[0], commits[0]) == ["chance: train@x made something else from the same inputs"]
    assert blame.other_bytes(history, point(commits[0], "train@x", "1"), point(commits[1], "train@x", "1")) == []


def test_differences_are_said_value_by_value():
    old = {"params.yaml": {"run": {"seed": 0, "threads": 2}, "systems.x.train": {"order": 4, "gains": [1, 2]}}}
    new = {"params.yaml": {"run": {"seed": 0}, "systems.x.train": {"order": 3, "gains": [1, 2], "top": None}}}
    assert why.params(old, new) == [
        "systems.x.train.order: 4 -> 3",
        "systems.x.train.top: new, null",
        "run.threads: gone, was 2",
    ]
    assert why.params({"other.yaml": {"a": 1}}, {"other.yaml": {"a": "x" * 99}}) == [
        f'other.yaml.a: 1 -> "{"x" * 56}...'
    ]
    before = Stage("train@x", (), False, {}, "python a", ("code/x", "data/a"), ("models/x",))
    after = replace(before, cmd="python b", deps=("code/x", "data/b"), outs=("models/x", "results/x"))
    assert why.graph(before, after) == [
        "train@x is now `python b`, was `python a`",
        "train@x reads data/b instead of data/a",
        "train@x makes results/x",
    ]
