"""Digests see what changes the meaning of a row's code, and nothing else."""

import shutil
import textwrap
from pathlib import Path

import pytest

from stages import code
from stages.core import params

ROOT = Path(__file__).parents[1]

PROJECT = {
    "stages/__init__.py": "",
    "stages/run.py": """
        from stages.core import tables
        def main(phase): return PHASES[phase]
        def train(): return tables.write()
        def evaluate(): return 2
        PHASES: Choices = {"train": train, "evaluate": evaluate}
        """,
    "stages/core/__init__.py": "",
    "stages/core/tables.py": """
        LIMIT = 3
        def write():
            return deep() + LIMIT
        def deep():
            from stages.core.far import away
            return away()
        def unused(): return 0
        """,
    "stages/core/far.py": "def away(step=1): return step",
    "stages/gan/__init__.py": """
        from stages.gan import losses
        from stages.gan.losses import LOSSES
        TRAIN: Choices = {"gan": losses.train}
        EVALUATE: Choices = {"gan": losses.evaluate}
        """,
    "stages/gan/losses.py": '''
        """Losses."""
        from __future__ import annotations
        def sgan(x):
            """Goodfellow et al."""
            return x + 1
        def wgan(x): return x + 2
        LOSSES: Choices = {"sgan": sgan, "wgan": wgan}
        def train(params): return LOSSES[params.loss]
        def evaluate(model): return model
        ''',
    "stages/gan/words.txt": "text",
}


@pytest.fixture
def project(tmp_path):
    for name, text in PROJECT.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def digests(root):
    code.read.cache_clear()
    found = {}
    for phase in ("train", "evaluate"):
        for loss in ("sgan", "wgan"):
            starts = [("stages.run", "main"), ("stages.gan", phase.upper())]
            found[phase, loss] = code.digest(root, starts, {phase, "gan", loss})
    return found


def changed(root, name, old, new):
    before = digests(root)
    path = root / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    after = digests(root)
    return {key for key in before if before[key] != after[key]}


TRAINS = {("train", "sgan"), ("train", "wgan")}
EVALUATIONS = {("evaluate", "sgan"), ("evaluate", "wgan")}
LOSSES, TABLES = "stages/gan/losses.py", "stages/core/tables.py"


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (TABLES, "LIMIT = 3", "LIMIT = 3  # three", set()),
        (LOSSES, "Goodfellow et al.", "Goodfellow et al. 2014", set()),
        (LOSSES, '"""Losses."""', '"""All losses."""', set()),
        (TABLES, "LIMIT = 3", "LIMIT = 4", TRAINS),
        (TABLES, "def unused(): return 0", "def unused(): return 1", set()),
        ("stages/core/far.py", "return step", "return step + 1", TRAINS),
        ("stages/core/far.py", "step=1", "step=2", TRAINS),
        (LOSSES, "x + 1", "x + 3", {("train", "sgan")}),
        (LOSSES, "x + 2", "x + 3", {("train", "wgan")}),
        (LOSSES, "def evaluate(model): return model", "def evaluate(model): return 1", EVALUATIONS),
        ("stages/run.py", "return PHASES[phase]", "return PHASES[phase] or 1", TRAINS | EVALUATIONS),
        ("stages/gan/words.txt", "text", "texts", TRAINS | EVALUATIONS),
    ],
)
def test_an_edit_reaches_exactly_the_rows_it_matters_to(project, name, old, new, expected):
    assert changed(project, name, old, new) == expected


def test_what_a_module_does_at_import_counts(project):
    before = digests(project)
    path = project / TABLES
    path.write_text(path.read_text() + "\nprint(LIMIT)\n")
    assert {key for key, value in digests(project).items() if value != before[key]} == TRAINS


def everything(root):
    code.read.cache_clear()
    values = params.load(ROOT / "params.yaml")
    found = {}
    for phase, section in code.SECTIONS.items():
        for key, row in values[section].items():
            starts = [("stages.run", "main"), (f"stages.{code.family(phase, row)}", phase.upper())]
            found[f"{phase}@{key}"] = code.digest(root, starts, {phase, *code.words(row)})
    return found


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_in_this_repository_a_comment_in_core_reaches_nothing_and_a_change_everything(copy):
    before = everything(copy)
    path = copy / "stages/core/files.py"
    source = path.read_text()
    commented = "# a comment\n" + source.replace('"""Remove a file', '"""Take away a file')
    assert "Take away" in commented
    path.write_text(commented)
    assert everything(copy) == before
    path.write_text(source.replace("target.parent.mkdir(parents=True", "target.parent.mkdir(0o700, parents=True"))
    assert source != path.read_text()
    assert not {name for name, value in everything(copy).items() if value == before[name]}


def test_every_row_has_a_digest_of_its_own_family(copy):
    assert all(len(value) == 32 for value in everything(copy).values())
