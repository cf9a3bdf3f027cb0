"""Fixtures: a mock site, and a bench to crawl it on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mock_site import Bench, MockSite


@pytest.fixture
def site() -> Iterator[MockSite]:
    mock = MockSite()
    yield mock
    mock.server.shutdown()
    mock.server.server_close()


@pytest.fixture
def bench(site: MockSite, tmp_path: Path) -> Bench:
    return Bench(site, tmp_path)
