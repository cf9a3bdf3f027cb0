"""GPU memory, shared out by the GiB: one weighted Prefect limit per device, leased for the time of a stage.

A stage holds as many slots of a device's limit as it needs GiB; two small ones share a card and a large one waits. Who
waits for memory first holds the device's turn, a limit of one: nobody overtakes a large request for ever. Leases are
renewed by the process that supervises the stage and come back `LEASE` seconds after it died.
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

LEASE = 60.0
"""Seconds that a lease outlives its holder: the least that Prefect allows."""


@dataclass(frozen=True)
class Device:
    """One GPU of this machine."""

    name: str  # of its limit on the Prefect server: gpu:HOST:0
    gib: int  # of memory
    visible: str  # what CUDA_VISIBLE_DEVICES says for it


class NoDevice(Exception):
    """A sentence that says why no device of this machine can hold what is asked for."""


def found(indices: Sequence[str], gib: int | None = None) -> list[Device]:
    """The GPUs of this machine with these indices; with `gib`, devices of that size are believed in unseen."""
    host = socket.gethostname()
    if gib is not None:
        return [Device(f"gpu:{host}:{index}", gib, index) for index in indices]
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoDevice(
            f"nvidia-smi finds no GPU on {host}: install the driver, or say what is there: GIB=24"
        ) from error
    rows = {index: (uuid, int(mib)) for index, uuid, mib in (line.split(", ") for line in listed.splitlines())}
    if missing := [index for index in indices if index not in rows]:
        raise NoDevice(f"{host} has no GPU {', '.join(missing)}; it has {', '.join(rows) or 'none'}")
    return [Device(f"gpu:{host}:{i}", rows[i][1] // 1024, rows[i][0]) for i in indices]


def register(devices: Sequence[Device]) -> None:
    """Tell the Prefect server what there is; known devices keep their leases."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for device in devices:
            client.upsert_global_concurrency_limit_by_name(device.name, device.gib)
            client.upsert_global_concurrency_limit_by_name(f"{device.name}:turn", 1)


@contextmanager
def held(devices: Sequence[Device], gib: float, count: int = 1) -> Iterator[str]:
    """Wait for `gib` of memory on each of `count` devices and hold it; yields their CUDA_VISIBLE_DEVICES.

    Raises `NoDevice` where that can never be.
    """
    from prefect.concurrency.sync import concurrency

    need = math.ceil(gib)
    chosen = tightest(devices, need, count)
    names = [device.name for device in chosen]
    with ExitStack() as stack:
        if need:
            with concurrency([f"{name}:turn" for name in names], strict=True, lease_duration=LEASE):
                stack.enter_context(
                    concurrency(
                        names, need, strict=True, lease_duration=LEASE, raise_on_lease_renewal_failure=False
                    )  # a server that is away for a moment must not end a training of days
                )
        yield ",".join(device.visible for device in chosen)


def tightest(devices: Sequence[Device], need: int, count: int) -> list[Device]:
    """The `count` devices on which `need` GiB fit and least is left over; the emptiest ones where all are busy."""
    large = [device for device in devices if device.gib >= need]
    if len(large) < count:
        sizes = ", ".join(f"{device.name} {device.gib} GiB" for device in devices) or "no device"
        raise NoDevice(f"{count} x {need} GiB of GPU memory are asked for, and this worker has {sizes}")
    free = {device: device.gib - used(device.name) for device in large} if len(large) > count else {}
    ranked = sorted(large, key=lambda d: (free[d] < need, free[d] if free[d] >= need else -free[d])) if free else large
    return sorted(ranked[:count], key=lambda device: device.name)


def used(name: str) -> int:
    """GiB of the device that are leased now."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(name).active_slots


def of_worker() -> list[Device]:
    """The devices that the worker around this process was started with."""
    return from_text(os.environ.get("QUJING_DEVICES", ""))


def from_text(said: str) -> list[Device]:
    """Devices as `to_text` writes them."""
    parts = [device.split("=") for device in said.split()]
    return [Device(name, int(gib), visible) for name, gib, visible in parts]


def to_text(devices: Sequence[Device]) -> str:
    """The devices as text: the description of a worker's queue."""
    return " ".join(f"{device.name}={device.gib}={device.visible}" for device in devices)
