"""Adapters in the bank of one base: loaded when asked for, checked before they answer, let go when memory ends.

What is served is what was measured: an adapter answers only after its bytes are those that were sealed, its weights
those that were registered, the base's answers change with it, and the stored answers of its evaluation come out again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from burnish.errors import BurnishError, ModelError
from burnish.model.adapter import changes_logits
from burnish.model.base import Base
from burnish.model.lora import AdapterSpec, LoraBank, attach
from burnish.records import ModelVersion
from burnish.serve.faults import log_of
from burnish.serve.reads import Found, Named, Reads, Source

NO_ADAPTER, BEING_READ = -1, -4
"""Slots of requests to the untuned base, and of one whose adapter is still on its way from the disk."""
AGAIN_S = 30.0
"""Seconds until an adapter that was refused is looked at again."""
_EMPTY = AdapterSpec(name="empty", rank=1, alpha=1.0, seed=0)


class Refused(Exception):
    """An adapter must not answer; the reason is for the log."""


@dataclass(slots=True)
class _Held:
    """An adapter in its slot."""

    project: str
    version: ModelVersion
    slot: int
    checked: str
    users: int = 0
    used_at: int = 0


@dataclass(slots=True)
class Loads:
    """How often adapters were loaded, let go and refused."""

    loaded: int = 0
    evicted: int = 0
    refused: int = 0


class Pool:
    """The adapters of one base, of one project or several; one thread uses it."""

    def __init__(self, base: Base, sources: Mapping[str, Source], *, adapter_bytes: int) -> None:
        """The sources by the names of their projects."""
        self.base, self.loads, self.sources = base, Loads(), dict(sources)
        self.bank: LoraBank = attach(base.model, [_EMPTY])
        self.reads = Reads(base, self.sources)
        self._bytes = adapter_bytes
        self._held: dict[Named, _Held] = {}
        self._free = [0]
        self._clock = 0
        self._refused: dict[Named, tuple[float, str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Versions whose adapters are in the bank."""
        return tuple(name for _, name in self._held)

    def is_here(self, project: str, version: ModelVersion) -> bool:
        """Whether this version can answer without a file being read."""
        return not version.artifact or (project, version.name) in self._held

    def is_refused(self, project: str, name: str) -> bool:
        """Whether this version failed its checks when it was asked for last."""
        return (project, name) in self._refused

    def checked(self, project: str, name: str) -> str:
        """What was checked when this version was loaded; empty when it is not here."""
        held = self._held.get((project, name))
        return held.checked if held else ""

    def lease(
        self,
        project: str,
        version: ModelVersion,
        forget: Callable[[int], None],
        wake: Callable[[], None] | None = None,
    ) -> int | None:
        """The slot of a version for one request, -1 for the untuned base; None while all memory is in use.

        `forget` is told of a slot before its adapter changes. With `wake` it is BEING_READ while the adapter is read
        from the disk, after which `wake` is called on another thread. Raises Refused when the adapter must not answer.
        """
        if not version.artifact:
            return self._base_slot(version)
        held = self._held.get((project, version.name)) or self._load(project, version, forget, wake)
        if held is None or isinstance(held, int):
            return held
        self._clock += 1
        held.users, held.used_at = held.users + 1, self._clock
        return held.slot

    def release(self, slot: int) -> None:
        """Ends one request's use of a slot."""
        for held in self._held.values():
            if held.slot == slot:
                held.users -= 1

    def close(self) -> None:
        """Gives the base back as it was."""
        self.bank.detach()

    def _base_slot(self, version: ModelVersion) -> int:
        if version.base_hash != self.base.base_hash:
            raise Refused(f"{version.name} is another base than the one that is loaded")
        return NO_ADAPTER

    def _load(
        self, project: str, version: ModelVersion, forget: Callable[[int], None], wake: Callable[[], None] | None
    ) -> _Held | int | None:
        if not self._has_room():
            return None
        since, reason = self._refused.get((project, version.name), (0.0, ""))
        if reason and time.monotonic() - since < AGAIN_S:
            raise Refused(reason)
        try:
            found = self.reads.take(project, version, wake)
            return BEING_READ if found is None else self._loaded(project, version, found, forget)
        except Exception as error:  # whatever is wrong with one adapter, the others go on
            detail = None if isinstance(error, BurnishError) else error
            log = log_of(project)
            log.error("adapter %s refused: %s", ascii(version.name), ascii(str(error)), exc_info=detail)
            self.loads.refused += 1
            self._refused[project, version.name] = (time.monotonic(), str(error))
            raise Refused(str(error)) from error

    def _loaded(self, project: str, version: ModelVersion, found: Found, forget: Callable[[int], None]) -> _Held | None:
        spec, state = found.adapter
        slot = self._room(spec.rank, forget)
        if slot is None:
            self.reads.put_back(project, version, found)
            return None
        forget(slot)
        try:
            self.bank.put(slot, spec, state)
            if not changes_logits(self.base, self.bank, slot):
                raise ModelError(f"the adapter {version.name} changes no answer of the base", hint="Train it again.")
            with self.bank.use(slot):
                checked = found.probe()
        except BaseException:
            self._free += [slot] if slot < self.bank.num_slots else []
            raise
        self.loads.loaded += 1
        self._refused.pop((project, version.name), None)
        self._held[project, version.name] = held = _Held(project, version, slot, checked)
        log_of(project).info("adapter %s loaded: %s", ascii(version.name), checked)
        return held

    def _has_room(self) -> bool:
        """Whether any adapter can come in now, told before a file is read."""
        is_idle = any(not held.users for held in self._held.values())
        return bool(self._free) or is_idle or self.bank.bytes_with(self.bank.num_slots + 1, 1) <= self._bytes

    def _room(self, rank: int, forget: Callable[[int], None]) -> int | None:
        """A slot for an adapter of this rank: a free one, a new one, or that of the one used longest ago."""
        idle = sorted((one for one in self._held.values() if not one.users), key=lambda one: one.used_at)
        if not self._free and self.bank.bytes_with(self.bank.num_slots + 1, rank) <= self._bytes:
            return self.bank.num_slots
        if not self._free and idle:
            gone = self._held.pop((idle[0].project, idle[0].version.name))
            forget(gone.slot)
            self.loads.evicted += 1
            return gone.slot
        return self._free.pop() if self._free else None
