"""Adapters in the bank of one base: loaded when asked for, checked before they answer, let go when memory ends.

What is served is what was measured: an adapter answers only after its bytes are those that were sealed, its weights
those that were registered, the base's answers change with it, and the stored answers of its evaluation come out again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from burnish.errors import BurnishError, ModelError
from burnish.model.adapter import changes_logits, load_registered
from burnish.model.base import Base
from burnish.model.lora import AdapterSpec, LoraBank, attach
from burnish.records import ModelVersion
from burnish.registry import folder_of
from burnish.serve.faults import LOG
from burnish.store.store import Store

Check = Callable[[Base, ModelVersion], str]
"""Asks the base, with the adapter in use around the call, for answers that are known. Gives what was checked in words,
and raises ModelError where an answer is another one."""

NO_ADAPTER = -1
AGAIN_S = 30.0
"""Seconds until an adapter that was refused is looked at again."""
_EMPTY = AdapterSpec(name="empty", rank=1, alpha=1.0, seed=0)


class Refused(Exception):
    """An adapter must not answer; the reason is for the log."""


@dataclass(slots=True)
class _Held:
    """An adapter in its slot."""

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
    """The adapters of one base; one thread uses it."""

    def __init__(self, base: Base, store: Store, *, check: Check, adapter_bytes: int) -> None:
        self.base, self.loads = base, Loads()
        self.bank: LoraBank = attach(base.model, [_EMPTY])
        self._store, self._check, self._bytes = store, check, adapter_bytes
        self._held: dict[str, _Held] = {}
        self._free = [0]
        self._clock = 0
        self._refused: dict[str, tuple[float, str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Versions whose adapters are in the bank."""
        return tuple(self._held)

    def is_refused(self, name: str) -> bool:
        """Whether this version failed its checks when it was asked for last."""
        return name in self._refused

    def checked(self, name: str) -> str:
        """What was checked when this version was loaded; empty when it is not here."""
        held = self._held.get(name)
        return held.checked if held else ""

    def lease(self, version: ModelVersion, forget: Callable[[int], None]) -> int | None:
        """The slot of a version for one request, -1 for the untuned base; None while all memory is in use.

        `forget` is told of a slot before its adapter changes. Raises Refused when the adapter must not answer.
        """
        if not version.artifact:
            return self._base_slot(version)
        held = self._held.get(version.name) or self._load(version, forget)
        if held is None:
            return None
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

    def _load(self, version: ModelVersion, forget: Callable[[int], None]) -> _Held | None:
        if not self._has_room():
            return None
        since, reason = self._refused.get(version.name, (0.0, ""))
        if reason and time.monotonic() - since < AGAIN_S:
            raise Refused(reason)
        try:
            return self._loaded(version, forget)
        except Exception as error:  # whatever is wrong with one adapter, the others go on
            detail = None if isinstance(error, BurnishError) else error
            LOG.error("adapter %s refused: %s", ascii(version.name), ascii(str(error)), exc_info=detail)
            self.loads.refused += 1
            self._refused[version.name] = (time.monotonic(), str(error))
            raise Refused(str(error)) from error

    def _loaded(self, version: ModelVersion, forget: Callable[[int], None]) -> _Held | None:
        folder = folder_of(self._store, version)
        assert folder is not None, version
        spec, state = load_registered(folder, version, self.base)
        slot = self._room(spec.rank, forget)
        if slot is None:
            return None
        forget(slot)
        try:
            self.bank.put(slot, spec, state)
            if not changes_logits(self.base, self.bank, slot):
                raise ModelError(f"the adapter {version.name} changes no answer of the base", hint="Train it again.")
            with self.bank.use(slot):
                checked = self._check(self.base, version)
        except BaseException:
            self._free += [slot] if slot < self.bank.num_slots else []
            raise
        self.loads.loaded += 1
        self._refused.pop(version.name, None)
        self._held[version.name] = _Held(version, slot, checked)
        LOG.info("adapter %s loaded: %s", ascii(version.name), checked)
        return self._held[version.name]

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
            gone = self._held.pop(idle[0].version.name)
            forget(gone.slot)
            self.loads.evicted += 1
            return gone.slot
        return self._free.pop() if self._free else None
