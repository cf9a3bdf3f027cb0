"""The commands of the README do what it says."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from repository import environment

from stages import run
from stages.core import params
from stages.core.systems import Inputs
from stages.corpora.embedded import site
from stages.report import picture

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
INLINE = re.findall(r"`((?:make|\.venv/bin/)[^`]*)`", README)


def test_every_make_target_named_in_the_readme_is_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = {command.split()[1] for command in [*COMMANDS, *INLINE] if command.startswith("make ")}
    assert named
    assert named <= set(targets)


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.S))
def test_the_python_of_the_readme_runs(block):
    names = {}
    exec(block, names)
    assert names["loss"] > 0
    assert names["encoder"][0].weight.grad is not None


OWN = [
    command for command in COMMANDS if re.search(r"words-model|vectors-model|stages/corpora|triples|questions", command)
]


def test_the_commands_for_a_corpus_of_ones_own_work_in_an_empty_folder(tmp_path):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "stages").symlink_to(ROOT / "stages")
    pages = tmp_path / "rounds/encyclopedia_2"
    pages.mkdir(parents=True)
    for number, page in enumerate(site.build(2).values()):
        if page.fate == "keep":
            (pages / f"{number}.html").write_bytes(page.body)
    told = {
        command: subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment(ROOT), capture_output=True, text=True, check=True
        ).stdout
        for command in OWN
    }
    assert {"模型", "参数", "判别器"} <= set(next(out for name, out in told.items() if " segment " in name).split())
    assert (tmp_path / "words.csv").read_text().startswith("word,count,solidity,")
    terms = [line.split(",")[0] for line in (tmp_path / "terms.csv").read_text().splitlines()]
    assert {"判别器", "生成器", "变分自编码器"} <= set(terms[:20])
    assert "阿富汗尼" in next(out for name, out in told.items() if " facts " in name)
    assert len(json.loads((tmp_path / "questions.json").read_text())) == 250
    assert (tmp_path / "triples.csv").stat().st_size > 0


TALKING = [command for command in COMMANDS if "qujing couplet " in command or "stages.text.univae" in command]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A folder with models of couplets and of sentences, of five steps each."""
    folder = tmp_path_factory.mktemp("hasty")
    (folder / ".venv").symlink_to(sys.prefix)
    values = params.load(ROOT / "params.yaml")
    for key in ("couplets", "univae"):
        values["systems"][key]["train"] |= {"steps": 5, "warm_up": 1, "seeds": [0]}
        row = run.read(values, "train", key)
        corpus = run.read(values, "preprocess", Path(row.values["input"]).name)
        corpus.function(None, corpus.settings, folder / "data" / key)
        row.function(Inputs(input=folder / "data" / key), row.settings, folder / "models" / key)
    return folder


@pytest.mark.parametrize("command", TALKING)
def test_what_was_trained_answers(hasty, command):
    done = subprocess.run(shlex.split(command), cwd=hasty, env=environment(ROOT), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) >= 3


ELSEWHERE = (*OWN, *TALKING, "couplet", "remote add", "prefect deployment")
"""What is run above, or on the machines of tests/flows/test_machines.py."""


@pytest.mark.parametrize(
    "command",
    [c for c in dict.fromkeys([*COMMANDS, *INLINE]) if "/bin/" in c and not any(words in c for words in ELSEWHERE)],
)
def test_the_other_commands_run_in_a_finished_repository(small, command):
    (small / ".venv").symlink_to(sys.prefix)
    words = shlex.split(command)
    assert shutil.which(words[0], path=str(small)) or (small / words[0]).exists()
    done = subprocess.run(words, cwd=small, env=environment(small), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_the_picture_of_the_graph_is_that_of_params():
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert (ROOT / "docs/graph.svg").read_text(encoding="utf-8") == picture.svg(values)
