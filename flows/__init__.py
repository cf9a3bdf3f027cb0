"""When and where the graph runs: its stages as Prefect tasks. Nothing here knows what a stage computes."""

import os

for _name, _value in {
    "DVC_NO_ANALYTICS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "INFO",  # for the pages; a person's terminal has `saying`
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds; the server ends runs that fall silent, see flows/provision.py
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # its database is made at the first run
}.items():
    os.environ.setdefault(_name, _value)
