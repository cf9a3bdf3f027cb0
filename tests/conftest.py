"""Fixtures that several families share."""

import shutil

import pytest
import repository


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The small repository with its graph run once, in order, by `dvc repro`; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "qujing"
    folder.mkdir()
    repository.build(folder)
    assert repository.reproduced(folder)[-1] == "report"
    return folder


@pytest.fixture
def small(finished, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(finished, tmp_path / "qujing", symlinks=True)
