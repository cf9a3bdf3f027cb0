"""A data set less some classes in its training part; the test part keeps them, as strangers to what is trained.

Setting: Kumar et al. 2019 (https://arxiv.org/abs/1901.08508), section 4.3: one digit left out, and told by an energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.images.dataset import load, save


@dataclass(frozen=True)
class Without:
    """Params of the data set."""

    classes: tuple[str, ...]  # names of those to leave out of the training images


def without(source: Path | None, params: Without, out: Path) -> Findings:
    """Write the data set `source` to `out`, its training images without `params.classes`; labels stay as they are.

    Raises `Refusal` for a name of no class, and where nothing is left.
    """
    if source is None:
        raise Refusal("params.yaml: a data set without some classes needs an `input`, the one that has them")
    data = load(source)
    if unknown := set(params.classes) - set(data.names):
        raise Refusal(f"params.yaml: {source} has no class {sorted(unknown)}; it has: {', '.join(data.names)}")
    kept = ~np.isin(data.train.labels, [data.names.index(name) for name in params.classes])
    if not kept.any():
        raise Refusal(f"params.yaml: without the classes {list(params.classes)} nothing is left of {source}")
    return save(data.train.at(np.flatnonzero(kept)), data.test, data.names, f"{source}, some classes left out", out)
