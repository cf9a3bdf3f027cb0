"""A program run to its end while its memory is watched."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def run(command: list[str], every: float, stderr: int | None = None) -> tuple[float, float, str]:
    """Seconds that `command` took, the most GiB in it and its descendants, looked at `every` s, and what it printed."""
    begin, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(every)
    return time.perf_counter() - begin, peak / 2**30, process.stdout.read()


def resident(pid: int) -> int:
    """Bytes resident in process `pid` and its descendants."""
    parents, sizes = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:  # it ended meanwhile
            continue
        one = int(status.parent.name)
        parents[one], sizes[one] = int(fields["PPid"]), int(fields.get("VmRSS", "0 kB").split()[0]) * 1024

    def descends(one: int) -> bool:
        return one == pid or (one in parents and descends(parents[one]))

    return sum(size for one, size in sizes.items() if descends(one))
