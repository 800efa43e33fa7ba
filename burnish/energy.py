"""Energy counters where the machine lets us read them: processor packages (RAPL) and the first NVIDIA card (NVML).

They count everything that runs there, other people's work included; where nothing can be read there is no number.
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the energy counters of Intel and AMD processors (RAPL); often readable by root alone."""

NVML = "libnvidia-ml.so.1"
"""Comes with NVIDIA's driver. Its counter runs since the driver was loaded, in millijoules, and does not wrap."""

Counters = dict[str, tuple[int, int]]
"""Reading and range in microjoules by counter; a range of 0 never wraps."""


def energy_counters(root: Path = POWERCAP, load: Callable[[str], Any] = ctypes.CDLL) -> Counters:
    """Every counter that can be read, empty where there is none."""
    return _packages(root) | _card(load)


def joules_between(before: Counters, after: Counters) -> float | None:
    """Energy of the counters that both readings have, in joules; None without any.

    A counter that fell has wrapped around once; two wraps between readings (over an hour at full load) go unseen.
    """
    shared = before.keys() & after.keys()
    if not shared:
        return None
    total = 0
    for name in shared:
        difference = after[name][0] - before[name][0]
        total += difference if difference >= 0 else max(0, difference + after[name][1])
    return total / 1e6


def _packages(root: Path) -> Counters:
    """RAPL packages; their parts are counted in them."""
    counters = {}
    for zone in sorted(root.glob("*-rapl:*")):
        try:
            if not (zone / "name").read_text(encoding="ascii").startswith("package"):
                continue
            reading = int((zone / "energy_uj").read_text(encoding="ascii"))
            counters[zone.name] = (reading, int((zone / "max_energy_range_uj").read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return counters


def _card(load: Callable[[str], Any]) -> Counters:
    """The card that CUDA calls the first; older ones than Volta have no counter."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if not visible.isdigit():
        return {}
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    try:
        nvml = load(NVML)
        steps: tuple[Callable[[], int], ...] = (
            lambda: nvml.nvmlInit_v2(),
            lambda: nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(visible)), ctypes.byref(handle)),
            lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)),
        )
        readable = all(step() == 0 for step in steps)
    except (OSError, AttributeError):
        return {}
    return {f"nvml:{visible}": (1000 * millijoules.value, 0)} if readable else {}
