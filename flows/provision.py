"""What a Prefect server needs to run the graph: pools, deployments, and an end for runs whose process is gone.

`python -m flows.provision` makes what is missing on the server of PREFECT_API_URL; it may be run at any time.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture, ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

POOLS = {
    "cpu": "stages that compute on processors",
    "gpu": "stages that compute on graphics processors",
    "head": "flows that only dispatch others",
}

SILENT = "a flow run that fell silent has crashed"
"""The name of the automation."""


async def provision(within: float = 180.0) -> None:
    """Make pools and the automation, or bring them up to date; `within` seconds a run may be silent."""
    async with get_client() as client:
        for name, description in POOLS.items():
            template = ProcessWorker.get_default_base_job_template()
            pool = WorkPoolCreate(name=name, type="process", description=description, base_job_template=template)
            try:
                await client.create_work_pool(pool)
            except ObjectAlreadyExists:
                continue
        await watch(client, within)


async def watch(client: PrefectClient, within: float) -> None:
    """One automation: after each heartbeat of a flow run the next one, or its end, comes in time, or it has crashed.

    Runs send heartbeats where PREFECT_FLOWS_HEARTBEAT_FREQUENCY is set (seconds, 30 at least). A process that was
    killed, or whose machine is gone, sends none, and its run would stay `Running` for ever.
    """
    ends = {"Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "TimedOut", "Paused", "Suspended"}
    wanted = AutomationCore(
        name=SILENT,
        description="A process that was killed, or whose machine is gone, cannot say so itself.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in ends)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=within),
        ),
        actions=[_crash(f"No heartbeat for {within:g} s.")],
    )
    known = await client.read_automations_by_name(SILENT)
    if not known:
        await client.create_automation(wanted)
    elif (known[0].trigger, known[0].actions) != (wanted.trigger, wanted.actions):
        await client.update_automation(known[0].id, wanted)


def _crash(message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(name="Crashed", state=StateType.CRASHED, message=message, force=False)


def deploy(root: Path = Path(".")) -> str:
    """Deploy all that `root`/prefect.yaml names; returns "" or why it failed."""
    if not (root / "prefect.yaml").exists():
        return ""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return f"prefect.yaml could not be deployed: {(done.stderr or done.stdout).strip()}" if done.returncode else ""


def main() -> int:
    """Make all; exit code 0, or 1 where the deployments failed."""
    asyncio.run(provision())
    if said := deploy():
        print(said, file=sys.stderr)
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())
