"""The command `qujing`: the systems for people with data of their own and no wish to edit a graph.

Every verb calls the functions that the stages call, with the settings of params.yaml where there is one here.
"""

from stages.cli import couplets, graph, numbers, pages, shreds, texts  # noqa: F401  (each adds its commands)
from stages.cli.app import app

__all__ = ["app"]
