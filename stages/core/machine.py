"""What array libraries read from the environment when they are first imported: call this before."""

from __future__ import annotations

import os
from pathlib import Path


def prepare(threads: int) -> None:
    """Limit every array library to `threads`, that sleep while they wait, and keep numpy off a slow sort.

    Threads that spin instead cost others their cores: on two cores, one of them busy with something else, sampling from
    a PixelCNN took 62 seconds, and takes 4.

    AMD's Zen 4 runs AVX-512's compress-to-memory in microcode, and numpy sorts 64-bit keys five times faster there
    without it (63 against 13 ns a key, numpy 2.4). Has no effect on what was imported already.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    processor = Path("/proc/cpuinfo")
    if processor.exists() and "AuthenticAMD" in (text := processor.read_text()) and "avx512f" in text:
        os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4")
