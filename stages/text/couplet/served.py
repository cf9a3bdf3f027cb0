"""A model of couplets behind MLflow's `pyfunc`: many first lines in, second lines out.

`qujing couplet-pack` makes a folder that names this module as its loader, and `mlflow models serve -m FOLDER
--env-manager local` serves it at /invocations:

    {"dataframe_split": {"columns": ["first"], "data": [["晚风摇树树还挺"], ["科学空间"]]}, "params": {"best": 2}}

Nothing is pickled: the folder holds the model as it was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.text.couplet.robot import Robot

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "first"


class Served:
    """What `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """A row an answer: first, rank from 1 on, second, score; `params.best` answers to each line.

        `data` is a table with the column `first`, or with one column, or a list of lines.
        """
        import pandas as pd

        if isinstance(data, pd.DataFrame):
            data = data[COLUMN if COLUMN in data else data.columns[0]]
        lines = [str(line) for line in data]
        answers = self.robot.answer(lines, int((params or {}).get("best", 1)))
        rows = [
            {"first": line, "rank": rank, "second": one.second, "score": one.score}
            for line, some in zip(lines, answers, strict=True)
            for rank, one in enumerate(some, 1)
        ]
        return pd.DataFrame(rows, columns=["first", "rank", "second", "score"])


def _load_pyfunc(path: str) -> Served:
    """What MLflow calls with the folder of the model."""
    return Served(Robot.load(Path(path)))
