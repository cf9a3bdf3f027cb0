"""What came of trials: a table of accuracy and cost, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import numpy as np

from stages.core.claims import Claim
from stages.core.systems import Findings
from stages.nets.costs import Cost

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

SMOOTH = 40
"""Points that a curve of losses is averaged down to."""


@dataclass(frozen=True)
class Board:
    """How right each contestant was, what it costs, and how its loss fell."""

    accuracy: Mapping[str, Sequence[float]]  # one a seed
    costs: Mapping[str, Cost]
    history: pa.Table = field(repr=False)  # contestant, seed, step, loss

    def mean(self, name: str) -> float:
        """The accuracy of `name`, mean over seeds."""
        return fmean(self.accuracy[name])

    @property
    def order(self) -> list[str]:
        """The names, best first; equals by name."""
        return sorted(self.accuracy, key=lambda name: (-self.mean(name), name))

    def findings(self, claims: Sequence[Claim] = ()) -> Findings:
        """Metrics (mean and deviation over seeds of every accuracy), the table, its pictures, and `claims`."""
        metrics = {f"accuracy.{name}": self.mean(name) for name in self.accuracy}
        if max(map(len, self.accuracy.values())) > 1:
            metrics |= {f"accuracy_deviation.{name}": pstdev(values) for name, values in self.accuracy.items()}
        figures = {"accuracy": self._accuracies(), "losses": self._losses()}
        if len({cost.flops for cost in self.costs.values()}) > 1:
            figures["accuracy_against_flops"] = self._price()
        return Findings(metrics, list(claims), {"board": self.table()}, figures)

    def table(self) -> pa.Table:
        """A row a contestant, best first."""
        import pyarrow as pa

        rows = [
            {
                "contestant": name,
                "accuracy": self.mean(name),
                "least": min(self.accuracy[name]),
                "most": max(self.accuracy[name]),
                **asdict(self.costs[name]),
            }
            for name in self.order
        ]
        return pa.Table.from_pylist(rows)

    def _accuracies(self) -> Figure:
        """Every seed a dot, the mean a bar."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 0.9 + 0.26 * len(self.order)), layout="constrained")
        axes = figure.add_subplot()
        for place, name in enumerate(self.order):
            values = self.accuracy[name]
            axes.plot(values, [place] * len(values), "o", color="C0", markersize=4, alpha=0.5)
            axes.plot([self.mean(name)], [place], "|", color="black", markersize=12)
        axes.set_yticks(range(len(self.order)), self.order)
        axes.set_ylim(len(self.order) - 0.5, -0.5)
        axes.grid(axis="x", linewidth=0.3)
        axes.set(xlabel="accuracy of the test part; a dot a seed, a stroke the mean")
        return figure

    def _price(self) -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.add_subplot()
        for name in self.order:
            flops = max(self.costs[name].flops, 1)
            axes.plot([flops], [self.mean(name)], "o", color="C0", markersize=4)
            axes.annotate(name, (flops, self.mean(name)), (4, 3), textcoords="offset points", fontsize=7)
        axes.set(xlabel="FLOPs of one sample, forward", ylabel="accuracy", xscale="log")
        axes.margins(x=0.2)
        return figure

    def _losses(self) -> Figure:
        """The loss of each, mean over seeds and over stretches of steps."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.add_subplot()
        names, losses = self.history["contestant"].to_numpy(zero_copy_only=False), self.history["loss"].to_numpy()
        steps = self.history["step"].to_numpy()
        for place, name in enumerate(self.order):
            mine = names == name
            stretch = np.maximum(1, (steps[mine].max() + 1) // SMOOTH)
            at = steps[mine] // stretch
            mean = np.bincount(at, losses[mine]) / np.bincount(at)
            look = {"color": f"C{place % 10}", "linestyle": ("-", "--", ":", "-.")[place // 10 % 4]}
            axes.plot((np.arange(len(mean)) + 0.5) * stretch, mean, linewidth=1, label=name, **look)
        axes.set(xlabel="step", ylabel="loss, nats", yscale="log")
        axes.legend(fontsize=6, ncols=2)
        return figure
