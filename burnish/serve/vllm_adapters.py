"""Adapters in a vLLM: verified copies on the disk, loaded under names that no other weights ever get.

vLLM reads a folder when it loads an adapter and again whenever it has let it go from its memory, so it is given a copy
that nobody else writes to, whose bytes were verified. The name carries the project and the hash of the weights.
"""

import asyncio
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from burnish.errors import BurnishError, ModelError
from burnish.fingerprint import SHORT, fingerprint
from burnish.model.adapter import CONFIG, WEIGHTS, load_registered
from burnish.model.base import Base
from burnish.records import ModelVersion
from burnish.registry import folder_of
from burnish.serve.faults import log_of
from burnish.serve.pool import AGAIN_S, Loads, Refused
from burnish.serve.reads import Named
from burnish.serve.vllm_client import Away, Unmet, VllmClient
from burnish.serve.vllm_probe import Recall, Recorded, probe
from burnish.serve.vllm_writing import Writer
from burnish.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSource:
    """Where the versions of a project are, and what is known of them."""

    store: Store
    recall: Recall


@dataclass(slots=True, eq=False)
class _Held:
    project: str
    version: ModelVersion
    name: str
    """In vLLM."""
    folder: Path
    recorded: Recorded
    checked: str = ""
    users: int = 0
    used_at: float = field(default_factory=time.monotonic)


class VllmAdapters:
    """The adapters of one vLLM, of one project or several; belongs to one event loop, others may look."""

    def __init__(
        self, base: Base, sources: Mapping[str, VllmSource], *, folder: Path, most: int, max_rank: int, run: str
    ) -> None:
        """At most `most` adapters are held, of at most `max_rank`; copies lie in `folder`, names end in `run`."""
        self.base, self.loads, self.sources = base, Loads(), dict(sources)
        self.client: VllmClient | None = None
        self.base_name = ""
        """The base's own name in vLLM."""
        self._folder, self._most, self._max_rank, self._run = folder, most, max_rank, run
        self._held: dict[Named, _Held] = {}
        self._refused: dict[Named, tuple[float, str]] = {}
        self._locks: dict[Named, asyncio.Lock] = {}
        self._room = asyncio.Condition()
        self._loading = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Versions whose adapters are loaded."""
        return tuple(name for _, name in tuple(self._held))

    def is_refused(self, project: str, name: str) -> bool:
        """Whether this version failed its checks when it was asked for last."""
        return (project, name) in self._refused

    def checked(self, project: str, name: str) -> str:
        """What was checked when this version was loaded; empty when it is not here."""
        held = self._held.get((project, name))
        return held.checked if held else ""

    def close(self) -> None:
        """Takes the copies away."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def lease(self, project: str, version: ModelVersion) -> Writer:
        """What writes with this version; it is kept until `release`. Raises Refused, and Away without a vLLM."""
        if not version.artifact:
            if version.base_hash != self.base.base_hash:
                raise Refused(f"{version.name} is another base than the one that is loaded")
            return self._writer(self.base_name, project)
        async with self._locks.setdefault((project, version.name), asyncio.Lock()):
            held = self._held.get((project, version.name)) or await self._load(project, version)
            held.users, held.used_at = held.users + 1, time.monotonic()
        return self._writer(held.name, project)

    async def release(self, project: str, version: ModelVersion) -> None:
        """Ends one request's use of a version."""
        if held := self._held.get((project, version.name)):
            held.users -= 1
            async with self._room:
                self._room.notify_all()

    def lose(self, project: str, version: ModelVersion) -> None:
        """vLLM does not know this version any more; whoever asks next has it loaded again."""
        self._held.pop((project, version.name), None)

    async def restore(self) -> None:
        """Loads what was held into a vLLM that has begun anew; what it refuses is held no more."""
        for key, held in list(self._held.items()):
            try:
                await self._put(held)
            except (ModelError, Unmet) as error:
                del self._held[key]
                self._refuse(held.project, held.version, error)

    async def _load(self, project: str, version: ModelVersion) -> _Held:
        since, reason = self._refused.get((project, version.name), (0.0, ""))
        if reason and time.monotonic() - since < AGAIN_S:
            raise Refused(reason)
        await self._make_room()
        try:
            held = await self._loaded(project, version)
        except Away:
            raise
        except Exception as error:  # whatever is wrong with one adapter, the others go on
            self._refuse(project, version, error)
            raise Refused(str(error)) from error
        finally:
            self._loading -= 1
        self.loads.loaded += 1
        self._refused.pop((project, version.name), None)
        self._held[project, version.name] = held
        log_of(project).info("adapter %s loaded: %s", ascii(version.name), held.checked)
        return held

    async def _loaded(self, project: str, version: ModelVersion) -> _Held:
        name = f"{project}/{version.name}/{version.adapter_hash}/{self._run}"
        folder = self._folder / fingerprint(name)[:SHORT]
        recorded = await asyncio.to_thread(self._copy, project, version, folder)
        held = _Held(project, version, name, folder, recorded)
        await self._put(held)
        return held

    def _copy(self, project: str, version: ModelVersion, folder: Path) -> Recorded:
        """A copy of the adapter that is the registered one, and what is known of it."""
        source = self.sources[project]
        found = folder_of(source.store, version)
        assert found is not None, version
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, WEIGHTS):
            if (found / name).is_file():
                shutil.copyfile(found / name, folder / name)
        spec, _ = load_registered(folder, version, self.base)
        if spec.rank > self._max_rank:
            raise ModelError(
                f"the adapter has rank {spec.rank}, and vLLM was started for at most {self._max_rank}",
                hint="Start `burnish serve` anew.",
            )
        return source.recall(self.base, version)

    async def _put(self, held: _Held) -> None:
        """Loads it into vLLM and asks what is known; an adapter that fails is not left there."""
        client = self._connected()
        await client.unload(held.name)  # a load that nobody waited for to the end
        await client.load(held.name, held.folder)
        try:
            if (await client.models()).get(held.name) != str(held.folder):
                raise ModelError(f"vLLM does not list the adapter {held.version.name}", hint="See vllm.log.")
            writer, plain = self._writer(held.name, held.project), self._writer(self.base_name, held.project)
            held.checked = await probe(writer, plain, held.version, held.recorded)
        except BaseException:
            with suppress(Away):
                await client.unload(held.name)
            raise

    async def _make_room(self) -> None:
        """Waits until one adapter more may be held, and lets the one go that was used longest ago."""
        async with self._room:
            while len(self._held) + self._loading >= self._most:
                idle = sorted((one for one in self._held.values() if not one.users), key=lambda one: one.used_at)
                if idle:
                    await self._let_go(idle[0])
                else:
                    await self._room.wait()
            self._loading += 1

    async def _let_go(self, held: _Held) -> None:
        del self._held[held.project, held.version.name]
        self.loads.evicted += 1
        await self._connected().unload(held.name)
        shutil.rmtree(held.folder, ignore_errors=True)

    def _refuse(self, project: str, version: ModelVersion, error: Exception) -> None:
        detail = None if isinstance(error, BurnishError | Unmet) else error
        log = log_of(project)
        log.error("adapter %s refused: %s", ascii(version.name), ascii(str(error)), exc_info=detail)
        self.loads.refused += 1
        self._refused[project, version.name] = (time.monotonic(), str(error))

    def _writer(self, name: str, project: str) -> Writer:
        salt = fingerprint([self._run, project])
        return Writer(client=self._connected(), base=self.base, model=name, salt=salt)

    def _connected(self) -> VllmClient:
        if self.client is None:
            raise Away("vLLM is not there")
        return self.client
