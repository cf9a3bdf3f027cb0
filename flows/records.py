"""What was made before, by any machine: entries of dvc.lock kept beside the data, each under what it was made from.

A record lies on the DVC remote at `qujing/entries/KEY.json`, where KEY is the digest of a stage's command, the content
of its inputs, its params and the names of its outputs. One request answers whether a stage was made before, however
long the history is. A record is written after the outputs it names are on the remote, so it is also how a machine
hands its work back.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from flows.graph import Stage

T = TypeVar("T")
Entry = dict[str, Any]
"""What dvc.lock says of one stage: cmd, deps, params, outs."""

VERSIONS = 20
"""How many earlier versions of dvc.lock are searched for entries that no record holds."""

PATIENCE = 300.0
"""Seconds for which a remote that does not answer is asked again."""


class Unreachable(Exception):
    """The DVC remote did not answer for as long as it was waited for."""


def key(cmd: str, deps: Mapping[str, str], params: Mapping[str, Any], outs: Iterable[str]) -> str:
    """The digest of all that decides what a stage makes; `deps` maps paths to md5."""
    said = [cmd, sorted(deps.items()), params, sorted(outs)]
    return hashlib.md5(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def key_of(entry: Entry) -> str:
    """The key under which an entry of dvc.lock is found."""
    deps = {dep["path"]: dep["md5"] for dep in entry.get("deps", [])}
    return key(entry["cmd"], deps, entry.get("params", {}), (out["path"] for out in entry.get("outs", [])))


class Records:
    """The default DVC remote of the repository at `root`: its objects, and the records beside them."""

    def __init__(self, root: Path, repo: Any = None) -> None:
        self.root = root
        self._repo = repo  # DVC's, where there is one already
        self._trees: dict[str, dict[str, str]] = {}

    @cached_property
    def _odb(self) -> Any:
        from dvc.repo import Repo

        return (self._repo or Repo(str(self.root))).cloud.get_remote_odb()

    def _path(self, name: str) -> str:
        return self._odb.fs.join(self._odb.fs.parent(self._odb.fs.parent(self._odb.path)), "qujing", "entries", name)

    def find(self, wanted: str) -> Entry | None:
        """The entry made from what `wanted` is the key of, if its outputs are still on the remote."""
        entry = self.record(wanted) or self._earlier.get(wanted)
        return entry if entry and all(self.has(out["md5"]) for out in entry.get("outs", [])) else None

    def keep(self, entry: Entry) -> None:
        """Record an entry whose outputs are on the remote."""
        path, fs = self._path(key_of(entry) + ".json"), self._odb.fs
        beside = f"{path}.{time.time_ns()}"

        def put() -> None:
            fs.makedirs(fs.parent(path), exist_ok=True)
            if fs.protocol == "local":
                fs.pipe_file(beside, json.dumps(entry).encode())
                fs.mv(beside, path)
            else:  # an object store shows a whole object or none
                fs.pipe_file(path, json.dumps(entry).encode())

        patiently(put, str(path))

    def has(self, md5: str) -> bool:
        """Whether the remote holds that object (of a folder its list, which is pushed after its files)."""
        return patiently(lambda: self._odb.exists(md5), str(self._odb.path))

    def read(self, md5: str) -> bytes:
        """An object of the remote, whole."""
        return patiently(lambda: self._odb.fs.cat_file(self._odb.oid_to_path(md5)), str(self._odb.path))

    def files(self, md5: str) -> dict[str, str]:
        """What a folder on the remote holds: relative path -> md5."""
        if md5 not in self._trees:
            self._trees[md5] = {file["relpath"]: file["md5"] for file in json.loads(self.read(md5))}
        return self._trees[md5]

    def record(self, wanted: str) -> Entry | None:
        """The entry recorded under a key, whatever became of its outputs."""

        def read() -> Entry | None:
            try:
                return json.loads(self._odb.fs.cat_file(self._path(wanted + ".json")))
            except FileNotFoundError:
                return None

        return patiently(read, str(self._odb.path))

    @cached_property
    def _earlier(self) -> dict[str, Entry]:
        """Entries of the last versions of dvc.lock, as `dvc repro` and `dvc push` on one machine leave them."""
        import yaml

        found: dict[str, Entry] = {}
        commits = _git(self.root, "log", "--all", f"-{VERSIONS}", "--format=%H", "--", "dvc.lock").split()
        for commit in commits:
            text = _git(self.root, "show", f"{commit}:dvc.lock")
            stages = (yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}).get("stages", {})
            for entry in stages.values():
                found.setdefault(key_of(entry), entry)
        return found


def hash_of(path: str, outs: Mapping[str, str], records: Records) -> str | None:
    """The md5 of an input made of the outputs `outs` (path -> md5): one of them, a part of one, or a folder of several.

    None where it is made of none of them.
    """
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    if path in outs:
        return outs[path]
    files: dict[str, str] = {}
    for out, md5 in outs.items():
        if out.startswith(path + "/"):
            inside = records.files(md5) if md5.endswith(".dir") else {"": md5}
            files |= {f"{out}/{name}".rstrip("/")[len(path) + 1 :]: inner for name, inner in inside.items()}
        elif path.startswith(out + "/") and md5.endswith(".dir"):
            part = path[len(out) + 1 :]
            inside = records.files(md5)
            if part in inside:
                return inside[part]
            files |= {n[len(part) + 1 :]: inner for n, inner in inside.items() if n.startswith(part + "/")}
    if not files:
        return None
    tree = Tree()
    for name, md5 in files.items():
        tree.add(tuple(name.split("/")), None, HashInfo("md5", md5))
    tree.digest()
    return str(tree.hash_info.value)


def key_now(stage: Stage, outs: Mapping[str, str], records: Records, root: Path) -> str | None:
    """The key of a stage whose inputs are the outputs `outs`, or files of the repository; None where one is missing."""
    deps = {}
    for path in stage.deps:
        md5 = hash_of(path, outs, records) or _md5(root / path)
        if md5 is None:
            return None
        deps[path] = md5
    return key(stage.cmd, deps, stage.params, stage.outs)


def _md5(path: Path) -> str | None:
    return hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else None


def patiently(ask: Callable[[], T], what: str, patience: float | None = None) -> T:
    """The answer of a service that may be away for a while; raises `Unreachable` when it was waited for in vain."""
    until, pause = time.monotonic() + (PATIENCE if patience is None else patience), 1.0
    while True:
        try:
            return ask()
        except FileNotFoundError:
            raise
        except Exception as error:  # every kind of remote has errors of its own
            if time.monotonic() + pause > until:
                raise Unreachable(f"{what} does not answer: {error}") from error
            time.sleep(pause)
            pause = min(2 * pause, 15.0)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
