"""Fixtures that several families share."""

import os
import shutil

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # tests run side by side: threads would only wait for each other

import pytest
import repository
from machines import Machines


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The small repository with its graph run once, in order, by `dvc repro`; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "qujing"
    folder.mkdir()
    repository.build(folder)
    assert repository.reproduced(folder)[-1] == "report"
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A Prefect server of `Machines` without a machine."""
    found = Machines(tmp_path_factory.mktemp("machines"))
    yield found
    found.close()


@pytest.fixture
def small(finished, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(finished, tmp_path / "qujing", symlinks=True)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory):
    """An MLflow database without a run: to make one takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def blank(empty_mlflow, tmp_path, monkeypatch):
    """An empty folder to work in, with a database of MLflow, and without settings from outside."""
    for name in ("MLFLOW_TRACKING_URI", "QUJING_TRACKING", "QUJING_PARENT_RUN", "QUJING_COMMIT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "0" if "RETRIES" in name else "5")
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_mlflow, tmp_path)
    return tmp_path
