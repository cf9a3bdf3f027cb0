"""What is installed, reachable and configured here, and the mend for what is not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

Finding = tuple[bool, str, str]
"""(fine, what was found, the mend)."""


def examine() -> dict[str, Finding]:
    """Every check by name, in the order in which a person would make them."""
    return {name: check() for name, check in CHECKS.items()}


def _python() -> Finding:
    fine = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return fine, sys.version.split()[0], "use Python 3.11 to 3.13: make PYTHON=python3.12 repro"


def _packages() -> Finding:
    missing = []
    for name in ("dvc", "prefect", "mlflow", "torch", "pyarrow", "scrapy", "trafilatura"):
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    return not missing, "missing: " + ", ".join(missing) if missing else "all there", "pip install -r requirements.lock"


def _gpu() -> Finding:
    import torch

    count = torch.cuda.device_count()
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    return True, names or "none: everything runs on the CPU", ""


def _repository() -> Finding:
    fine = all(Path(name).exists() for name in ("params.yaml", "dvc.yaml", ".dvc"))
    return fine, "here" if fine else f"not in {Path.cwd()}", "go to the root of the repository"


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return free > 5, f"{free:.0f} GiB free", "free some space: the default graph needs 1 GiB, real corpora far more"


def _mirror() -> Finding:
    folder = os.environ.get("QUJING_MIRROR", "")
    if not folder:
        return True, "not set: downloads ask the network", ""
    return Path(folder).is_dir(), folder, "QUJING_MIRROR must name a folder that exists"


def _mlflow() -> Finding:
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if os.environ.get("QUJING_TRACKING", "").lower() == "off":
        return True, "tracking is off (QUJING_TRACKING)", ""
    if not address.startswith("http"):
        return True, address or "mlflow.db in this folder", ""
    return _answers(f"{address.rstrip('/')}/health"), address, "start it (make server), or unset MLFLOW_TRACKING_URI"


def _prefect() -> Finding:
    address = os.environ.get("PREFECT_API_URL", "")
    if not address:
        return True, "no server configured: flows run on this machine", ""
    return _answers(f"{address.rstrip('/')}/health"), address, "start it (make server), or unset PREFECT_API_URL"


def _database() -> Finding:
    if os.environ.get("QUJING_DATABASE"):
        return True, "make server uses the PostgreSQL of QUJING_DATABASE", ""
    found = shutil.which("initdb") or next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None)
    return True, f"make server uses {f'PostgreSQL in {Path(found).parent}' if found else 'SQLite'}", ""


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=3) as answer:
            return answer.status == 200
    except (URLError, OSError, ValueError):
        return False


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "packages": _packages,
    "repository": _repository,
    "disk": _disk,
    "gpu": _gpu,
    "mirror": _mirror,
    "mlflow": _mlflow,
    "prefect": _prefect,
    "database": _database,
}
