"""What stages import, imported: whoever forks stages from a process that has done so spares them the seconds it takes.

The machine is prepared first, for the threads that params.yaml gives to a stage; where that cannot be read, nothing is
imported, and the stage itself says why.
"""

from __future__ import annotations

import io

from stages.core import machine, params, tracking
from stages.core.errors import Refusal


def load() -> None:
    """Import the libraries of all families and these, in the environment that a stage makes for itself."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure
    import pyarrow.compute
    import pyarrow.dataset
    import pyarrow.parquet
    import safetensors.torch
    import scipy.optimize
    import scipy.stats
    import sklearn.linear_model
    import sklearn.neighbors
    import torch.distributed
    import torch.nn.utils.parametrizations
    import torch.optim
    import yaml

    import stages.classic
    import stages.corpora
    import stages.energy
    import stages.gan
    import stages.nets
    import stages.run
    import stages.text
    import stages.vae
    import stages.words

    matplotlib.figure.Figure(layout="constrained").add_subplot().figure.savefig(io.BytesIO())  # finds the fonts
    tracking.load()


try:
    machine.prepare(params.load()["run"]["threads"])
except (Refusal, KeyError, TypeError):
    pass
else:
    load()
