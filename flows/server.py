"""The servers that machines share: `python -m flows.server`, or `make server`.

Starts Prefect and MLflow over one database (see flows/database.py), makes what the graph needs of them, prints what
to export, and keeps both running until Ctrl-C. On 127.0.0.1 only, unless told otherwise: neither asks who you are, so
other addresses belong into a network that you trust.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn
from urllib.error import URLError
from urllib.request import urlopen

from flows import database, services
from flows.database import NoDatabase, Place
from flows.services import Died, Service

HYGIENE = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # runs of language models on the server, which nobody here asks for
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}

EVERYWHERE = ("0.0.0.0", "")

MANY_WORKERS = {
    # 5 + 10 connections make the requests of some dozen workers wait for each other
    "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "20",
    "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW": "30",
    # a statement that is cut off after 10 s on a busy disk loses the state of a task
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    # clients forget an idle connection after 5 s: the server must not be the one to close it just as it is used again
    "PREFECT_SERVER_API_KEEPALIVE_TIMEOUT": "60",
    # leases of GPU memory must outlive a restart of the server, or what they held is never given back
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # who waits for GPU memory asks again after this many seconds at the latest
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    # workers here say every 10 s that they live: a dead one is known as offline after 30 to 35 s
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "5",
}


def main(arguments: Sequence[str]) -> int:
    """Start all and stay; exit code 0 when stopped, 1 with one sentence."""
    parse = argparse.ArgumentParser(prog="python -m flows.server", description=__doc__)
    parse.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parse.add_argument("--prefect-port", type=int, default=4200)
    parse.add_argument("--mlflow-port", type=int, default=5000)
    parse.add_argument("--data", type=Path, default=Path(".server"), help="folder of databases, artifacts and logs")
    parse.add_argument("--sqlite", action="store_true", help="use SQLite though PostgreSQL is here")
    asked = parse.parse_args(arguments)
    asked.data.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _stop_now)
    signal.signal(signal.SIGHUP, _stop_now)
    running: list[Service] = []
    try:
        with (asked.data / "server.lock").open("w") as lock:
            _alone(lock.fileno(), asked.data)
            for option, port in (("--prefect-port", asked.prefect_port), ("--mlflow-port", asked.mlflow_port)):
                _free(asked.host, port, option)
            serve(asked, database.choose(asked.data.resolve(), asked.sqlite), running)
    except (NoDatabase, Died) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopping", flush=True)
        return 0
    finally:
        services.stop(running)


def serve(asked: argparse.Namespace, place: Place, running: list[Service]) -> NoReturn:
    """Start each service, say that all is ready, and keep them; `running` is told what is to be stopped."""
    if place.service:
        running.append(place.service)
        place.service.start()
    database.make_databases(place)
    names = reachable_as(asked.host)
    for make, port in ((prefect, asked.prefect_port), (mlflow, asked.mlflow_port)):
        running.append(make(asked.host, port, asked.data.resolve(), place, names))
        running[-1].launch()
    for service in running:
        service.wait()
    api, tracking = f"http://{names[0]}:{asked.prefect_port}/api", f"http://{names[0]}:{asked.mlflow_port}"
    subprocess.run([sys.executable, "-m", "flows.provision"], env={**os.environ, "PREFECT_API_URL": api}, check=False)
    print(f"Prefect: {api.removesuffix('/api')}    MLflow: {tracking}    over {place.kind}; Ctrl-C stops them")
    print(f"export PREFECT_API_URL={api}\nexport MLFLOW_TRACKING_URI={tracking}", flush=True)
    services.supervise(running)
    raise AssertionError("supervise does not return")


def prefect(host: str, port: int, folder: Path, place: Place, names: list[str]) -> Service:
    """Prefect's server with its page and its background services."""
    environment = _environment(place) | MANY_WORKERS
    environment |= {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_DATABASE_CONNECTION_URL": place.prefect,
        "PREFECT_SERVER_UI_API_URL": f"http://{names[0]}:{port}/api",
        # any page of the web could otherwise start runs on the machine of who looks at it
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{name}:{port}" for name in names),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    answers = _answering(host, port, "/api/health")
    return Service("Prefect", command, environment, folder / "prefect.log", answers)


def mlflow(host: str, port: int, folder: Path, place: Place, names: list[str]) -> Service:
    """MLflow's server, its schema made or brought up to date; artifacts go through it into `folder`/artifacts."""
    environment = _environment(place) | {"MLFLOW_BACKEND_STORE_URI": place.mlflow}
    # who comes under another name or from another page is turned away, see mlflow server --help
    hosts = [pattern for name in names for pattern in (name, f"{name}:*")]
    environment.setdefault("MLFLOW_SERVER_ALLOWED_HOSTS", ",".join(hosts))
    environment.setdefault("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", ",".join(f"http://{name}:{port}" for name in names))
    log = folder / "mlflow.log"
    with log.open("ab") as output:
        upgrade = [sys.executable, "-m", "mlflow", "db", "upgrade", place.mlflow]
        done = subprocess.run(upgrade, env=environment, stdout=output, stderr=output, check=False)
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--workers", str(min(4, os.cpu_count() or 1)), "--artifacts-destination", str(folder / "artifacts")]
    service = Service("MLflow", command, environment, log, _answering(host, port, "/health"))
    if done.returncode:
        raise Died(f"MLflow's database could not be brought up to date: {service.last_lines()}")
    return service


def reachable_as(host: str) -> list[str]:
    """The names and addresses under which clients may come, the one to tell people first."""
    own = ["127.0.0.1", "localhost"]
    if host in own:
        return own
    named = socket.gethostname()
    try:
        addresses = socket.gethostbyname_ex(named)[2]
    except OSError:
        addresses = []
    return list(dict.fromkeys([named if host in EVERYWHERE else host, named, socket.getfqdn(), *addresses, *own]))


def _environment(place: Place) -> dict[str, str]:
    """This process' environment without what would send the servers to other servers."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")}
    return {**kept, **HYGIENE, **place.environment}


def _answering(host: str, port: int, path: str) -> Callable[[], bool]:
    here = "127.0.0.1" if host in EVERYWHERE else host

    def answers() -> bool:
        try:
            with urlopen(f"http://{here}:{port}{path}", timeout=2) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

    return answers


def _free(host: str, port: int, option: str) -> None:
    with closing(socket.socket()) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
        except OSError as error:
            raise Died(
                f"{host}:{port} cannot be had ({error.strerror}): stop what uses it, or give {option}"
            ) from error


def _alone(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Died(f"another server runs on {folder}: stop it, or give this one another folder with --data") from error


def _stop_now(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
