"""A few machines on one: clones with homes, caches and Prefect homes of their own, a Prefect server, an S3 remote.

Nothing is shared between them but what real machines share: git, the S3 remote, the Prefect server.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import repository
import yaml

from flows import database
from flows.server import MANY_WORKERS

SETTINGS = {
    "QUJING_TRACKING": "off",
    "QUJING_SILENCE": "8",
    "QUJING_PATIENCE": "60",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "2",
    "PREFECT_WORKER_QUERY_SECONDS": "0.5",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    **MANY_WORKERS,
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "DO_NOT_TRACK": "1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}

TOY = '''"""What a stage of the toy graph does: some text from other texts, after a pause; or it fails as it is told."""

import pathlib, sys, time

name, seconds, how, out, *inputs = sys.argv[1:]
print("begin", name, flush=True)
time.sleep(float(seconds))
if how == "fail":
    sys.exit("the loss is not a number")
text = name + "".join(pathlib.Path(i).read_text() for i in inputs)
place = pathlib.Path(out)
place.parent.mkdir(exist_ok=True)
place.write_text(text if how != "large" else "x" * 30_000_000)
print("done", name, flush=True)
'''


def until(true: Callable[[], object], seconds: float = 60, what: str = "it") -> None:
    """Wait until something is true; fails where it takes too long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.1)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machines:
    """The services that machines share, and the machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api, self.s3 = free_port(), free_port()
        self.settings = SETTINGS | {
            "PREFECT_API_URL": f"http://127.0.0.1:{self.api}/api",
            "PREFECT_HOME": str(folder / "prefect"),
        }
        (folder / "prefect").mkdir(parents=True)
        self._data = Path(tempfile.mkdtemp(prefix="qujing-database-"))
        self._data.chmod(0o755)  # PostgreSQL may run as another user
        self._database = database.choose(self._data)
        if self._database.service:
            self._database.service.start()
        database.make_databases(self._database)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.deployed = False
        self.start_s3()
        self.start_server()

    # the services

    def start_s3(self) -> None:
        """An S3 server whose objects outlive its restarts."""
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)

        self._moto = ThreadedMotoServer("127.0.0.1", self.s3, verbose=False)
        self._moto.start()

    def stop_s3(self) -> None:
        """Nobody listens there any more."""
        self._moto.stop()

    def start_server(self) -> None:
        """The Prefect server; the database survives a restart."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.api)]
        where = {"PREFECT_API_DATABASE_CONNECTION_URL": self._database.prefect, **self._database.environment}
        self._spawn("server", command, self.folder, self.settings | where)
        until(self._healthy, 120, "the Prefect server")

    def stop(self, name: str, how: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of a machine or service, as a power cut does."""
        process = self.processes.pop(name)
        for pid in _family(process.pid):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
        process.wait(30)

    def close(self) -> None:
        """Stop everything."""
        for name in list(self.processes):
            self.stop(name)
        self.stop_s3()
        if self._database.service:
            self._database.service.stop()
        shutil.rmtree(self._data)

    def _healthy(self) -> bool:
        try:
            return urlopen(f"http://127.0.0.1:{self.api}/api/health", timeout=2).status == 200
        except OSError:
            return False

    # the repository

    def found(self, build: Callable[[Path], None], name: str = "origin") -> None:
        """Make `origin` from what `build` lays out in a folder, with an S3 remote of its own."""
        import boto3

        seed = self.folder / f"{name}-seed"
        seed.mkdir()
        build(seed)
        endpoint = f"http://127.0.0.1:{self.s3}"
        boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test").create_bucket(
            Bucket=name
        )
        for command in (
            ["remote", "add", "-q", "-d", "store", f"s3://{name}/store"],
            ["remote", "modify", "-q", "store", "endpointurl", endpoint],
            ["remote", "modify", "-q", "store", "connect_timeout", "3"],
            ["remote", "modify", "-q", "store", "read_timeout", "5"],
        ):
            repository.dvc(seed, *command)
        commit(seed, "The beginning")
        repository.run(self.folder, "git", "clone", "-q", "--bare", str(seed), str(self.folder / f"{name}.git"))
        self.origin = self.folder / f"{name}.git"

    def clone(self, name: str) -> Path:
        """A fresh clone of `origin`."""
        repository.run(self.folder, "git", "clone", "-q", str(self.origin), str(self.folder / name))
        return self.folder / name

    def deploy(self, root: Path) -> None:
        """Make the pools and deployments of prefect.yaml, unless they are there."""
        if self.deployed:
            return
        self.deployed = True
        for pool in ("cpu", "gpu", "head"):
            repository.run(
                root, sys.executable, "-m", "prefect", "work-pool", "create", pool, "--type", "process", **self.settings
            )
        repository.run(root, sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", **self.settings)

    # the machines

    def worker(self, name: str, *arguments: str, root: Path | None = None, **more: str) -> Path:
        """A machine with a worker: its own clone, home and cache."""
        root = root or self.clone(name)
        home = self.folder / f"home-{name}"
        home.mkdir(exist_ok=True)
        settings = self.settings | {"HOME": str(home), "PREFECT_HOME": str(home / "prefect")} | more
        (home / "prefect").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "flows.worker", "--name", name, *arguments]
        self._spawn(name, command, root, settings, root)
        until(lambda: "started!" in self.log(name), 60, f"worker {name}")
        return root

    def log(self, name: str) -> str:
        """What a machine or service printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def pipeline(self, root: Path, **more: str) -> str:
        """Run the flow from a clone to its end; returns what it printed."""
        return self.wait(self.start_pipeline(root, **more), root)

    def start_pipeline(self, root: Path, **more: str) -> subprocess.Popen[bytes]:
        """Start the flow."""
        return self._spawn(
            f"pipeline-{root.name}", [sys.executable, "-m", "flows.pipeline"], root, self.settings | more, root
        )

    def wait(self, process: subprocess.Popen[bytes], root: Path, seconds: float = 240) -> str:
        """Wait for the end of a flow; returns what it printed, its exit code last."""
        code = process.wait(seconds)
        self.processes.pop(f"pipeline-{root.name}", None)
        return f"{self.log(f'pipeline-{root.name}')}\nexit {code}"

    def unfinished(self) -> list[str]:
        """Flow runs that the server takes to be under way."""
        from prefect.client.schemas.filters import FlowRunFilter

        states = {"type": {"any_": ["PENDING", "RUNNING", "SCHEDULED", "CANCELLING"]}}
        with self.client() as client:
            return [
                r.name for r in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"state": states}))
            ]

    def runs(self) -> list[tuple[str, str]]:
        """All runs of the flow `stage`, as (stage, state)."""
        with self.client() as client:
            return sorted((r.name, r.state.name) for r in client.read_flow_runs() if r.work_queue_name)

    def client(self):
        """A client of the Prefect server."""
        from prefect.client.orchestration import SyncPrefectClient

        return SyncPrefectClient(self.settings["PREFECT_API_URL"])

    def objects(self) -> dict[str, bytes]:
        """What lies on the S3 remote, by name."""
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.s3}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        listed = client.list_objects_v2(Bucket=self.origin.stem).get("Contents", [])
        bucket = self.origin.stem
        return {t["Key"]: client.get_object(Bucket=bucket, Key=t["Key"])["Body"].read() for t in listed}

    def _spawn(
        self, name: str, command: list[str], folder: Path, more: dict[str, str], path: Path = repository.ROOT
    ) -> subprocess.Popen[bytes]:
        environment = repository.environment(path) | more
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.processes[name] = process
        return process


def commit(root: Path, message: str) -> str:
    """Commit everything; returns the commit."""
    repository.run(root, "git", "add", "-A")
    repository.run(root, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", message)
    return repository.run(root, "git", "rev-parse", "HEAD").strip()


def real(folder: Path) -> None:
    """The small repository with two systems, one of them for the queue `gpu`."""
    repository.build(folder)
    shutil.copy(repository.ROOT / "prefect.yaml", folder / "prefect.yaml")
    shutil.copy(repository.ROOT / "requirements.lock", folder / "requirements.lock")
    values = yaml.safe_load((folder / "params.yaml").read_text())
    row = values["systems"]["new_words"]
    values["systems"]["words_on_gpu"] = {**row, "queue": "gpu", "gpu_gib": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False))


def toy(stages: dict[str, dict], folder: Path) -> None:
    """A graph of small stages: name -> {needs, seconds, how, queue, gpu_gib, inputs}."""
    shutil.copytree(repository.ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prefect.yaml", ".gitignore", "requirements.lock"):
        shutil.copy(repository.ROOT / name, folder / name)
    (folder / "toy.py").write_text(TOY)
    found = {}
    for name, given in stages.items():
        inputs = [f"made/{need}" for need in given.get("needs", [])]
        words = [name, str(given.get("seconds", 0)), given.get("how", "well"), f"made/{name}", *inputs]
        found[name] = {
            "cmd": "python toy.py " + " ".join(words),
            "deps": ["toy.py", *inputs],
            "outs": [f"made/{name}"],
            "meta": {"queue": given.get("queue", "cpu"), "cores": 1, "gpus": 1, "gpu_gib": given.get("gpu_gib", 0)},
        }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": found}, sort_keys=False))
    (folder / ".gitignore").write_text((folder / ".gitignore").read_text() + "\n/made\n")
    repository.run(folder, "git", "init", "-q")
    repository.dvc(folder, "init", "-q")


def _family(pid: int) -> list[int]:
    """A process and all that came from it, also what left its session."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo.extend(children.get(one, []))
    return found
