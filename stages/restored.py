"""Give every model that stands but that MLflow never saw being made a light run: `python -m stages.restored`.

DVC restores outputs from its cache without running anything, so a fresh tracking database would show holes.
"""

from __future__ import annotations

from pathlib import Path

from stages.core import files, params, tracking
from stages.core.progress import say


def main() -> None:
    """One light run, tagged `restored_from`, for each evaluated model without a run of its own."""
    if tracking.off() or not tracking.answers():
        return
    for key, row in params.load()["systems"].items():
        model, metrics = Path("models") / key, Path("metrics") / f"{key}.json"
        if model.exists() and metrics.exists():
            made = files.digest(model)
            if tracking.restored(row["family"], key, made, files.read_json(metrics)):
                say(f"train@{key}: MLflow had no run that made {made}, and has a light one now")


if __name__ == "__main__":
    main()
