"""Several projects on one copy of their base: which they can share, and which not."""

from collections.abc import Sequence

from burnish.errors import UsageError
from burnish.loop.project import Project
from burnish.loop.workbench import Workbench
from burnish.model.base import Base, hash_of_base
from burnish.talk import Talk


def shared_base(projects: Sequence[Project], talk: Talk, *, is_run_here: bool = True) -> Base:
    """The base of all these projects, loaded once, in the precision of the first.

    Its weights stay on the disk where another engine runs it and not this process (`is_run_here`).
    Raises UsageError that names two projects of one name, of different bases, or measured in different precisions.
    """
    first, *others = projects
    _check_names(projects)
    shop = Workbench(first.settings, first.store.root, talk)
    base = shop.base if is_run_here else shop.outline
    for other in others:
        bench = Workbench(other.settings, other.store.root, talk)
        found = hash_of_base(bench.base_place, revision=other.settings.revision)
        if found != base.base_hash:
            raise UsageError(
                f"{_named(first, base.base_hash)} and {_named(other, found)} cannot share one copy",
                hint="serve projects of one base together, and the others by a server of their own",
            )
        if bench.precision not in ("auto", base.precision):
            raise UsageError(
                f"{first.settings.project} is measured in {base.precision} and {other.settings.project} in "
                f"{bench.precision}, which are other answers",
                hint="serve them apart, or give both the same train.precision and evaluate them anew",
            )
    return base


def _check_names(projects: Sequence[Project]) -> None:
    known: dict[str, Project] = {}
    for one in projects:
        twin = known.setdefault(one.settings.project, one)
        if twin is not one:
            raise UsageError(
                f"{twin.folder} and {one.folder} are both named {one.settings.project}, which is what clients ask for",
                hint="give each its own name: `project:` in burnish.yaml",
            )


def _named(project: Project, base_hash: str) -> str:
    return f"{project.settings.project} with the base {project.settings.base} ({base_hash[:12]})"
