"""Adapters on their way from the disk, read and verified on threads of their own: a slow disk stops no token."""

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from burnish.model.adapter import Adapter, load_registered
from burnish.model.base import Base
from burnish.records import ModelVersion
from burnish.registry import folder_of
from burnish.store.store import Store

Probe = Callable[[], str]
"""Asks the base, with the adapter in use around the call, for answers that are known. Gives what was checked in words,
and raises ModelError where an answer is another one."""
Check = Callable[[Base, ModelVersion], Probe]
"""Reads what is known about a version, on any thread, and gives the probe, which is for the thread that owns torch."""

MOST_AT_ONCE = 4
"""Adapters of a project that are read, or wait to be taken, side by side: one that hangs keeps no other from it."""

Named = tuple[str, str]
"""A project and one of its versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the versions of a project are, and what is asked of them before they answer."""

    store: Store
    check: Check


class Found(NamedTuple):
    """An adapter as it was read, and what to ask it."""

    adapter: Adapter
    probe: Probe


class Reads:
    """The adapters of one base that are being read; one thread takes them."""

    def __init__(self, base: Base, sources: Mapping[str, Source]) -> None:
        self._base, self._sources = base, sources
        self._going: dict[Named, Future[Found]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is being read or waits to be taken."""
        return not self._going

    def take(self, project: str, version: ModelVersion, wake: Callable[[], None] | None) -> Found | None:
        """The adapter of a version, once it is read; it is given once. Raises what kept it from being read.

        None while it is being read; `wake` is called after that, on another thread. Without `wake` it is waited for.
        """
        named = project, version.name
        going = self._going.get(named)
        if going is None:
            if sum(owner == project for owner, _ in self._going) >= MOST_AT_ONCE:
                return None
            going = self._going[named] = self._begin(project, version, wake)
        if wake is not None and not going.done():
            return None
        try:
            return going.result()
        finally:
            del self._going[named]

    def put_back(self, project: str, version: ModelVersion, found: Found) -> None:
        """Keeps what was taken for the next time, because there is no memory for it yet."""
        self._going[project, version.name] = Future()
        self._going[project, version.name].set_result(found)

    def keep(self, names: Collection[Named]) -> None:
        """Lets go what is read and nobody waits for any more."""
        for name in [name for name, going in self._going.items() if going.done() and name not in names]:
            del self._going[name]

    def _begin(self, project: str, version: ModelVersion, wake: Callable[[], None] | None) -> Future[Found]:
        """Reads on a thread of its own, a daemon: a disk that hangs must not keep the process from ending."""
        going: Future[Found] = Future()
        if wake is not None:
            going.add_done_callback(lambda _: wake())

        def work() -> None:
            try:
                going.set_result(self._read(project, version))
            except BaseException as error:
                going.set_exception(error)

        threading.Thread(target=work, name="burnish-read", daemon=True).start()
        return going

    def _read(self, project: str, version: ModelVersion) -> Found:
        """The adapter, if it is the registered one and was made for this base."""
        source = self._sources[project]
        folder = folder_of(source.store, version)
        assert folder is not None, version
        adapter = load_registered(folder, version, self._base)
        return Found(adapter, source.check(self._base, version))
