"""A small repository of the same program, for tests that run DVC and Prefect: one corpus, its words, and a gold cut."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
WORDS = [
    "经济",
    "发展",
    "人工智能",
    "研究",
    "数据",
    "的",
    "是",
    "在",
    "我们",
    "方法",
    "问题",
    "实验",
    "结果",
    "模型",
    "和",
]


def sentences(count: int, seed: int) -> list[list[str]]:
    """Random sentences of known words."""
    chosen = random.Random(seed)
    return [chosen.choices(WORDS, k=chosen.randint(5, 12)) for _ in range(count)]


def build(folder: Path) -> None:
    """Lay out the repository at `folder`: the code and the graph of this one, and a small params.yaml."""
    for name in ("stages", "flows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    texts = "\n".join("".join(words) + "。" for words in sentences(2000, 1))
    gold = "\n".join("  ".join(words) for words in sentences(100, 2))
    (folder / "mirror").mkdir()
    (folder / "mirror/texts.txt").write_text(texts)
    (folder / "mirror/gold.utf8").write_text(gold)
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters(folder), allow_unicode=True, sort_keys=False))
    run(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")


def parameters(folder: Path) -> dict[str, Any]:
    """One download, two data sets and one system; the rows are those of params.yaml wherever there is one."""
    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    sources = {
        name: {
            "urls": [],
            "sha256": hashlib.sha256((folder / "mirror" / name).read_bytes()).hexdigest(),
            "licence": "-",
        }
        for name in ("texts.txt", "gold.utf8")
    }
    documents = base["corpora"]["encyclopedia"]
    documents["preprocess"]["reading"] = {"unit": "line", "fields": [], "skip": []}
    documents["preprocess"]["shortest"] = 2
    return {
        "run": base["run"],
        "rounds": {"texts": {"kind": "download", "after": "code/none", "crawl": {"sources": sources}}},
        "corpora": {
            "texts": {**documents, "input": "rounds/texts/files/texts.txt"},
            "gold": {
                "kind": "segmentation",
                "input": "rounds/texts/files",
                "preprocess": {"gold": "gold.utf8", "training_words": ""},
            },
        },
        "systems": {"new_words": {**base["systems"]["new_words"], "input": "data/texts", "truth": "data/gold"}},
    }


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a stage sees: this Python first on the PATH, the mirror of the folder, no server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "QUJING_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **kept,
        "PATH": path,
        "PYTHONPATH": str(folder),
        "QUJING_MIRROR": str(folder / "mirror"),
        "PREFECT_HOME": str(prefect_home()),
        "DVC_NO_ANALYTICS": "1",
        **more,
    }


@cache
def prefect_home() -> Path:
    """A Prefect home for this process' tests: its database is made once."""
    return Path(tempfile.mkdtemp(prefix="prefect-"))


def run(folder: Path, *command: str, **more: str) -> str:
    """Run a command in the folder; returns all it printed, raises with it where the command failed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, **more),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def dvc(folder: Path, *arguments: str, **more: str) -> str:
    """Run dvc in the folder."""
    return run(folder, sys.executable, "-m", "dvc", *arguments, **more)


def reproduced(folder: Path, **more: str) -> list[str]:
    """Run `dvc repro`; returns the stages that were run, the always run digests left out."""
    printed = dvc(folder, "repro", **more)
    names = [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]
    return [name for name in names if name != "code"]
