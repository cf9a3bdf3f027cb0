"""The variational rows of params.yaml, a few steps long, and images of two kinds."""

from dataclasses import replace

import pytest
import torch
from repository import ROOT

from stages.core import params
from stages.nets.threads import one_thread
from stages.vae.settings import Vae


@pytest.fixture(autouse=True)
def calm():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


@pytest.fixture(scope="session")
def rows() -> dict[str, Vae]:
    """The rows of kind vae."""
    systems = params.load(ROOT / "params.yaml")["systems"]
    typed = {key: params.typed(Vae, row["train"], key) for key, row in systems.items() if row["kind"] == "vae"}
    return {key: replace(how, steps=6, seeds=(0,), device="cpu", batch=16) for key, how in typed.items()}


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    """Images, uint8 [200, 1, 8, 8], of two kinds."""
    source = torch.Generator().manual_seed(0)
    light = torch.tensor([0, 127], dtype=torch.uint8).repeat(100).view(-1, 1, 1, 1)
    return torch.randint(0, 128, (200, 1, 8, 8), generator=source, dtype=torch.uint8) + light
