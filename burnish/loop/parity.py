"""Whether what an export wrote answers as it was measured: read back by the target's own reader where it is installed.

The probes are those of the server: stored answers of the version's evaluation, no row of a vault among them.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import ModelError
from burnish.loop.probing import Agreement, agreement, likelihoods, stored_answers
from burnish.loop.project import Project
from burnish.model.adapter import Adapter, load_adapter
from burnish.model.base import Base, load_base
from burnish.model.lora import attach
from burnish.model.peft_reader import peft_logprobs, peft_name
from burnish.model.whole import holding
from burnish.records import ModelVersion
from burnish.serve.reads import UNPROVEN

NO_PEFT = "PEFT is not installed (pip install 'burnish[export]'); burnish itself reads it as it was measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How the files that were written answer, against the version's stored evaluation."""

    checked: bool
    """By the target's own reader; where not, `reason` says why."""
    reader: str
    compared: int = 0
    """Stored answers that were asked again."""
    largest: float | None = None
    """Largest relative difference of a log-probability; null: none was compared."""
    allowed: float | None = None
    reason: str = ""

    def sentence(self) -> str:
        """The same in words."""
        found = (
            f"{self.compared} stored answers came out again, log-probabilities within {self.largest:.2%} "
            f"({self.allowed:.1%} is allowed), read by {self.reader}"
            if self.compared
            else ""
        )
        return found if self.checked else f"not checked: {self.reason}" + (f"; {found}" if found else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is compared."""

    project: Project
    base: Base
    version: ModelVersion
    adapter: Adapter
    draft: Path


def check(form: str, subject: Subject) -> Parity:
    """Reads the draft back and asks it the probes. Raises ModelError when it answers otherwise than was measured."""
    checks: dict[str, Callable[[Subject], Parity]] = {"merged": _merged, "gguf": _gguf, "ollama": _gguf}
    return checks.get(form, _peft)(subject)


def _peft(subject: Subject) -> Parity:
    base, project, version = subject.base, subject.project, subject.version
    spec, state = load_adapter(subject.draft, base)
    rows = stored_answers(project, base, version)
    bank = attach(base.model, [spec])
    try:
        bank.put(0, spec, state)
        with bank.use(0):
            own, known = agreement(project, base, version), likelihoods(base, rows)
    finally:
        bank.detach()
    if own is None:
        return Parity(checked=False, reader="burnish", reason=UNPROVEN)
    if importlib.util.find_spec("peft") is None:
        return _found(own, "burnish", reason=NO_PEFT)
    theirs = peft_logprobs(base, subject.draft, rows)
    apart = max(abs(a - b) / max(1.0, abs(a), abs(b)) for a, b in zip(known, theirs, strict=True))
    if not apart <= own.allowed:
        raise ModelError(
            f"PEFT finds answers of {version.name} {apart:.1%} more or less likely than burnish does",
            hint="The versions of peft and transformers here do not fit together; nothing was exported.",
        )
    return _found(own._replace(largest=max(own.largest, apart)), f"burnish and {peft_name()}")


def _merged(subject: Subject) -> Parity:
    base = load_base(str(subject.draft), precision=subject.base.precision, device=subject.base.device)
    return _found(agreement(subject.project, base, subject.version), "transformers")


def _gguf(subject: Subject) -> Parity:
    from burnish.model.gguf_file import compare_gguf

    tensors = compare_gguf(subject.draft / "model.gguf", subject.base, subject.adapter)
    with holding(subject.base, tensors) as base:
        found = agreement(subject.project, base, subject.version)
    return _found(found, f"the library gguf, {len(tensors)} tensors equal to what was merged")


def _found(found: Agreement | None, reader: str, *, reason: str = "") -> Parity:
    if found is None:
        return Parity(checked=False, reader=reader, reason=UNPROVEN)
    return Parity(
        checked=not reason,
        reader=reader,
        compared=found.compared,
        largest=found.largest,
        allowed=found.allowed,
        reason=reason,
    )
