"""The endpoints of a project as their user sees them: where they are, whether they may be used, what they cost yet."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

from burnish.budget import TEACHER, open_budget
from burnish.client.address import allow, allowed, host_of, is_loopback
from burnish.config import EndpointSettings
from burnish.errors import ConfigError
from burnish.loop.project import Project
from burnish.loop.solving import Solver
from burnish.loop.stages import shop_outside_rounds
from burnish.loop.teaching import open_teacher, people_of
from burnish.records import as_json
from burnish.store.replies import newest_replies
from burnish.talk import Talk


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One endpoint of a project."""

    name: str
    """teacher, verifier or judge."""
    host: str
    model: str
    key_env: str
    has_key: bool
    """Whether the key is set, where one is needed."""
    is_allowed: bool
    """Whether the user of this machine allowed it, or it is on this machine."""
    is_priced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One real question to an endpoint."""

    name: str
    model: str
    seconds: float
    usd: float
    num_tokens: int
    question: str
    expected: str
    text: str
    fault: str


def standings(project: Project, environ: Mapping[str, str] | None = None) -> list[Standing]:
    """The endpoints that are set. Raises ConfigError for an address that no teacher can have."""
    known = os.environ if environ is None else environ
    return [
        Standing(
            name=name,
            host=host_of(one),
            model=one.model,
            key_env=one.key_env,
            has_key=not one.key_env or bool(known.get(one.key_env)),
            is_allowed=is_loopback(one) or [host_of(one), one.key_env] in allowed(known),
            is_priced=one.is_priced,
        )
        for name, one in _endpoints(project)
    ]


def allow_all(project: Project) -> list[str]:
    """Allows every endpoint that is set, for this user on this machine; returns their hosts."""
    for _, one in _endpoints(project):
        allow(one)
    return [host_of(one) for _, one in _endpoints(project)]


def try_endpoints(project: Project, talk: Talk) -> list[Trial]:
    """Asks each endpoint to solve one row of people, inside the budget. Raises what `open_teacher` raises."""
    shop = shop_outside_rounds(project, talk, lambda: False)
    people = people_of(shop)
    row = Random(shop.project.settings.seed).choice(people)
    found = []
    for name, one in _endpoints(project):
        began = time.monotonic()
        with closing(open_teacher(shop, one, name)) as teacher:
            solver = Solver(teacher=teacher, task=shop.seeds.task, people=people, draws=1)
            (answer,) = solver.ask([solver.question(row, time.time_ns() % 2**31, temperature=0.0)], name)
        found.append(
            Trial(
                name=name,
                model=answer.model,
                seconds=time.monotonic() - began,
                usd=answer.usd,
                num_tokens=answer.num_tokens,
                question=row.prompt[-1].content,
                expected=row.answer,
                text=answer.text,
                fault=answer.fault,
            )
        )
    return found


def spent(project: Project) -> dict[str, Any]:
    """What was paid to endpoints so far."""
    stages = open_budget(project.store, project.settings.budget).by_stage()
    costs = [cost for name, cost in stages.items() if name.endswith(TEACHER)]
    return {"usd": sum(cost.usd for cost in costs), "tokens": sum(cost.tokens for cost in costs)}


def newest(project: Project, count: int) -> list[dict[str, Any]]:
    """The newest replies as they came, the last one first."""
    return [as_json(one) for one in newest_replies(project.store, count)]


def _endpoints(project: Project) -> Sequence[tuple[str, EndpointSettings]]:
    settings = project.settings
    named = (("teacher", settings.teacher), ("verifier", settings.verifier), ("judge", settings.judge))
    found = [(name, one) for name, one in named if one.is_set]
    if not found:
        raise ConfigError(
            "no teacher is set",
            hint="set teacher.base_url and teacher.model in burnish.yaml; burnish works without one, too",
        )
    return found
