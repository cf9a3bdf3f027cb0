"""Prefect's engine for one stage: `python -m flows.engine`, what workers run (see prefect.yaml).

It sends no heartbeats: waiting for the thread that sends them would make each stage end up to a second later, and
whether the worker is alive is watched by flows/fleet.py.
"""

from __future__ import annotations

import runpy

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

if __name__ == "__main__":
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        runpy.run_module("prefect.engine", run_name="__main__")
