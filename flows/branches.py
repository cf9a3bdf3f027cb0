"""Runs on a branch: its tip in a tree of their own, params changed for the run, and what came of it committed.

For flows that nobody watches. They work in a tree of the worker's clone, so that no one's checkout is touched.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows import trees
from flows.editing import edited
from flows.graph import Refusal
from flows.trees import GitError, git


def home() -> Path:
    """The clone of the worker around this process, or the folder it was started in."""
    return Path(os.environ.get("QUJING_HOME", ".")).resolve()


@contextmanager
def tip(branch: str) -> Iterator[Path]:
    """A tree with the newest commit of the branch on `origin`; raises `GitError` where there is no such branch."""
    git(home(), "fetch", "--quiet", "origin", branch)
    with trees.tree(home(), git(home(), "rev-parse", "FETCH_HEAD")) as tree:
        yield tree


def override(root: Path, params: Mapping[str, Any]) -> None:
    """Set params.yaml's keys, dotted ("systems.vae.train.steps"); raises `Refusal` for a key that it has not.

    Rows that share a section by a YAML anchor keep what they had: the changed row gets a copy of its own.
    """
    if not params:
        return
    with edited(root / "params.yaml") as values:
        for key, value in params.items():
            *parents, name = key.split(".")
            section, shared = values, _shared(values)
            for parent in parents:
                inner = section.get(parent) if isinstance(section, dict) else None
                if id(inner) in shared:
                    section[parent] = inner = json.loads(json.dumps(inner))
                section = inner
            if not isinstance(section, dict) or name not in section:
                raise Refusal(f"params.yaml has no key {key}")
            section[name] = value


def _shared(values: Any) -> set[int]:
    """The ids of the mappings that stand in several places of what ruamel.yaml has read, by aliases or merges."""
    counts: Counter[int] = Counter()
    todo = [values]
    while todo:
        mapping = todo.pop()
        counts[id(mapping)] += 1
        todo += [inner for inner in (*mapping.values(), *getattr(mapping, "merge", ())) if isinstance(inner, dict)]
    return {name for name, count in counts.items() if count > 1}


def save(root: Path, message: str, branch: str, push: bool) -> str:
    """Commit params.yaml and dvc.lock, and push them to the branch; returns what was done, in a phrase.

    A branch that moved on meanwhile is taken in first, where the two changes do not touch.
    """
    kept = [name for name in ("params.yaml", "dvc.lock") if (root / name).exists()]
    if not git(root, "status", "--porcelain", "--", *kept):
        return "nothing changed: no commit"
    git(root, "add", *kept)
    who = {} if _known(root) else trees.AUTHOR
    git(root, "commit", "--quiet", "-m", message, **who)
    if not push:
        git(root, "branch", "--force", f"qujing/{branch}", "HEAD")
        return f"committed on qujing/{branch} of {home()}"
    try:
        git(root, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    except GitError:
        git(root, "pull", "--quiet", "--rebase", "origin", branch, **who)
        git(root, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    return f"pushed to {branch} as {git(root, 'rev-parse', '--short', 'HEAD')}"


def experiment(root: Path, name: str) -> str:
    """Keep the tree's params and dvc.lock as the DVC experiment `name` of its commit, on `origin`; returns its commit.

    `dvc exp pull origin NAME` brings it, and the likes of `dvc exp show` know it then. An experiment is a commit under
    refs/exps, named by the commit it starts from; `dvc exp save` would want all outputs to lie here.
    """
    base, commit = git(root, "rev-parse", "HEAD"), trees.snapshot(root)
    git(root, "push", "--quiet", "--force", "origin", f"{commit}:refs/exps/{base[:2]}/{base[2:]}/{name}")
    return commit


def _known(root: Path) -> bool:
    try:
        return bool(git(root, "config", "user.email"))
    except GitError:
        return False
