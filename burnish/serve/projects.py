"""The projects of one server: which name means which version for whoever asks; of others a key learns nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from burnish.config import ServeSettings
from burnish.records import ModelVersion
from burnish.serve.catalog import Catalog
from burnish.serve.faults import ApiError
from burnish.serve.keys import Key
from burnish.serve.recorder import Recorder
from burnish.serve.wishes import Wishes


@dataclass(slots=True, kw_only=True)
class Served:
    """One project in a server, with its own task and settings."""

    catalog: Catalog
    wishes: Wishes
    settings: ServeSettings
    recorder: Recorder
    """Writes its answers down, where its settings say so."""
    num_open: int = 0
    """Its requests that are answered or wait."""

    @property
    def name(self) -> str:
        """The project's name."""
        return self.catalog.project


class Found(NamedTuple):
    """Who may answer to a name."""

    served: Served
    versions: tuple[ModelVersion, ...]
    """The first that can be loaded does."""


class Listed(NamedTuple):
    """A model as it is listed."""

    id: str
    served: Served
    version: ModelVersion


class Projects:
    """All projects of a server, each of another name."""

    def __init__(self, served: Sequence[Served]) -> None:
        self.all = tuple(served)
        assert len({one.name for one in self.all}) == len(self.all) > 0, [one.name for one in self.all]

    def seen_by(self, key: Key | None) -> tuple[Served, ...]:
        """The projects that a key opens; all of them where none is needed."""
        opened = None if key is None else key.project
        return tuple(one for one in self.all if opened in (None, one.name))

    def find(self, name: str, key: Key | None = None) -> Found:
        """The versions that may answer to this name.

        A project's name means its champion, `project@version` a version, and so does a version's name alone, where one
        project only has it. Raises ApiError 404 for any other name, those of projects that the key does not open
        included, and 400 for a version's name that several of its projects have.
        """
        seen = self.seen_by(key)
        project = name.rpartition("@")[0] or name
        for one in seen:
            if one.name in (name, project):
                return Found(one, one.catalog.find(name))
        found = [found for one in seen if (found := _in(one, name))]
        if not found:
            raise ApiError(404, "There is no such model here.", param="model", code="model_not_found")
        if len(found) > 1:
            names = ", ".join(f"{one.served.name}@{name}" for one in found)
            raise ApiError(400, f"Several projects have this model: {names}.", param="model", code="model_ambiguous")
        return found[0]

    def listed(self, key: Key | None = None) -> list[Listed]:
        """Every name with the version that it means now; of several projects, versions are `project@version`."""
        seen = self.seen_by(key)
        return [
            Listed(id if len(seen) == 1 or id == one.name else f"{one.name}@{id}", one, version)
            for one in seen
            for id, version in one.catalog.listed()
        ]


def _in(served: Served, name: str) -> Found | None:
    try:
        return Found(served, served.catalog.find(name))
    except ApiError:
        return None
