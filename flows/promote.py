"""Which model people should use: the flow `promote`, by the rules in the section `promotion` of params.yaml."""

from __future__ import annotations

import subprocess
import sys

from prefect import flow
from prefect.states import Completed, Failed, State

from flows import branches, graph


@flow(name="promote", persist_result=False)
def promote(branch: str = "main") -> State:
    """Give the alias `champion` in MLflow's registry to the best models of the branch, or say why not."""
    with branches.tip(branch) as root:
        made = [out for stage in graph.stages(root) for out in stage.outs if out.split("/")[0] in KINDS]
        pulled = graph.dvc(root, "pull", "--allow-missing", *made)
        if pulled.returncode:
            return Failed(message=f"dvc pull: {graph.reason(pulled.stdout + pulled.stderr)}")
        command = [sys.executable, "-m", "stages.promote"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        return (Failed if done.returncode else Completed)(message=(done.stdout + done.stderr).strip())


KINDS = ("data", "metrics", "models")
"""The outputs that decide: what is compared, what it was measured on, and the models themselves, by their md5."""
