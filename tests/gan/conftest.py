"""A small game that trains in a second: the bed of params.yaml with fewer steps and numbers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stages.core import params
from stages.gan.settings import Gan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def rows() -> dict[str, Gan]:
    """The adversarial rows of params.yaml, a few steps long."""
    systems = params.load(ROOT / "params.yaml")["systems"]
    typed = {key: params.typed(Gan, row["train"], key) for key, row in systems.items() if row["kind"] == "gan"}
    return {key: replace(how, steps=6, grids=2, seeds=(0,), device="cpu", batch=16) for key, how in typed.items()}


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    """Images, uint8 [200, 1, 8, 8], of two kinds."""
    source = torch.Generator().manual_seed(0)
    return torch.randint(0, 128, (200, 1, 8, 8), generator=source, dtype=torch.uint8) + torch.tensor([0, 127]).repeat(
        100
    ).view(-1, 1, 1, 1).to(torch.uint8)
