"""Which models there are, by the names that clients use; read anew for every request, so that a promotion counts."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from burnish import registry
from burnish.records import ModelVersion
from burnish.serve.faults import ApiError
from burnish.store.store import Store

Tainted = Callable[[tuple[str, ...]], Collection[str]]
"""Tells which of these versions learned from rows that were forgotten since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The versions of one project."""

    store: Store
    project: str
    """Name under which the champion answers."""
    tainted: Tainted

    def find(self, name: str) -> tuple[ModelVersion, ...]:
        """The versions that may answer to this name, the first of them that can be loaded.

        A version's name means that version alone. The project's name means its champion, and where that one cannot be
        loaded the one before it that learned from nothing forgotten since, never the untuned base in its place. Raises
        ApiError 404 for any other name.
        """
        known = {version.name: version for version in registry.models(self.store)}
        project, at, wanted = name.rpartition("@")
        if name == self.project:
            return self._champions(known)
        wanted = wanted if at and project == self.project else name
        if wanted not in known:
            raise ApiError(404, "There is no such model here.", param="model", code="model_not_found")
        return (known[wanted],)

    @staticmethod
    def created(version: ModelVersion) -> int:
        """When the version was registered, in seconds since 1970; 0 where that is not known."""
        return int(datetime.fromisoformat(version.created_at).timestamp()) if version.created_at else 0

    def champion(self) -> ModelVersion | None:
        """The version in use now."""
        return registry.champion(self.store)

    def listed(self) -> list[tuple[str, ModelVersion]]:
        """Every name with the version it means now, the project's first."""
        champion = self.champion()
        first = [(self.project, champion)] if champion else []
        return [*first, *((version.name, version) for version in registry.models(self.store))]

    def _champions(self, known: dict[str, ModelVersion]) -> tuple[ModelVersion, ...]:
        names = dict.fromkeys(reversed(registry.line_of_champions(self.store)))
        line = [known[name] for name in names if name in known]
        if not line:
            raise ApiError(404, "The project has no champion yet.", param="model", code="model_not_found")
        earlier = [version for version in line[1:] if version.artifact]
        tainted = self.tainted(tuple(version.name for version in earlier)) if earlier else ()
        return (line[0], *(version for version in earlier if version.name not in tainted))
