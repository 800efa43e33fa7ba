"""A vLLM for the projects of a server: how many adapters of which size it holds, and where what it needs lies."""

import atexit
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from burnish.config import ServeSettings, Settings
from burnish.errors import UsageError
from burnish.model.adapter import CONFIG, WEIGHTS
from burnish.model.base import Base, find_folder
from burnish.model.folder import read_json
from burnish.registry import models
from burnish.serve.asked import MOST_TOP
from burnish.serve.vllm_adapters import VllmAdapters, VllmSource
from burnish.serve.vllm_client import Address
from burnish.serve.vllm_engine import VllmEngine
from burnish.serve.vllm_keeper import Keeper, Patience
from burnish.serve.vllm_process import LOG_FILE, RANKS, VllmPlan, fitting_rank, found_command
from burnish.store.store import Store

KEY = "BURNISH_VLLM_KEY"
"""Environment variable with the key of a vLLM that runs already."""
LEAST_RANK = 16
"""Room for adapters that are trained while the server runs, as vLLM has it by itself."""
MOST_ADAPTERS, MOST_AT_ONCE = 256, 8


def make_engine(
    base: Base,
    sources: Mapping[str, VllmSource],
    settings: Sequence[Settings],
    *,
    most_adapters: int = MOST_ADAPTERS,
    patience: Patience | None = None,
) -> VllmEngine:
    """The engine, with its vLLM running; the first settings decide.

    Raises UsageError without vLLM, ModelError when it does not begin.
    """
    limits = settings[0].serve
    stores = [one.store for one in sources.values()]
    rank, size = largest(stores)
    max_rank = fitting_rank(rank) or RANKS[-1]  # a wider adapter is refused when somebody asks for it
    most = max(1, min(most_adapters, (limits.adapter_mb << 20) // max(1, size)))
    hidden = tuple(key.env for one in settings for key in one.serve.keys.values())
    what = _address(limits) or _plan(base, limits, max_rank, most, hidden)
    folder = Path(tempfile.mkdtemp(prefix="burnish-vllm-"))
    adapters = VllmAdapters(base, sources, folder=folder, most=most, max_rank=max_rank, run=secrets.token_hex(8))
    atexit.register(adapters.close)
    keeper = Keeper(
        what,
        folder=folder,
        log=stores[0].root / "logs" / LOG_FILE,
        patience=patience or Patience(start_s=limits.vllm.start_s),
    )
    engine = VllmEngine(adapters, keeper, max_rows=limits.max_rows)
    engine.start()
    return engine


def demand_vllm(limits: ServeSettings) -> None:
    """Raises UsageError where vLLM is to be started and is not installed."""
    if _address(limits) is None:
        found_command(limits.vllm.command)


def largest(stores: Sequence[Store]) -> tuple[int, int]:
    """The rank of the widest adapter of these projects, and the bytes of the largest one's file."""
    rank, size = LEAST_RANK, 1
    for store in stores:
        for version in models(store):
            folder = store.root / version.artifact
            if version.artifact and (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
                rank = max(rank, int(read_json(folder / CONFIG, version.name).get("r", 0)))
                size = max(size, (folder / WEIGHTS).stat().st_size)
    return rank, size


def _address(limits: ServeSettings) -> Address | None:
    if limits.vllm.url is None:
        return None
    if limits.vllm.args:
        raise UsageError(
            f"serve.vllm.args are for a vLLM that burnish starts, and {limits.vllm.url} runs already",
            hint="take one of the two away",
        )
    return Address(url=limits.vllm.url, key=os.environ.get(KEY, ""))


def _plan(base: Base, limits: ServeSettings, max_rank: int, most: int, hidden: tuple[str, ...]) -> VllmPlan:
    return VllmPlan(
        command=found_command(limits.vllm.command),
        base=find_folder(base.name, base.revision).resolve(),
        precision=base.precision,
        max_rank=max_rank,
        most_adapters=most,
        most_at_once=min(most, MOST_AT_ONCE),
        max_rows=limits.max_rows,
        most_top=MOST_TOP,
        extra=limits.vllm.args,
        hidden=hidden,
    )
