"""What every commit made, or would make, of one metric; known where any machine ever made it, else computed.

A commit's stages up to the metric are walked in order. Each has a key, the digest of its command, params and inputs,
code included; an input is known by its md5 where the stage before it is known, else by that stage's key. A stage is
known by the commit's own dvc.lock, by another commit's, or by a record on the DVC remote, under that key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flows import graph, recipes, records, trees
from flows.graph import Stage
from flows.known import Known
from flows.recipes import Failure, Recipe, related
from flows.records import Entry

CODE = "stages"
"""The folder whose digests the graph depends on."""


@dataclass(frozen=True)
class Point:
    """One commit (or a mixture of two) and what is known of it."""

    commit: str
    subject: str = ""
    prefer: Mapping[str, Entry] = field(default_factory=dict)  # entries that count before those of its dvc.lock
    recipe: Recipe | None = None
    chain: tuple[Stage, ...] = ()  # up to the one that makes the metric
    keys: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)  # of the stages that are known
    value: float | None = None
    ran: tuple[str, ...] = ()  # stages that ran to compute it
    failure: str = ""

    @property
    def key(self) -> str:
        """What decides the metric: points of the same key have the same value."""
        return self.keys[self.chain[-1].name] if self.chain else self.commit

    def params(self) -> set[str]:
        """The files of the params that decide the metric."""
        return {file for stage in self.chain for file in stage.params}

    def files(self) -> set[str]:
        """Other files in git that decide it, code and graph left out."""
        return {path for stage in self.chain for path in stage.deps if self.recipe and path in self.recipe.files}


class History:
    """The metric `NAME.KEY`, the number KEY of metrics/NAME.json, through the commits of the repository at `root`."""

    def __init__(self, root: Path, metric: str) -> None:
        name, _, self.field = metric.partition(".")
        if not self.field:
            raise Failure(f"{metric} names no metric: say NAME.KEY, as in new_words.f1")
        self.root, self.file = root, f"metrics/{name}.json"
        self.known = Known(root)

    def commits(self, good: str, bad: str) -> list[tuple[str, str]]:
        """Commits and their subjects from `good` to `bad` along first parents; raises `Failure` for wrong names."""
        first, last = self._commit(good), self._commit(bad)
        how = ("--first-parent", "--reverse", "--format=%H%x09%P%x09%s")
        listed = trees.git(self.root, "log", *how, f"{first}..{last}")
        found = [line.split("\t", 2) for line in listed.splitlines()]
        if not found or first not in found[0][1].split()[:1]:
            raise Failure(f"{good} is not before {bad} along first parents")
        locks = [self._locked(commit) for commit in (first, *(commit for commit, _, _ in found))]
        for lock in [*locks, graph.entries(self.root / "dvc.lock")]:
            for entry in lock.values():
                self.known.learn(entry)
        return [(first, trees.git(self.root, "show", "-s", "--format=%s", first))] + [(c, s) for c, _, s in found]

    def points(self, commits: list[tuple[str, str]]) -> Iterator[Point]:
        """Each commit with what is known of it; nothing is run but the digests of its code."""
        last: Point | None = None
        for commit, subject in commits:
            last = self._same(last, commit) if last else None
            last = replace(last, commit=commit, subject=subject) if last else self.look(Point(commit, subject))
            yield last

    def _same(self, last: Point, commit: str) -> Point | None:
        """The last point, if nothing that decides it is another in `commit`."""
        files = {CODE, "dvc.yaml", "dvc.lock"} | last.params() | last.files()
        return None if last.failure or self.differ(last.commit, commit, files) else last

    def differ(self, one: str, other: str, paths: set[str]) -> bool:
        """Whether any of the paths in git is not the same in both commits."""
        return bool(paths and trees.git(self.root, "diff", "--name-only", one, other, "--", *sorted(paths)))

    def look(self, point: Point) -> Point:
        """The point with all that is known of it now."""
        try:
            return self._walked(point, recipes.of_commit(self.root, point.commit), None)
        except Failure as failure:
            return replace(point, failure=str(failure))

    def compute(self, point: Point) -> Point:
        """The point with its value: stages that are not known run in a work tree of their own, and are recorded."""
        try:
            recipe = recipes.of_commit(self.root, point.commit)
            with trees.tree(self.root, point.commit) as tree, chdir(tree):
                for path, text in recipe.code.items():
                    (tree / path).parent.mkdir(parents=True, exist_ok=True)
                    (tree / path).write_text(text)
                return self._walked(point, recipe, tree)
        except Failure as failure:
            return replace(point, failure=str(failure))

    def _walked(self, point: Point, recipe: Recipe, tree: Path | None) -> Point:
        """Go through the stages in order; those that are not known are run where there is a work tree."""
        chain, own = recipe.chain(self.file), {**self._locked(point.commit), **point.prefer}
        made: dict[str, str] = {}
        keys: dict[str, str] = {}
        entries: dict[str, Entry] = {}
        ran: list[str] = []
        for stage in chain:
            deps = {path: self._holds(path, made, recipe) for path in stage.deps}
            key = keys[stage.name] = records.key(stage.cmd, deps, stage.params, stage.outs)
            entry = own.get(stage.name)
            if entry is None or records.key_of(entry) != key:
                entry = self.known.find(key)
            if tree and not (entry and all(self.known.has(out["md5"]) for out in entry["outs"])):
                entry, really = self._run(stage, tree, {**own, **entries}, made)
                ran += [stage.name] * really
            if entry:
                entries[stage.name] = entry
                made |= {out["path"]: out["md5"] for out in entry["outs"]}
            else:
                made |= dict.fromkeys(stage.outs, f"?{key}")
        point = replace(point, recipe=recipe, chain=chain, keys=keys, entries=entries, ran=(*point.ran, *ran))
        return replace(point, value=self._value(made[self.file]))

    def _holds(self, path: str, made: Mapping[str, str], recipe: Recipe) -> str:
        """The md5 of an input, or what decides it where that is not known."""
        own = {out: md5 for out, md5 in made.items() if related(out, path)}
        if not own:
            return recipe.md5(path)
        if not any(md5.startswith("?") for md5 in own.values()):
            try:
                return records.hash_of(path, own, self.known) or ""
            except FileNotFoundError:
                pass
        return f"?{path} of {sorted(own.items())}"

    def _run(self, stage: Stage, tree: Path, entries: dict[str, Entry], made: Mapping[str, str]) -> tuple[Entry, bool]:
        """Reproduce a stage in `tree`, push what it made and record it; its entry, and whether it really ran."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        graph.write(tree / "dvc.lock", entries, entries, [])
        missing = [path for path in stage.deps if not (tree / path).exists()]
        below = {out for path in missing for out in made if out.startswith(path + "/")}
        inside = {path for path in missing for out in made if path == out or path.startswith(out + "/")}
        try:
            if missing:
                with Repo(str(tree)) as repo:
                    (repo.pull if self.known.remote else repo.checkout)(targets=sorted(inside | below))
            done = graph.dvc(tree, "repro", "--single-item", stage.name)
            if done.returncode:
                raise Failure(f"{stage.name} fails: {graph.reason(done.stdout + done.stderr)}")
            entry = graph.entries(tree / "dvc.lock")[stage.name]
            if self.known.remote:
                with Repo(str(tree)) as repo:
                    repo.push(targets=[stage.name])
                self.known.keep(entry)
        except DvcException as error:
            raise Failure(f"{stage.name} cannot be run: {error}") from error
        self.known.learn(entry)
        return entry, "Running stage" in done.stdout

    def _value(self, md5: str) -> float | None:
        """The metric, None where it is not known; raises `Failure` where the file has no such number."""
        try:
            values = {} if md5.startswith("?") else json.loads(self.known.read(md5))
        except FileNotFoundError:
            values = {}
        if not values:
            return None
        if not isinstance(values.get(self.field), int | float):
            numbers = ", ".join(key for key, value in values.items() if isinstance(value, int | float))
            raise Failure(f"{self.file} has no number {self.field}; it has {numbers}")
        return float(values[self.field])

    def _commit(self, name: str) -> str:
        try:
            return trees.git(self.root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except trees.GitError:
            raise Failure(f"there is no commit {name}") from None

    def _locked(self, commit: str) -> dict[str, Any]:
        import yaml

        try:
            text = trees.git(self.root, "show", f"{commit}:dvc.lock")
        except trees.GitError:
            return {}
        return (yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}).get("stages", {})
