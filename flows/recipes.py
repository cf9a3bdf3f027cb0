"""What a commit would run, without running it: its stages, the digests of its code, the files in git that they read.

Working it out takes about a second, so it is kept under `.spool/recipes`, by commit.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flows import graph, trees
from flows.graph import Stage

KEPT = Path(".spool/recipes/1")
"""Where recipes are kept; the number counts their forms."""


class Failure(Exception):
    """A commit has no value: the message is a sentence that says why."""


@dataclass(frozen=True)
class Recipe:
    """Stages in the order of `dvc repro`, without those that always run, and what decides them besides their params."""

    stages: tuple[Stage, ...]
    code: Mapping[str, str]  # digests of code: path -> what it says
    files: Mapping[str, str]  # other inputs that no stage makes: path -> md5

    def md5(self, path: str) -> str:
        """Of an input that no stage makes."""
        return hashlib.md5(self.code[path].encode()).hexdigest() if path in self.code else self.files[path]

    def chain(self, out: str) -> tuple[Stage, ...]:
        """The stages up to the one that makes `out`; raises `Failure` where none does."""
        needed = {stage.name for stage in self.stages if out in stage.outs}
        if not needed:
            folder = str(Path(out).parent)
            made = sorted(Path(path).stem for s in self.stages for path in s.outs if str(Path(path).parent) == folder)
            raise Failure(f"no stage makes {out}; there are {folder} of {', '.join(made)}")
        for stage in reversed(self.stages):
            if stage.name in needed:
                needed.update(stage.needs)
        return tuple(stage for stage in self.stages if stage.name in needed)


def of_commit(root: Path, commit: str) -> Recipe:
    """The recipe of a commit of the repository at `root`; raises `Failure` where its graph or code cannot be read."""
    kept = root / KEPT / f"{commit}.json"
    if kept.exists():
        said = json.loads(kept.read_text())
        return Recipe(tuple(_stage(**stage) for stage in said["stages"]), said["code"], said["files"])
    with trees.tree(root, commit) as tree:
        found = of_tree(tree)
    kept.parent.mkdir(parents=True, exist_ok=True)
    beside = kept.with_suffix(".beside")
    beside.write_text(json.dumps(asdict(found)))
    beside.replace(kept)
    return found


def of_tree(tree: Path) -> Recipe:
    """The recipe of a work tree, where it leaves the digests of the code; raises `Failure` as `of_commit` does."""
    from dvc.exceptions import DvcException

    try:
        with chdir(tree):  # DVC names stages as seen from here
            plan = graph.stages(tree)
    except DvcException as error:
        raise Failure(f"its graph cannot be read: {' '.join(str(error).split())}") from error
    always = [stage for stage in plan if stage.always]
    for stage in always:
        done = subprocess.run(stage.cmd, shell=True, cwd=tree, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(f"{stage.name} fails: {graph.reason(done.stdout + done.stderr)}")
    made = [out for stage in plan if not stage.always for out in stage.outs]
    digests = [out for stage in always for out in stage.outs]
    read = sorted({path for stage in plan for path in stage.deps if not any(related(out, path) for out in made)})
    code = {path: (tree / path).read_text() for path in read if any(related(out, path) for out in digests)}
    files = {path: _md5(tree / path) for path in read if path not in code}
    return Recipe(tuple(stage for stage in plan if not stage.always), code, files)


def related(out: str, path: str) -> bool:
    """Whether one path lies in the other."""
    return out == path or out.startswith(path + "/") or path.startswith(out + "/")


def _stage(deps: list[str], outs: list[str], needs: list[str], **rest: object) -> Stage:
    stage = Stage(needs=tuple(needs), **rest)  # type: ignore[arg-type]
    return replace(stage, deps=tuple(deps), outs=tuple(outs))


def _md5(path: Path) -> str:
    """Of a file, or of all files in a folder; of nothing where there is neither."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    said = [f"{file.relative_to(path)} {hashlib.md5(file.read_bytes()).hexdigest()}" for file in files]
    return hashlib.md5("\n".join(said).encode()).hexdigest()
