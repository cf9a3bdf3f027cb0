"""Which factor moved a metric between two commits that follow each other: code, params, graph, data or environment.

A factor is what one commit has and the other has not: the folder of the code, the file of the params, dvc.yaml, files
that stages read, a round that was fetched again. Put alone on top of the good commit it makes a commit of its own, on
no branch, which is looked at like any other: where its key is the good one's, the factor does not reach the metric;
where its key is the bad one's, it is the whole difference. Only what is still open is computed, one factor at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flows import trees, why
from flows.graph import Stage
from flows.history import CODE, History, Point

OUTSIDE = "crawl@"
"""How the names of stages begin that may bring other bytes for the same inputs."""

PACKAGES = "requirements.lock"


@dataclass
class Factor:
    """One thing that differs, in words, and the good commit with only this exchanged (None where nothing can)."""

    said: str
    mixed: Point | None


def factors(history: History, good: Point, bad: Point) -> list[Factor]:
    """Everything that differs between the two and reaches the metric."""
    params, files = good.params() | bad.params(), good.files() | bad.files()
    groups = {"params": params, "code": {CODE}, "graph": {"dvc.yaml"}, "data": files}
    found = []
    for kind, paths in groups.items():
        if not history.differ(good.commit, bad.commit, paths):
            continue
        mixed = history.look(Point(grafted(history, good.commit, bad.commit, sorted(paths))))
        if mixed.failure or mixed.key != good.key:
            after = bad if mixed.failure else mixed
            found.append(Factor(f"{kind} {_said(kind, good, after, paths)}".strip(), mixed))
    return found + other_bytes(history, good, bad)


def other_bytes(history: History, good: Point, bad: Point) -> list[Factor]:
    """A factor for the first stage that had the same inputs in both, and made something else."""
    for stage in bad.chain:
        old, new = good.entries.get(stage.name), bad.entries.get(stage.name)
        if not old or not new or good.keys.get(stage.name) != bad.keys[stage.name] or old["outs"] == new["outs"]:
            continue
        if stage.name.startswith(OUTSIDE):
            mixed = history.look(replace(good, prefer={stage.name: new}, ran=()))
            return [Factor(f"data {', '.join(stage.outs)} (fetched again)", mixed)]
        if changed := packages(history, good.commit, bad.commit):
            return [Factor(f"environment {changed} (first seen in {stage.name})", None)]
        return [Factor(f"chance: {stage.name} made something else from the same inputs", None)]
    return []


def packages(history: History, good: str, bad: str) -> str:
    """The lines of requirements.lock that differ, as "torch==2.11 -> torch==2.12"; "" where none does."""
    lines = trees.git(history.root, "diff", "--unified=0", good, bad, "--", PACKAGES).splitlines()
    less, more = ([line[1:].strip() for line in lines if line[:1] == sign and line[:3] != 3 * sign] for sign in "-+")
    changed = [line for line in less + more if line and not line.startswith(("#", "--hash"))]
    names = dict.fromkeys(line.split("==")[0] for line in changed)
    return ", ".join(
        " -> ".join(line for line in changed if line.split("==")[0] == name).rstrip(" \\") for name in names
    )


def judge(
    found: list[Factor], bad: Point, compute: Callable[[Point], Point], moved: Callable[[float], bool]
) -> tuple[str, list[Point]]:
    """The factor that moves the metric, in words, and the mixtures that were computed: at most all but one."""
    if not found:
        return "none that is known: code, params, graph and data are the same", []
    whole = [factor for factor in found if factor.mixed and factor.mixed.key == bad.key]
    if whole or len(found) == 1:
        return (whole or found)[0].said, []
    computed: list[Point] = []
    idle: list[str] = []
    left: list[str] = []
    for number, factor in enumerate(sorted(found, key=_cost), 1):
        mixed = factor.mixed
        last = number == len(found) and not left
        if mixed and mixed.value is None and not mixed.failure and not last:
            mixed = compute(mixed)
            computed.append(mixed)
        if mixed is None or mixed.value is None:
            left.append(factor.said)
        elif moved(mixed.value):
            return factor.said, computed
        else:
            idle.append(factor.said)
    if not left:
        return f"only together: {' and '.join(idle)}", computed
    if not idle:
        return f"{' or '.join(left)}: none of them can be tried alone", computed
    return f"{' or '.join(left)} (alone, or with {' and '.join(idle)}, which alone moves nothing)", computed


def grafted(history: History, good: str, bad: str, paths: list[str]) -> str:
    """A commit on no branch: `good` with the `paths` of `bad`."""
    with trees.tree(history.root, good) as tree:
        for path in paths:
            trees.git(tree, "rm", "-rq", "--ignore-unmatch", "--", path)
            if trees.git(tree, "ls-tree", bad, "--", path):
                trees.git(tree, "checkout", "--quiet", bad, "--", path)
        return trees.snapshot(tree)


def _cost(factor: Factor) -> float:
    """How many stages would have to run to try it."""
    if factor.mixed is None:
        return float("inf")
    return len(factor.mixed.chain) - len(factor.mixed.entries) if factor.mixed.value is None else 0


def _said(kind: str, good: Point, mixed: Point, paths: set[str]) -> str:
    """What differs, in words."""
    before = {stage.name: stage for stage in good.chain}
    pairs = [(before[stage.name], stage) for stage in mixed.chain if stage.name in before]
    if kind == "code":
        return "of " + ", ".join(new.name for old, new in pairs if _code(good, old) != _code(mixed, new))
    if kind == "data":
        return ", ".join(sorted(paths))
    said = [line for old, new in pairs for line in (why.params(old.params, new.params) if kind == "params" else [])]
    said += [line for old, new in pairs for line in why.graph(old, new)]
    return "; ".join(dict.fromkeys(said))


def _code(point: Point, stage: Stage) -> list[str]:
    return [text for path in stage.deps if point.recipe and (text := point.recipe.code.get(path))]
