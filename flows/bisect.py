"""Which commit moved a metric, and by what: `python -m flows.bisect METRIC GOOD [BAD]` (or `qujing bisect`).

    python -m flows.bisect new_words.f1 v0.1 HEAD

Along first parents from GOOD to BAD, every commit whose result any machine ever made is known without running
anything: from a dvc.lock, or from the records on the DVC remote. Only what is still open between the last good and the
first bad one is computed, half-way each time, in a work tree of its own; stages that the metric does not depend on
never run. Then the factors that this commit changes are parted: code, params, graph, data, environment. Packages are
those of this Python, whatever requirements.lock of a commit says; nothing is tracked in MLflow.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows import blame, records, trees
from flows.history import History, Point
from flows.recipes import Failure

LEAST = 1e-4
"""Relative difference of two values below which the metric did not move."""


class Search:
    """Points in order of time, the first good and the last bad; `run` computes until the two meet."""

    def __init__(self, points: list[Point], compute: Callable[[Point], Point]) -> None:
        self.points, self._compute = points, compute
        self.computed: list[Point] = []
        first, last = self._end(0), self._end(-1)
        if abs(first - last) <= LEAST * max(abs(first), abs(last)):
            raise Failure(f"the metric did not move: it is {first:.6g} at the first commit and {last:.6g} at the last")
        self._ends = first, last

    def value(self, number: int) -> float | None:
        """The value of a point, computed where it must be; None where it cannot be."""
        if self.points[number].value is None and not self.points[number].failure:
            key, done = self.points[number].key, self.compute(self.points[number])
            self.points = [
                replace(point, value=done.value, failure=done.failure) if point.key == key else point
                for point in self.points
            ]
        return self.points[number].value

    def compute(self, point: Point) -> Point:
        """The point with its value, and a note of what that took."""
        self.computed.append(self._compute(point))
        return self.computed[-1]

    def moved(self, value: float) -> bool:
        """Whether a value is nearer to the bad end than to the good one."""
        good, bad = self._ends
        return abs(value - bad) < abs(value - good)

    def narrow(self) -> tuple[int, int]:
        """The last good and the first bad of what is known; points between them are open."""
        known = [
            (number, self.moved(point.value)) for number, point in enumerate(self.points) if point.value is not None
        ]
        bad = next(number for number, moved in known if moved)
        return max(number for number, moved in known if not moved and number < bad), bad

    def returns(self) -> bool:
        """Whether a good value comes after a bad one."""
        bad = self.narrow()[1]
        return any(point.value is not None and not self.moved(point.value) for point in self.points[bad:])

    def run(self) -> tuple[int, int]:
        """Compute until nothing is open between the last good and the first bad, and return both."""
        while True:
            good, bad = self.narrow()
            open_ = [number for number in range(good + 1, bad) if not self.points[number].failure]
            if not open_:
                return good, bad
            keys = list(dict.fromkeys(self.points[number].key for number in open_))
            middle = keys[(len(keys) - 1) // 2]
            self.value(next(number for number in open_ if self.points[number].key == middle))

    def _end(self, number: int) -> float:
        value = self.value(number)
        if value is None:
            raise Failure(f"{_named(self.points[number])} has no value: {self.points[number].failure}")
        return value


def bisect(metric: str, good: str, bad: str, console: Console) -> None:
    """Print the table and the sentence; raises `Failure` or `GitError` where there is none to print."""
    history = History(Path.cwd(), metric)
    commits = history.commits(good, bad)
    with console.status("") as status:

        def compute(point: Point) -> Point:
            status.update(f"computing {_named(point)}")
            return history.compute(point)

        points = []
        for point in history.points(commits):
            points.append(point)
            status.update(f"looking at {len(points)} of {len(commits)} commits")
        search = Search(points, compute)
        last_good, first_bad = search.run()
        before, after = (history.look(search.points[number]) for number in (last_good, first_bad))
        status.update(f"parting the factors of {_named(after)}")
        factor, _ = blame.judge(blame.factors(history, before, after), after, search.compute, search.moved)
    console.print(_table(points, search, history.field))
    if search.returns():
        console.print("The values change more than once: this is the first change from good to bad.")
    packages = blame.packages(history, before.commit, after.commit)
    if packages and "environment" not in factor:
        console.print(f"Packages changed as well, which is not tried here: {packages}")
    open_ = first_bad - last_good
    ran = [name for point in search.computed for name in point.ran]
    trainings = sum(name.startswith("train@") for name in ran)
    console.print(
        f"first bad: {f'one of {open_} commits up to ' * (open_ > 1)}{_named(after)}; factor: {factor}; "
        f"{history.field} {before.value:.4g} -> {after.value:.4g}; "
        f"{trainings} new training{'s' * (trainings != 1)}, {len(ran)} stages run",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def main(arguments: Sequence[str]) -> int:
    """The command line; exit code 0, 1 where nothing can be said, 130 when stopped by hand."""
    parse = argparse.ArgumentParser(prog="qujing bisect", description="Which commit moved a metric, and by what.")
    parse.add_argument("metric", help="NAME.KEY: the number KEY of metrics/NAME.json, as in new_words.f1")
    parse.add_argument("good", help="an earlier commit, where the metric was as it should be")
    parse.add_argument("bad", nargs="?", default="HEAD", help="a later commit, where it is not")
    asked = parse.parse_args(arguments)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["QUJING_TRACKING"] = "off"
    try:
        bisect(asked.metric, asked.good, asked.bad, Console())
    except (Failure, trees.GitError, records.Unreachable) as error:
        print(f"bisect: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bisect: stopped; what was computed is kept", file=sys.stderr)
        return 130
    return 0


def _table(points: Sequence[Point], search: Search, field: str) -> Table:
    """Every commit with its value and where that is from; `points` are those from before anything was computed."""
    table = Table("commit", "subject", field, "")
    computed = {point.commit for point in search.computed}
    ends = {
        search.points[number].commit: name
        for number, name in zip(search.run(), ("last good", "first bad"), strict=True)
    }
    for was, point in zip(points, search.points, strict=True):
        known = "known" if was.value is not None else "computed" if point.commit in computed else "as computed"
        how = known if point.value is not None else point.failure or "not needed"
        value = "" if point.value is None else f"{point.value:.4g}"
        name = ends.get(point.commit, "")
        table.add_row(point.commit[:7], point.subject, value, f"{how}, {name}" if name else how)
    return table


def _named(point: Point) -> str:
    return f"{point.commit[:7]} {point.subject}".strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
