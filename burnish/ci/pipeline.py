"""The files of `burnish ci init`, each from a template beside this one, written together or not at all.

Both pipelines check the data, run a short round on a CPU, and let the gate decide about a merge by its exit code.
"""

import json
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from burnish.errors import UsageError
from burnish.store.files import storage_errors, write_atomic

TEMPLATES = {
    ".github/workflows/burnish.yml": "github.yml",
    ".gitlab-ci.yml": "gitlab.yml",
    "ci/burnish-gate.sh": "gate.sh",
    "Containerfile": "Containerfile",
    "ci/burnish-serve.service": "serve.service",
}
"""Where each file goes, in the repository, and the template that it is made from."""


def write_pipeline(folder: Path, *, project: str, data: str, force: bool) -> dict[str, bool]:
    """Writes all files below `folder`; by name whether it is new or changed.

    `project` and `data` are the folder of the project and the file of examples, from there. Raises UsageError before
    anything is written for another place, and when a file is there already with another content, unless forced.
    """
    for given in (project, data):
        if not given.isprintable() or Path(given).is_absolute() or not given.strip():
            raise UsageError(f"{given!r} is no place in the repository", hint="name it from the repository's root")
    made = {name: rendered(template, project=project, data=data) for name, template in TEMPLATES.items()}
    before = {name: (folder / name).read_text("utf-8") if (folder / name).is_file() else None for name in made}
    there = [name for name, text in before.items() if text is not None and text != made[name]]
    if there and not force:
        raise UsageError(
            f"{there[0]} is there already, with another content; nothing was written",
            hint="add --force to replace it, or write the files elsewhere with --dir and take what you need",
        )
    for name, text in made.items():
        with storage_errors(f"writing {name}", folder):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if text != before[name]:
                write_atomic(folder / name, text.encode())
    return {name: made[name] != before[name] for name in made}


def rendered(template: str, *, project: str, data: str) -> str:
    """A template with its places filled, each quoted for where it stands."""
    text = resources.files("burnish.ci").joinpath(template).read_text(encoding="utf-8")
    places: Mapping[str, str] = {
        "@PROJECT_JSON@": json.dumps(project),
        "@DATA_JSON@": json.dumps(data),
        "@STATE_JSON@": json.dumps(f"{project}/.burnish"),
        "@COPY_JSON@": json.dumps([f"{project}/", "/srv/project/"]),
        "@CALL@": shlex.join(["burnish", "ci", "init", "--project", project, "--data", data]),
    }
    for place, value in places.items():
        text = text.replace(place, value)
    return text
