"""What the machine and the installation can do: the facts behind `burnish doctor`."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NEEDED = {
    "torch": "try, round, run, demo, eval, data check and data render",
    "transformers": "try, round, run, demo, eval, data check and data render",
    "safetensors": "try, round, run, demo, eval, data check and data render",
    "tokenizers": "try, round, run, demo, eval, data check and data render",
    "pyarrow": "Parquet files and datasets folders",
    "datasets": "datasets folders",
    "huggingface_hub": "bases from a hub",
}
"""Libraries of the extra `train`, and the commands or files that need them."""
MEND = "pip install 'burnish[train]'"
SHOWN = ("burnish", *NEEDED, "peft", "numpy", "scipy", "pydantic", "typer", "SQLAlchemy", "datasketch")
LITTLE_DISK_BYTES = 2 * 2**30
LITTLE_MEMORY_BYTES = 3 * 2**30
"""A round on the built-in base stays under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is risky or missing, and the command or act that mends it."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found, what is risky, and what is missing."""

    system: str
    python: str
    cores: int
    threads: int | None
    """Of the matrix kernels; None when it was not measured."""
    memory_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    sqlite: str
    journal: str
    devices: str | None
    """None when it was not measured."""
    matrix_gflops: dict[str, float] | None
    """Rate of a large linear layer by number type, in 1e9 operations a second; None when it was not measured."""
    versions: dict[str, str | None]
    """None for a library that is not installed."""
    risks: tuple[Trouble, ...]
    missing: tuple[Trouble, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; docs/reference.md describes each field."""
        return asdict(self)

    def as_table(self) -> list[list[object]]:
        """Rows for a table: what, found."""
        rates = self.matrix_gflops or {}
        rows: list[list[object]] = [
            ["system", self.system],
            ["python", self.python],
            [
                "cores",
                self.cores if self.threads is None else f"{self.cores}, matrix kernels use {self.threads} threads",
            ],
            ["memory", f"{self.memory_bytes / 2**30:.1f} GiB"],
            ["disk free", f"{self.disk_free_bytes / 2**30:.1f} of {self.disk_total_bytes / 2**30:.1f} GiB"],
            ["sqlite", f"{self.sqlite}, journal {self.journal}"],
            ["devices", self.devices or "not looked at"],
            [
                "matrix rates",
                ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in rates.items()) or "not measured",
            ],
        ]
        return rows + [[name, version or "not installed"] for name, version in self.versions.items()]


def examine(folder: Path, *, measure: bool) -> Health:
    """Looks at the machine; with `measure`, also at its devices and matrix rates, which takes a few seconds."""
    from burnish.store.db import journal_mode

    missing = tuple(
        Trouble(what=f"{name} is missing: needed for {use}", mend=MEND)
        for name, use in NEEDED.items()
        if importlib.util.find_spec(name) is None
    )
    can_measure = measure and not any(importlib.util.find_spec(name) is None for name in ("torch", "safetensors"))
    disk = shutil.disk_usage(folder if folder.exists() else Path())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    devices, threads, rates = _measured() if can_measure else (None, None, None)
    return Health(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cores=cores,
        threads=threads,
        memory_bytes=memory,
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        sqlite=sqlite3.sqlite_version,
        journal=journal_mode(),
        devices=devices,
        matrix_gflops=rates,
        versions={name: _version(name) for name in SHOWN},
        risks=tuple(_risks(disk.free, memory, cores, threads)),
        missing=missing,
    )


def _measured() -> tuple[str, int, dict[str, float]]:
    from burnish.model.speed import devices, matrix_rates, num_threads

    return devices(), num_threads(), {name: round(rate, 1) for name, rate in matrix_rates().items()}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _risks(free_bytes: int, memory_bytes: int, cores: int, threads: int | None) -> list[Trouble]:
    from burnish.store.db import WAL_IS_SAFE_FROM

    risks = []
    if sqlite3.sqlite_version_info < WAL_IS_SAFE_FROM:
        what = (
            f"SQLite {sqlite3.sqlite_version} can corrupt a WAL database that two processes write (fixed in 3.51.3), "
            "so burnish uses the rollback journal here, which is safe and a little slower"
        )
        mend = "nothing needs to be done; a Python linked with SQLite 3.51.3 or newer uses WAL"
        risks.append(Trouble(what=what, mend=mend))
    if free_bytes < LITTLE_DISK_BYTES:
        risks.append(Trouble(what="less than 2 GiB of disk is free", mend="free some before a round"))
    if memory_bytes < LITTLE_MEMORY_BYTES:
        risks.append(Trouble(what="less than 3 GiB of memory", mend="lower train.batch_size and data.max_tokens"))
    if threads is not None and threads > cores:
        what = f"{threads} threads for {cores} cores make every matrix slower"
        risks.append(Trouble(what=what, mend=f"export OMP_NUM_THREADS={cores}"))
    return risks
