"""`burnish export`: a version as files that other tools serve, checked to answer as it was measured, moved there whole.

What is not the registered adapter, byte by byte, is refused, and so is a version that learned a forgotten row.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.errors import UsageError
from burnish.fingerprint import fingerprint
from burnish.loop import starting
from burnish.loop.kept import learned_since
from burnish.loop.parity import Parity, Subject, check
from burnish.loop.project import Project
from burnish.loop.rendering import card_of
from burnish.loop.task import task_of_project
from burnish.loop.workbench import Workbench
from burnish.model.adapter import CONFIG, WEIGHTS, load_registered
from burnish.model.base import Base, find_folder
from burnish.model.folder import read_json
from burnish.model.template import TODAY
from burnish.model.whole import TEMPLATE, save_whole, size_of
from burnish.records import ModelVersion, Task, as_json, from_json
from burnish.registry import folder_of, get
from burnish.store.delivery import deliver, delivered, drafted
from burnish.store.failpoints import failpoint
from burnish.store.files import require_space, write_atomic
from burnish.store.manifest import Sealed
from burnish.talk import Talk

FORMATS = ("peft", "merged", "gguf", "ollama", "vllm")
ADAPTERS = ("peft", "vllm")
"""Formats that hold the adapter alone; the base comes from where it is."""
STAGE, VERSION = "export", 1
LIBRARY = {"peft": "peft", "vllm": "peft", "merged": "transformers", "gguf": "gguf", "ollama": "gguf"}
"""What the card names as the library that reads the files."""
PINNED = "{%- macro strftime_now(form) %}" + TODAY + "{% endmacro %}"
"""Before a template with a calendar: the date that it was trained and measured with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    model: str
    format: str
    folder: str
    dtype: str
    """Type of the weights: float32 or bfloat16, of the base; an adapter itself is float32."""
    files: tuple[str, ...]
    size_bytes: int
    content_hash: str
    """Of all files, as manifest.json has it."""
    parity: Parity
    start: tuple[str, ...]
    """Commands to be given in the folder."""
    warnings: tuple[str, ...]
    unchanged: bool
    """It was there already, every byte verified."""


def export(project: Project, name: str, form: str, place: Path, talk: Talk, *, force: bool = False) -> Exported:
    """Writes a version into the folder `place` and says how it answers; the same again changes nothing.

    Raises:
        UsageError: for the untuned base, for a version that learned a forgotten row, for a place that is not free.
        DamagedError: the version's files are not those that were sealed.
        ModelError: the base cannot be written so, or what was written answers otherwise than was measured.
    """
    place = Path(os.path.abspath(place))
    version, task = _demand_kept(project, get(project.store, name)), task_of_project(project)
    folder = folder_of(project.store, version)
    if folder is None:
        raise UsageError(f"{version.name} is the untuned base: nothing of this project is in it", hint="name a version")
    key = _key(project, version, task, form)
    there = delivered(place, STAGE, key)
    if there is not None and there.record["parity"]["checked"]:
        return _told(there, place, unchanged=True)
    with drafted(place, STAGE, force=force) as draft:
        base = Workbench(project.settings, project.store.root, talk).base
        subject = Subject(
            project=project, base=base, version=version, adapter=load_registered(folder, version, base), draft=draft
        )
        record = _fill(form, subject, folder, task, talk)
        failpoint("export.checked")
        sealed = deliver(draft, place, stage=STAGE, key=key, record=record)
    return _told(sealed, place, unchanged=False)


def _demand_kept(project: Project, version: ModelVersion) -> ModelVersion:
    """The version. Raises UsageError when it learned a row that was forgotten since."""
    learned = learned_since(project).get(version.name, 0)
    if learned:
        raise UsageError(
            f"{version.name} learned {learned} of the rows that were forgotten since",
            hint="run a new round, which leaves them out, and export its version: burnish round",
        )
    return version


def _key(project: Project, version: ModelVersion, task: Task, form: str) -> str:
    """Identity of what is to be written."""
    settings = project.settings
    base = {"base": settings.base, "revision": settings.revision, "precision": settings.train.precision}
    return fingerprint({"export": VERSION, "form": form, "version": as_json(version), "task": as_json(task), **base})


def _fill(form: str, subject: Subject, source: Path, task: Task, talk: Talk) -> dict[str, Any]:
    """Writes all files of an export into the draft, checks them, and gives what is told of it."""
    draft, base, version = subject.draft, subject.base, subject.version
    served = _served(form, subject, task)
    lines = starting.commands(form, served)
    warnings = _warnings(version)
    if form in ADAPTERS:
        _write_adapter(draft, source, served, base)
    else:
        require_space(draft, size_of(base), "the export")
        warnings += _write_whole(form, subject, served, talk)
    talk.say("read back what was written, and ask it stored answers again")
    parity = check(form, subject)
    write_atomic(draft / "README.md", card_of(subject.project, version, LIBRARY[form]).encode())
    write_atomic(draft / "START.md", starting.page(form, served, lines, _first_up(parity), warnings).encode())
    write_atomic(draft / "start.sh", starting.shell(lines).encode())
    if form == "peft":
        write_atomic(draft / "start.py", starting.script(served).encode())
    told = {"model": version.name, "format": form, "dtype": base.precision, "parity": as_json(parity)}
    return {**told, "start": list(lines), "warnings": list(warnings)}


def _first_up(parity: Parity) -> str:
    sentence = parity.sentence()
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _served(form: str, subject: Subject, task: Task) -> starting.Served:
    base, settings = subject.base, subject.project.settings
    return starting.Served(
        version=subject.version,
        task=task,
        base=settings.base if base.revision else str(find_folder(base.name, None).resolve()),
        revision=base.revision,
        dtype=base.precision,
        rank=subject.adapter.spec.rank,
        num_tokens=_longest(form, base),
        end_ids=base.chat.end_ids,
        pad_id=base.chat.pad_id,
        has_template=_template(base) is not None,
    )


def _longest(form: str, base: Base) -> int:
    """Tokens of the longest text that the target reads as the base does."""
    if form not in ("gguf", "ollama"):
        return base.max_tokens
    from burnish.model.gguf_layout import window_of

    return window_of(base)


def _template(base: Base) -> str | None:
    """The chat template as other tools need it beside the base's own files; None: those have the very same."""
    if "strftime_now" in base.chat.source:
        return PINNED + base.chat.source
    return None if base.tokenizer.chat_template else base.chat.source


def _write_adapter(draft: Path, source: Path, served: starting.Served, base: Base) -> None:
    """The adapter's own bytes, with the base named as other tools find it."""
    shutil.copyfile(source / WEIGHTS, draft / WEIGHTS)
    place = {"base_model_name_or_path": served.base, "revision": served.revision}
    config = read_json(source / CONFIG, served.version.name) | place
    write_atomic(draft / CONFIG, (json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())
    if (template := _template(base)) is not None:
        write_atomic(draft / TEMPLATE, template.encode())


def _write_whole(form: str, subject: Subject, served: starting.Served, talk: Talk) -> tuple[str, ...]:
    """The base with the adapter in its weights; gives what differs in that format."""
    dated = (f"the chat template writes today's date; it was measured with {TODAY}",)
    warnings: tuple[str, ...] = dated if "strftime_now" in subject.base.chat.source and form != "ollama" else ()
    if form == "merged":
        save_whole(subject.draft, subject.base, subject.adapter, talk)
        return warnings
    from burnish.model.gguf_file import save_gguf
    from burnish.model.gguf_layout import demand_gguf
    from burnish.model.modelfile import modelfile

    warnings += demand_gguf(subject.base)
    if form == "ollama":
        instruction = served.task.instruction
        text = modelfile(subject.base, "model.gguf", instruction=instruction, num_tokens=served.num_tokens)
        write_atomic(subject.draft / "Modelfile", text.encode())
    save_gguf(subject.draft / "model.gguf", subject.base, subject.adapter, subject.version.name, talk)
    return warnings


def _warnings(version: ModelVersion) -> tuple[str, ...]:
    if version.decision == "PROMOTE":
        return ()
    return (f"the gate did not pass {version.name}: its verdict was {version.decision or 'never asked for'}",)


def _told(sealed: Sealed, place: Path, *, unchanged: bool) -> Exported:
    record = dict(sealed.record)
    sizes = {path.relative_to(place).as_posix(): path.stat().st_size for path in place.rglob("*") if path.is_file()}
    return Exported(
        model=record["model"],
        format=record["format"],
        folder=str(place),
        dtype=record["dtype"],
        files=tuple(sorted(sizes)),
        size_bytes=sum(sizes.values()),
        content_hash=sealed.content_hash,
        parity=from_json(Parity, record["parity"]),
        start=tuple(record["start"]),
        warnings=tuple(record["warnings"]),
        unchanged=unchanged,
    )
