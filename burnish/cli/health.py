"""What the machine and the installation can do: the facts behind `burnish doctor`."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAFE_SQLITE = (3, 51, 3)
"""First SQLite without the WAL-reset bug (sqlite.org, 2026-03-13)."""

NEEDED = {
    "torch": "train, eval and round",
    "transformers": "train, eval and round",
    "safetensors": "train, eval and round",
    "pyarrow": "Parquet files and datasets folders",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found, what is risky, and what is missing."""

    facts: dict[str, str]
    risks: list[dict[str, str]] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)


def examine(folder: Path, *, measure: bool) -> Health:
    """Looks at the machine; with `measure`, also at its matrix rates, which takes about two seconds."""
    facts = _machine(folder) | _versions()
    missing = [
        {"what": f"{name} is missing: needed for {use}", "mend": "pip install 'burnish[train]'"}
        for name, use in NEEDED.items()
        if importlib.util.find_spec(name) is None
    ]
    if measure and importlib.util.find_spec("torch"):
        facts |= _torch_facts()
    return Health(facts=facts, risks=_risks(folder), missing=missing)


def _machine(folder: Path) -> dict[str, str]:
    disk = shutil.disk_usage(folder if folder.exists() else Path())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{memory:.1f} GiB",
        "disk free": f"{disk.free / 2**30:.1f} of {disk.total / 2**30:.1f} GiB",
        "sqlite": f"{sqlite3.sqlite_version}, journal {_journal()}",
    }


def _journal() -> str:
    return "WAL" if sqlite3.sqlite_version_info >= SAFE_SQLITE else "TRUNCATE"


def _versions() -> dict[str, str]:
    names = ("burnish", "torch", "transformers", "safetensors", "peft", "numpy", "scipy", "pydantic", "SQLAlchemy")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _risks(folder: Path) -> list[dict[str, str]]:
    risks = []
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        risks.append(
            {
                "what": f"SQLite {sqlite3.sqlite_version} can corrupt a WAL database that two processes write (fixed "
                "in 3.51.3), so burnish uses the rollback journal here, which is safe and a little slower",
                "mend": "nothing needs to be done; a Python linked with SQLite 3.51.3 or newer uses WAL",
            }
        )
    if shutil.disk_usage(folder if folder.exists() else Path()).free < 2 * 2**30:
        risks.append({"what": "less than 2 GiB of disk is free", "mend": "free some before a round"})
    return risks


def _torch_facts() -> dict[str, str]:
    from burnish.model.speed import devices, matrix_rates

    started = time.monotonic()
    rates: dict[str, Any] = matrix_rates()
    shown = ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in rates.items())
    return {"devices": devices(), "matrix rates": f"{shown} (measured in {time.monotonic() - started:.1f} s)"}
