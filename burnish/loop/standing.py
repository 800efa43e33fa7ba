"""Where a project stands, its reports, and promotion by hand: all that needs no model, and so answers at once."""

import json
from collections import Counter
from typing import Any

from burnish.budget import Budget
from burnish.data.dataset import load_examples
from burnish.errors import BurnishError, UsageError
from burnish.loop.approval import approval_by_hand, is_stale, waiting
from burnish.loop.canary_end import end_overtaken
from burnish.loop.kept import demand_kept
from burnish.loop.past import find_round, results, round_folder
from burnish.loop.project import Project
from burnish.loop.seeds import vault_number
from burnish.records import as_json
from burnish.registry import BASE, champion, get, promote
from burnish.store.roles import current_roles
from burnish.store.stage import stage_runs


def promote_by_hand(project: Project, name: str, *, reason: str, force: bool, by: str = "") -> str:
    """Makes a version champion; `by` is who does it, and where the project asks for approvals an approver. A canary
    against the one before ends.

    Raises UsageError for a version that the gate did not pass, unless forced, without the approval, and for one that
    learned from a row which was forgotten since, forced or not.
    """
    version = get(project.store, name)
    demand_kept(project, version.name)
    if version.decision != "PROMOTE" and name != BASE and not force:
        raise UsageError(
            f"the gate did not pass {name}: its verdict was {version.decision or 'never asked for'}",
            hint="add --force to promote it all the same; the reason and the verdict stay in the history",
        )
    approval = approval_by_hand(project, version, by=by, reason=reason)
    told = f"{by.strip()}, {'forced by hand' if force else 'by hand'}".removeprefix(", ")
    promote(project.store, version.name, reason=reason, by=told, approval=approval)
    end_overtaken(project)
    return name


def standing(project: Project) -> dict[str, Any]:
    """Where a project stands, for people and for scripts."""
    past, now = results(project), champion(project.store)
    known, ids = current_roles(project.store), [example.id for example in load_examples(project.store)]
    roles = Counter(known[example] for example in ids if example in known)
    spent = Budget(store=project.store, settings=project.settings.budget).spent()
    return {
        "project": project.settings.project,
        "base": project.settings.base,
        "champion": now.name if now else None,
        "examples": len(ids),
        "roles": dict(sorted(roles.items(), key=lambda role: _role_order(role[0]))),
        "spent": {"usd": spent.usd, "seconds": spent.seconds, "tokens": spent.tokens},
        "rounds": [_round_line(result) for result in past],
        "stages": [as_json(run) for run in stage_runs(project.store)],
        "next": _next_step(project, bool(roles), len(past)),
    }


def _role_order(role: str) -> tuple[int, int]:
    order = ("train", "dev_a", "dev_b", "audit", "aside")
    return (order.index(role), 0) if role in order else (len(order), vault_number(role))


def _round_line(result: Any) -> dict[str, Any]:
    gain = result.gain
    known = gain.low is not None and gain.high is not None
    spread = f" [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if known else ""
    shown = "not scored" if gain.value is None else f"{100 * gain.value:+.1f}{spread}"
    said = {"decision": result.decision, "approval": result.approval}
    return {"round": result.round, **said, "gain": shown, "reason": result.reason}


def _next_step(project: Project, has_roles: bool, num_rounds: int) -> str:
    where = f"--project {project.folder}"
    if not any(True for _ in load_examples(project.store)):
        return f"burnish data add FILE {where}"
    if not num_rounds or not has_roles:
        return f"burnish round {where}"
    waits = [result.round for result in waiting(project) if not is_stale(project, result)]
    if waits:
        return f'burnish approve {waits[-1]} --by NAME --reason "..." {where}'
    return f"burnish report {where}, then add data and burnish round {where}"


def report_in(project: Project, number: int | None, form: str) -> str:
    """The path of a round's report, or its Markdown or JSON. Raises BurnishError when the file is gone."""
    folder = round_folder(project, find_round(project, number).round)
    path = folder / {"path": "report.html", "md": "report.md", "json": "report.json"}[form]
    if not path.exists():
        raise BurnishError(f"{path} is missing", hint="run `burnish round` again: it writes reports that are missing")
    if form == "path":
        return str(path)
    text = path.read_text(encoding="utf-8")
    return json.dumps(json.loads(text), ensure_ascii=False) if form == "json" else text.rstrip()
