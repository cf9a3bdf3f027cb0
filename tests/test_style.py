"""Rules of the house that no linter knows: short modules, no dynamic imports, a clean dvc.yaml, no machine paths."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for top in ("stages", "flows") for path in (ROOT / top).rglob("*.py"))
TRACKED = [
    path
    for top in ("stages", "flows", "tests", "benchmarks", "params", "docs")
    for path in sorted((ROOT / top).rglob("*"))
    if path.is_file() and path.suffix in (".py", ".yaml", ".txt", ".jinja", ".md", ".svg")
] + [
    ROOT / name for name in ("README.md", "Makefile", "dvc.yaml", "params.yaml", "pyproject.toml", "requirements.lock")
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_on_a_few_screens_and_says_what_it_is(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 250
    tree = ast.parse(source)
    assert not source.strip() or ast.get_docstring(tree)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
    assert [function.name for function in functions if not ast.get_docstring(function)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_families_import_nothing_dynamically(path):
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    forbidden = {"__import__", "eval", "exec"} | ({"importlib"} if path != ROOT / "stages/run.py" else set())
    assert not names & forbidden


def test_the_graph_file_is_short_and_tied_to_no_machine():
    text = (ROOT / "dvc.yaml").read_text()
    assert len(text.splitlines()) <= 120
    stages = yaml.safe_load(text)["stages"]
    for stage in (value.get("do", value) for value in stages.values()):
        assert re.fullmatch(r"python -m stages\.(code|report|run \w+ \$\{key\})", stage["cmd"])
        for out in stage["outs"]:
            assert isinstance(out, str) or out == {"code": {"cache": False}}
        assert "persist" not in str(stage)


def test_nothing_names_a_machine_or_a_registry():
    private = re.compile(r"/(work|home|root|Users)/\w|pypi\.org|files\.pythonhosted|file:/{3}")
    assert [str(path) for path in TRACKED if private.search(path.read_text(encoding="utf-8"))] == []


def keys(value, prefix=""):
    if not isinstance(value, dict):
        return set()
    free = prefix.endswith(("terms.", "least."))  # what a game adds, what a training watches: their names are values
    return {prefix + name for name in value if not free}.union(
        *(keys(inner, f"{prefix}{name}.") for name, inner in value.items())
    )


@pytest.mark.parametrize("name", ["web", "gpu"])
def test_the_other_scales_are_the_same_program(name):
    """params/web.yaml and params/gpu.yaml have the sections of params.yaml, and every row of a kind its keys."""
    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    other = yaml.safe_load((ROOT / "params" / f"{name}.yaml").read_text())
    assert set(base) == set(other)
    for section, phases in {"rounds": ["crawl"], "corpora": ["preprocess"], "systems": ["train", "evaluate"]}.items():
        shapes = {row["kind"]: {phase: keys(row[phase]) for phase in phases} for row in base[section].values()}
        for key, row in other[section].items():
            if row["kind"] in shapes and row["kind"] != "download":
                assert {phase: keys(row[phase]) for phase in phases} == shapes[row["kind"]], key
