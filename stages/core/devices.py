"""The device to compute on, chosen by params; code that follows it runs on CPU and CUDA unchanged."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from stages.core.errors import Refusal

if TYPE_CHECKING:
    import torch


def pick(name: str) -> torch.device:
    """The device that `name` asks for: `auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`.

    Raises `Refusal` where the machine lacks it.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise Refusal(f"device '{name}' is unknown; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        have = torch.cuda.device_count()
        raise Refusal(f"device '{name}' is not on this machine, which has {have} GPUs; set the device to auto or cpu")
    return device


def precision(device: torch.device, bf16: bool) -> AbstractContextManager:
    """The context to compute in: bfloat16 autocast where asked for and in the hardware, else full precision."""
    import torch

    able = device.type == "cuda" or (device.type == "cpu" and torch.cpu._is_avx512_bf16_supported())
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16 and able)
