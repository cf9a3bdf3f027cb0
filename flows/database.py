"""Where Prefect and MLflow keep what they know: PostgreSQL that stands somewhere, one of our own, or SQLite.

Addresses carry no password: it goes to the servers in PGPASSWORD, which both drivers read, and so appears in no list of
processes and in no log.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flows.services import Service

DATABASES = ("prefect", "mlflow")


class NoDatabase(Exception):
    """The database cannot be had; the sentence says why and what mends it."""


@dataclass(frozen=True)
class Place:
    """What the two servers are told, and the service to start first where the database is our own."""

    kind: str
    prefect: str
    mlflow: str
    environment: dict[str, str]
    service: Service | None = None


def choose(folder: Path, sqlite: bool = False) -> Place:
    """QUJING_DATABASE if set, else a private PostgreSQL under `folder` where its programs are found, else SQLite."""
    if address := os.environ.get("QUJING_DATABASE"):
        return given(address)
    programs = None if sqlite else find_programs(folder / "postgres")
    if programs:
        return private(folder, programs)
    files = {name: folder / f"{name}.db" for name in DATABASES}
    return Place("SQLite", f"sqlite+aiosqlite:///{files['prefect']}", f"sqlite:///{files['mlflow']}", {})


def given(address: str) -> Place:
    """The server at `address` (postgresql://USER:PASSWORD@HOST:PORT); raises `NoDatabase` for other addresses."""
    parts = urlsplit(address)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname:
        raise NoDatabase("QUJING_DATABASE must be an address like postgresql://USER:PASSWORD@HOST:5432")
    environment = {"PGPASSWORD": unquote(parts.password)} if parts.password else {}
    where = f"{parts.username or 'postgres'}@{parts.hostname}:{parts.port or 5432}"
    return _postgres(f"PostgreSQL at {parts.hostname}", where, environment, None)


def private(folder: Path, programs: Path) -> Place:
    """A cluster in `folder`/postgres, made if missing, which listens on loopback and asks for a password."""
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    home, secret, log = folder / "postgres", folder / "postgres.password", folder / "postgres.log"
    home.mkdir(mode=0o700, exist_ok=True)
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
    if user:
        _lend(user, home, secret)
    if not (home / "PG_VERSION").exists():
        command = [str(programs / "initdb"), "-D", str(home), "-U", "qujing", "-E", "UTF8", "--no-locale"]
        command += ["--auth=scram-sha-256", f"--pwfile={secret}"]
        made = subprocess.run(
            command,
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=user,
            extra_groups=() if user else None,
        )
        if made.returncode:
            raise NoDatabase(f"PostgreSQL could not be set up in {home}: {made.stderr.strip()}; --sqlite goes without")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",  # Prefect may hold 50, each process of MLflow 15
    }
    command = [str(programs / "postgres"), "-D", str(home), "-p", str(port)]
    command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    environment = {"PGPASSWORD": secret.read_text()}
    place = f"qujing@127.0.0.1:{port}"

    def answers() -> bool:
        return _connect(place, environment) is None

    # SIGINT is PostgreSQL's fast shutdown: it ends sessions, and nothing that was committed is lost.
    service = Service("PostgreSQL", command, dict(os.environ), log, answers, signal.SIGINT, user)
    return _postgres(f"PostgreSQL in {home}", place, environment, service)


def make_databases(place: Place) -> None:
    """Make the two databases where they are missing; raises `NoDatabase` where the server does not let us."""
    if place.prefect.startswith("postgresql"):
        where = place.mlflow.removeprefix("postgresql+psycopg2://").rpartition("/")[0]
        if said := _connect(where, place.environment, make=True):
            raise NoDatabase(f"PostgreSQL at {where} cannot be used: {said}; mend QUJING_DATABASE, or use --sqlite")


def find_programs(home: Path) -> Path | None:
    """The folder of PostgreSQL's programs: of the version that made the cluster `home`, or the newest; None without."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if (home / "PG_VERSION").exists():
        version = (home / "PG_VERSION").read_text().strip()
        found = [path for path in found if path.parts[-3] == version] or found
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def _postgres(kind: str, where: str, environment: dict[str, str], service: Service | None) -> Place:
    return Place(
        kind, f"postgresql+asyncpg://{where}/prefect", f"postgresql+psycopg2://{where}/mlflow", environment, service
    )


def _connect(where: str, environment: dict[str, str], make: bool = False) -> str | None:
    """Connect to the server at USER@HOST:PORT, and perhaps make the databases; None, or why not."""
    import psycopg2

    try:
        password = environment.get("PGPASSWORD")
        with closing(psycopg2.connect(f"postgresql://{where}/postgres", password=password, connect_timeout=5)) as line:
            line.autocommit = True
            with line.cursor() as cursor:
                cursor.execute("SELECT datname FROM pg_database")
                there = {name for (name,) in cursor.fetchall()}
                for name in DATABASES if make else ():
                    if name not in there:
                        cursor.execute(f"CREATE DATABASE {name}")
    except psycopg2.Error as error:
        return " ".join(str(error).split())
    return None


def _lend(user: str, home: Path, secret: Path) -> None:
    """Give the cluster to the account that PostgreSQL runs under; raises `NoDatabase` where it cannot reach it."""
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        raise NoDatabase(f"PostgreSQL does not run as root, and there is no user {user}: use --sqlite") from error
    for path in (home, secret):
        os.chown(path, account.pw_uid, account.pw_gid)
    test = subprocess.run(["test", "-w", str(home)], check=False, user=user, group=user, extra_groups=())
    if test.returncode:
        raise NoDatabase(
            f"PostgreSQL does not run as root, and the user {user} may not enter {home.parent}: "
            "choose a folder it may enter with --data, or use --sqlite"
        )
