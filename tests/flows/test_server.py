"""`python -m flows.server`: both servers over one database, kept alive, and nothing lost when many write at once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from urllib.request import Request, urlopen

import pytest
from repository import environment
from test_servers import free_port

from flows import database, services
from flows.services import Died, Service

ROOT = Path(__file__).parents[2]
WRITERS, RUNS, STEPS, TASKS = 8, 2, 1500, 12

WRITER = f"""
import sys
from prefect import flow, get_run_logger, task
from stages.core import tracking
from stages.core.systems import Findings

name = sys.argv[1]

@task
def step(number):
    get_run_logger().info("line %d of %s", number, name)
    return number

@flow
def writing():
    get_run_logger().info("begin %s", name)
    assert [future.result() for future in step.map(range({TASKS}))] == list(range({TASKS}))

history = {{"loss": [float(i) for i in range({STEPS})], "rate": [i / 2 for i in range({STEPS})]}}
for number in range({RUNS}):
    made = f"{{name}}-{{number}}"
    found = Findings(metrics={{"f1": number / 10}}, facts={{"seconds": 1.0}}, history=history)
    assert tracking.record(f"train@{{name}}", "many", {{"order": number}}, {{}}, made, found, []).startswith("http")
    found = Findings(facts={{"seconds": 2.0}})
    tracking.record(f"evaluate@{{name}}", "many", {{"top": 5}}, {{}}, made, found, [], made)
writing()
"""


@pytest.fixture(scope="module")
def place():
    """A folder that the account of PostgreSQL may enter, which those of pytest are not, with a flow to deploy."""
    folder = Path(tempfile.mkdtemp(prefix="server-"))
    folder.chmod(0o711)
    (folder / "hello.py").write_text("from prefect import flow\n\n\n@flow\ndef hello():\n    pass\n")
    deployment = "{name: hello, entrypoint: 'hello.py:hello', work_pool: {name: head}}"
    (folder / "prefect.yaml").write_text(f"pull: []\ndeployments:\n  - {deployment}\n")
    yield folder
    shutil.rmtree(folder)


@contextmanager
def served(place, *options):
    """The servers over what `place` holds; yields (process, API of Prefect, address of MLflow) and stops them."""
    ports = free_port(), free_port()
    command = [sys.executable, "-m", "flows.server", "--data", "data", *options]
    command += ["--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    out = place / "printed"
    with out.open("w") as printed:
        process = subprocess.Popen(
            command, cwd=place, env=environment(ROOT), stdout=printed, stderr=printed, start_new_session=True
        )
    try:
        while "export MLFLOW_TRACKING_URI" not in out.read_text():
            assert process.poll() is None, out.read_text()
            time.sleep(0.2)
        yield process, f"http://127.0.0.1:{ports[0]}/api", f"http://127.0.0.1:{ports[1]}"
    finally:
        left = family(process.pid) if process.poll() is None else []
        process.terminate()
        code = process.wait(timeout=40)
    assert code == 0, out.read_text()
    assert [pid for pid in left if alive(pid)] == []
    assert len(left) > 3


def family(pid):
    """A process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(inner for child in children for inner in family(int(child)))]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def asked(address, body=None):
    """What a server answers: to GET, or to POST of `body`."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(address, data, {"Content-Type": "application/json"}), timeout=30) as answer:
        return json.load(answer)


def counted(api, kind):
    return asked(f"{api}/{kind}/count", {})


def log_lines(api):
    lines, offset = [], 0
    while page := asked(f"{api}/logs/filter", {"limit": 200, "offset": offset}):
        lines += [entry["message"] for entry in page]
        offset += len(page)
    return lines


def postgres_programs():
    return database.find_programs(Path("none"))


@pytest.mark.slow
@pytest.mark.skipif(not postgres_programs(), reason="PostgreSQL is not installed")
def test_eight_writers_lose_nothing_and_a_second_start_has_it_all(place):
    expected = {f"line {i} of w{n}" for n in range(WRITERS) for i in range(TASKS)}
    expected |= {f"begin w{n}" for n in range(WRITERS)}
    with served(place) as (process, api, tracking):
        assert "over PostgreSQL in " in (place / "printed").read_text()
        given = environment(ROOT, PREFECT_API_URL=api, MLFLOW_TRACKING_URI=tracking, PREFECT_LOGGING_LEVEL="INFO")
        (place / "writer.py").write_text(WRITER)
        writers = [
            subprocess.Popen([sys.executable, "writer.py", f"w{n}"], cwd=place, env=given) for n in range(WRITERS)
        ]
        assert [writer.wait(timeout=300) for writer in writers] == [0] * WRITERS
        everything_is_there(api, tracking, expected)
        pools = {pool["name"]: pool["type"] for pool in asked(f"{api}/work_pools/filter", {})}
        assert pools == {"cpu": "process", "gpu": "process", "head": "process"}
        (automation,) = asked(f"{api}/automations/filter", {})
        assert (automation["trigger"]["posture"], automation["trigger"]["within"]) == ("Proactive", 180)
        (deployment,) = asked(f"{api}/deployments/filter", {})
        assert (deployment["name"], deployment["work_pool_name"]) == ("hello", "head")
        a_killed_server_comes_back(process, api, place)
        promotion_works_over_the_server(place, tracking)
    with served(place) as (_, api, tracking):
        everything_is_there(api, tracking, expected)
        assert counted(api, "deployments") == 1
        (again,) = asked(f"{api}/automations/filter", {})
        assert again["updated"] == automation["updated"]


def everything_is_there(api, tracking, lines):
    """Every metric point, every run of a flow and a task, and every line of their logs."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking)
    (home,) = [e.experiment_id for e in client.search_experiments() if e.name == "many"]
    runs = client.search_runs([home])
    assert len(runs) == WRITERS * RUNS
    points = 0
    for run in runs:
        for key, scale in {"loss": 1, "rate": 0.5}.items():
            values = [point.value for point in client.get_metric_history(run.info.run_id, key)]
            assert sorted(values) == [i * scale for i in range(STEPS)]
            points += len(values)
        assert (run.data.metrics["train/seconds"], run.data.metrics["evaluate/seconds"]) == (1.0, 2.0)
    assert points == WRITERS * RUNS * STEPS * 2
    end = time.monotonic() + 30
    while counted(api, "task_runs") < WRITERS * TASKS and time.monotonic() < end:
        time.sleep(0.5)
    assert (counted(api, "flow_runs"), counted(api, "task_runs")) == (WRITERS, WRITERS * TASKS)
    for kind in ("flow_runs", "task_runs"):
        states = {run["state_type"] for run in asked(f"{api}/{kind}/filter", {"limit": 200})}
        assert states == {"COMPLETED"}, kind
    assert lines <= set(log_lines(api))


def a_killed_server_comes_back(process, api, place):
    (server,) = [p for p in family(process.pid) if b"prefect\0server" in Path(f"/proc/{p}/cmdline").read_bytes()]
    os.kill(server, signal.SIGKILL)
    end = time.monotonic() + 60
    while "Prefect died after" not in (place / "printed").read_text() or not answering(f"{api}/health"):
        assert time.monotonic() < end
        time.sleep(0.2)


def answering(address):
    try:
        return asked(address)
    except OSError:
        return False


def promotion_works_over_the_server(place, tracking):
    """A version is made and found again where artifacts go through the server."""
    code = """
import sys
sys.path.insert(0, "TESTS")
import test_promote as made
from stages import promote
made.make(("a", 0.6, 0.6), ("b", 0.7, 0.6))
assert promote.main([]) == promote.main([]) == 0
assert made.champion() == "b"
"""
    folder = place / "promoting"
    folder.mkdir()
    given = environment(ROOT, MLFLOW_TRACKING_URI=tracking)
    code = code.replace("TESTS", str(ROOT / "tests"))
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "words: b with f1 0.7000 is the first champion",
        "words: b with f1 0.7000 stays champion",
    ]


@pytest.mark.skipif(not postgres_programs(), reason="PostgreSQL is not installed")
def test_a_given_postgresql_gets_its_two_databases_once(place, monkeypatch):
    import psycopg2

    (place / "given").mkdir()
    own = database.private(place / "given", postgres_programs())
    try:
        own.service.start()
        where, password = own.mlflow.rpartition("@")[2].rpartition("/")[0], own.environment["PGPASSWORD"]
        given = database.given(f"postgresql://qujing:{password}@{where}")
        database.make_databases(given)
        database.make_databases(given)
        for name in ("prefect", "mlflow"):
            psycopg2.connect(f"postgresql://qujing@{where}/{name}", password=password).close()
        with pytest.raises(database.NoDatabase, match=r"password authentication failed.*mend QUJING_DATABASE"):
            database.make_databases(database.given(f"postgresql://qujing:wrong@{where}"))
    finally:
        own.service.stop()


@pytest.mark.slow
def test_sqlite_serves_where_there_is_no_postgresql(place):
    with served(place, "--sqlite") as (_, api, _):
        assert "over SQLite" in (place / "printed").read_text()
        assert asked(f"{api}/health") is True
        assert counted(api, "work_pools") == 3


def test_a_port_in_use_is_one_sentence_with_the_mend(tmp_path):
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option, other in (("--prefect-port", "--mlflow-port"), ("--mlflow-port", "--prefect-port")):
            command = [sys.executable, "-m", "flows.server", "--sqlite", "--data", str(tmp_path / "data")]
            command += [option, str(port), other, str(free_port())]
            done = subprocess.run(command, env=environment(ROOT), capture_output=True, text=True, timeout=30)
            assert done.returncode == 1
            assert done.stderr == (
                f"127.0.0.1:{port} cannot be had (Address already in use): stop what uses it, or give {option}\n"
            )


def test_two_servers_do_not_share_a_folder(tmp_path):
    from flows import server

    with (tmp_path / "one").open("w") as one, (tmp_path / "one").open("w") as other:
        server._alone(one.fileno(), tmp_path)
        with pytest.raises(Died, match="another server runs on"):
            server._alone(other.fileno(), tmp_path)


def service(tmp_path, code):
    """A service of a line of shell; it answers once it has made the file `up`."""
    up = tmp_path / "up"
    command = ["sh", "-c", f"echo begin; {code}"]
    return Service("thing", command, dict(os.environ), tmp_path / "log", up.exists)


def members(group):
    """The processes of a group that run."""
    time.sleep(0.1)
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [pid for pid, its, state in rows if its == str(group) and not state.startswith("Z")]


def test_a_service_that_dies_is_started_again_and_leaves_no_process(tmp_path, capsys):
    thing = service(tmp_path, "touch up; sleep 60 & wait")
    thing.start()
    first = thing.process.pid
    (tmp_path / "up").unlink()
    thing.process.kill()
    thing.process.wait()
    thing.revive()
    assert "thing died after 0 s and is started again" in capsys.readouterr().out
    assert not thing.dead()
    assert (members(first), len(members(thing.process.pid))) == ([], 2)
    thing.stop()
    assert members(thing.process.pid) == []


def test_a_service_that_dies_at_once_again_and_again_is_given_up_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setattr(services.time, "sleep", lambda seconds: None)
    thing = service(tmp_path, "echo no room >&2; exit 3")
    with pytest.raises(Died, match="thing ended with exit code 3: \nbegin\nno room"):
        thing.start()
    with pytest.raises(Died, match=r"thing died 5 times, each within 30 s: \n(begin\nno room\n?)+"):
        services.supervise([thing])
    assert (tmp_path / "log").read_text().count("begin") == 5


def test_a_given_database_keeps_its_password_out_of_addresses(monkeypatch, tmp_path):
    monkeypatch.setenv("QUJING_DATABASE", "postgresql://me:p%40ss@db.example:5433/")
    place = database.choose(tmp_path)
    assert place.prefect == "postgresql+asyncpg://me@db.example:5433/prefect"
    assert place.mlflow == "postgresql+psycopg2://me@db.example:5433/mlflow"
    assert place.environment == {"PGPASSWORD": "p@ss"}
    monkeypatch.setenv("QUJING_DATABASE", "mysql://me@db.example")
    with pytest.raises(database.NoDatabase, match="must be an address like postgresql://"):
        database.choose(tmp_path)
