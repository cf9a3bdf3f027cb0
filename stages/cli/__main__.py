"""`python -m stages.cli`, for where the command is not installed."""

from stages.cli import app

app()
