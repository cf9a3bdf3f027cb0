"""The flows that nobody watches: on a branch of their own tree, with what came of them committed or kept apart."""

import subprocess
import sys

import pytest
import repository
import yaml
from machines import commit, toy

from flows import branches, refresh, trees
from flows.graph import Refusal, entries

PARAMS = """# what the graph is about
rounds:
  site_1: &one {kind: crawl, after: code/none, crawl: {pages: 5}}  # first
  site_2: {<<: *one, after: rounds/site_1}
  texts_1: {kind: download, after: code/none, crawl: {}}
  other_1:
    kind: crawl
    after: code/none
    crawl:
      start: ["http://other.test/"]
      pages: null

# what is made of them
corpora:
  site: {input: rounds/site_2}
systems:
  words: {input: data/site, against: rounds/site_2}
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone of a toy repository with params; the home of the flows."""
    seed, root = tmp_path / "seed", tmp_path / "clone"
    seed.mkdir()
    toy({"a": {}, "b": {"needs": ["a"]}}, seed)
    (seed / "params.yaml").write_text(PARAMS)
    commit(seed, "The beginning")
    repository.run(tmp_path, "git", "clone", "-q", "--bare", str(seed), str(tmp_path / "origin.git"))
    repository.run(tmp_path, "git", "clone", "-q", str(tmp_path / "origin.git"), str(root))
    monkeypatch.setenv("QUJING_HOME", str(root))
    return root


def branch(clone):
    return repository.run(clone, "git", "symbolic-ref", "--short", "HEAD").strip()


def test_the_next_round_of_every_chain_and_who_reads_it(clone):
    assert refresh.next_rounds(clone / "params.yaml") == ["site_3", "other_2"]
    assert refresh.next_rounds(clone / "params.yaml") == ["site_4", "other_3"]
    text = (clone / "params.yaml").read_text()
    values = yaml.safe_load(text)
    assert values["rounds"]["site_3"] == {"kind": "crawl", "after": "rounds/site_2", "crawl": {"pages": 5}}
    other = {"start": ["http://other.test/"], "pages": None}
    assert values["rounds"]["other_3"] == {"kind": "crawl", "after": "rounds/other_2", "crawl": other}
    assert values["rounds"]["site_2"]["after"] == "rounds/site_1"
    assert values["corpora"]["site"]["input"] == "rounds/site_4"
    assert values["systems"]["words"] == {"input": "data/site", "against": "rounds/site_4"}
    assert "# what the graph is about" in text
    assert "# first" in text
    assert 'start: ["http://other.test/"]' in text
    assert "after: rounds/other_2\n\n# what is made of them\ncorpora:" in text


def test_a_run_on_a_branch_is_committed_and_pushed_and_touches_nobody(clone):
    before = repository.run(clone, "git", "status", "--porcelain")
    with branches.tip(branch(clone)) as tree:
        branches.override(tree, {"rounds.site_1.crawl.pages": 7})
        said = branches.save(tree, "Seven pages", branch(clone), push=True)
        assert branches.save(tree, "Again", branch(clone), push=True) == "nothing changed: no commit"
    assert said.startswith(f"pushed to {branch(clone)} as ")
    assert repository.run(clone, "git", "status", "--porcelain") == before
    repository.run(clone, "git", "pull", "-q")
    assert yaml.safe_load((clone / "params.yaml").read_text())["rounds"]["site_1"]["crawl"]["pages"] == 7


def test_a_branch_that_moved_on_meanwhile_is_taken_in(clone, tmp_path):
    with branches.tip(branch(clone)) as tree:
        branches.override(tree, {"rounds.site_1.crawl.pages": 7})
        (clone / "other.txt").write_text("someone else\n")
        commit(clone, "Someone else")
        repository.run(clone, "git", "push", "-q")
        branches.save(tree, "Seven pages", branch(clone), push=True)
    log = repository.run(tmp_path, "git", "--git-dir", "origin.git", "log", "--format=%s")
    assert log.split("\n")[:2] == ["Seven pages", "Someone else"]


def test_a_key_that_params_lack_is_refused(clone):
    with (
        branches.tip(branch(clone)) as tree,
        pytest.raises(Refusal, match=r"params.yaml has no key rounds\.site_9\.kind"),
    ):
        branches.override(tree, {"rounds.site_9.kind": "crawl"})


SHARED = """\
systems:
  one:  # has the anchor, as PyYAML would name it
    train: &id001 {steps: 4, deep: {rate: 1}}
  two:
    train: *id001
  three:
    train:
      <<: *id001
      steps: 5
"""


@pytest.mark.parametrize("row", ["one", "two", "three"])
@pytest.mark.parametrize("key", ["steps", "deep.rate"])
def test_a_row_that_shares_its_section_changes_alone(tmp_path, row, key):
    (tmp_path / "params.yaml").write_text(SHARED)
    expected = {name: {"train": {"steps": steps, "deep": {"rate": 1}}} for name, steps in (("one", 4), ("two", 4))}
    expected["three"] = {"train": {"steps": 5, "deep": {"rate": 1}}}
    changed = expected[row]["train"] if key == "steps" else expected[row]["train"]["deep"]
    changed[key.split(".")[-1]] = 9
    branches.override(tmp_path, {f"systems.{row}.train.{key}": 9})
    text = (tmp_path / "params.yaml").read_text()
    assert yaml.safe_load(text) == {"systems": expected}
    assert "# has the anchor, as PyYAML would name it" in text


def test_an_experiment_is_one_that_dvc_knows(clone):
    with branches.tip(branch(clone)) as tree:
        branches.override(tree, {"rounds.site_1.crawl.pages": 7})
        made = branches.experiment(tree, "seven")
    assert "seven" in repository.dvc(clone, "exp", "list", "origin")
    repository.dvc(clone, "exp", "pull", "--no-cache", "origin", "seven")
    assert repository.run(clone, "git", "show", f"{made}:params.yaml").count("pages: 7") == 1


def test_two_stages_never_share_a_tree_and_a_tree_comes_clean(clone):
    head = trees.git(clone, "rev-parse", "HEAD")
    with trees.tree(clone, head) as one, trees.tree(clone, head) as two:
        assert one != two
        (one / "made").mkdir()
        (one / "made/left").write_text("over")
        (one / "toy.py").write_text("edited")
        sleeper = subprocess.Popen(["sleep", "30"], close_fds=False)
    with trees.tree(clone, head) as three:
        assert three not in (one, two), "what still runs in a tree keeps it"
    sleeper.kill()
    sleeper.wait()
    with trees.tree(clone, head) as four:
        assert four == one
        assert not (four / "made").exists()
        assert trees.git(four, "status", "--porcelain", "--", "toy.py") == ""
        assert (four / ".spool").resolve() == (clone / ".spool").resolve()


def test_edits_that_nobody_committed_are_a_commit_of_the_run(clone):
    head = trees.git(clone, "rev-parse", "HEAD")
    assert trees.snapshot(clone) == head
    (clone / "params.yaml").write_text("rounds: {}\n")
    made = trees.snapshot(clone)
    assert made == trees.snapshot(clone) != head
    assert trees.git(clone, "show", f"{made}:params.yaml") == "rounds: {}"
    assert trees.git(clone, "status", "--porcelain") == "M params.yaml"
    assert trees.unknown(clone) == []
    (clone / "stages").mkdir(exist_ok=True)
    (clone / "stages/new.py").write_text("pass\n")
    assert trees.unknown(clone) == ["stages/new.py"]
    assert trees.snapshot(clone) == made, "what git does not know is not part of it"
    trees.publish(clone, made)
    other = clone.parent / "other"
    repository.run(clone.parent, "git", "clone", "-q", str(clone.parent / "origin.git"), str(other))
    with trees.tree(other, made) as tree:
        assert (tree / "params.yaml").read_text() == "rounds: {}\n"
    trees.withdraw(clone, made)
    assert "refs/qujing" not in trees.git(clone, "ls-remote", "origin")


def test_pipeline_on_a_branch_here(clone):
    """Without a server the same flow works in a tree on this machine, and commits the lock."""
    call = f"pipeline(branch={branch(clone)!r}, here=True, return_state=True)"
    words = [sys.executable, "-c", f"from flows.pipeline import pipeline; print({call}.message)"]
    printed = repository.run(clone, *words, QUJING_TRACKING="off", QUJING_HOME=str(clone))
    assert "2 stages, 0 of them not done; pushed to" in printed
    repository.run(clone, "git", "pull", "-q")
    assert list(entries(clone / "dvc.lock")) == ["a", "b"]
