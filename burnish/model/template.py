"""A chat template, run as the untrusted program that it is: sandboxed, and counted in steps, time and memory.

Contents never enter a template. It sees one marker per message and so decides, from the order of roles alone, what
stands around the contents; that skeleton is cached. A template of a stranger is first run in a process of its own with
limits on time and memory, on the probes below, before it may run in ours.
"""

import json
import resource
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

import jinja2
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from burnish.errors import DataError, ModelError

MAX_TEMPLATE_CHARS = 100_000
MAX_SKELETON_CHARS = 200_000
MAX_STEPS = 200_000
"""Lines of a compiled template that one rendering may run; real ones need a few hundred."""

PROBE_SECONDS = 5
PROBE_BYTES = 1 << 30
TODAY = "26 Jul 2024"
"""The date that templates with a calendar get. A prompt that changes overnight would make no two scores comparable."""

Roles = tuple[str, ...]
PROBES: tuple[Roles, ...] = tuple(
    ((*system, *("user", "assistant") * turns)[:end])
    for system in ((), ("system",))
    for turns in range(1, 5)
    for end in (len(system) + 2 * turns - 1, len(system) + 2 * turns)
)
"""Conversations of one to eight turns, with and without a system message, ending with either side."""


_SPACE = "\u2003"
"""Put around each marker: a template that trims its contents eats it."""


class Skeleton(NamedTuple):
    """What a template writes around the contents of a conversation."""

    texts: tuple[str, ...]
    """Before, between and after the contents: one more than there are messages."""
    trims: tuple[str, ...]
    """One per message: on which sides its white space is cut, any of "", "l", "r", "lr"."""


class _Refused(Exception):
    """The template itself called raise_exception."""


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "+", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) if isinstance(side, (str, list, tuple)) else 0 for side in (left, right)]
        too_many = (
            operator == "*" and any(isinstance(side, int) and side > 1000 for side in (left, right)) and any(sizes)
        )
        if too_many or sum(sizes) > MAX_SKELETON_CHARS or operator in ("**",):
            raise jinja2.exceptions.SecurityError(f"the template builds something too large with {operator}")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """The generation block, with which some templates mark answers; here it only passes its body on."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> _Sandbox:
    extensions: list[str | type[Extension]] = ["jinja2.ext.loopcontrols", _Generation]
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = lambda value, indent=None, **rest: json.dumps(
        value, ensure_ascii=False, indent=indent
    )
    environment.globals["strftime_now"] = lambda form: TODAY
    environment.globals["raise_exception"] = _refuse
    return environment


def _refuse(message: str) -> None:
    raise _Refused(message)


class Template:
    """A compiled chat template; `skeleton` gives what it writes around the contents of a conversation."""

    def __init__(self, source: str, special: dict[str, str]) -> None:
        """`special` holds bos_token and the like, which templates may use. Raises ModelError for a broken template."""
        if len(source) > MAX_TEMPLATE_CHARS:
            raise ModelError(
                f"the chat template has {len(source)} characters; at most {MAX_TEMPLATE_CHARS} are accepted",
                hint="Put a plain template into the model folder's chat_template.jinja.",
            )
        self.source = source
        self.special = dict(special)
        try:
            self._compiled = _environment().from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise _broken(str(error)) from error
        self._known: dict[tuple[Roles, bool], Skeleton | str] = {}

    def skeleton(self, roles: Roles, *, add_prompt: bool) -> Skeleton:
        """What the template writes around the contents of these roles, with or without the start of an answer.

        Raises DataError when the template refuses this order of roles, ModelError when it drops, doubles, reorders or
        changes a message, or goes over a limit.
        """
        key = (roles, add_prompt)
        if key not in self._known:
            self._known[key] = self.run(roles, add_prompt)
        known = self._known[key]
        if isinstance(known, str):
            raise DataError(
                f"the base's chat template refuses this conversation ({', '.join(roles)}): {known}",
                hint="Most often it knows no system message, or wants user and assistant to alternate.",
            )
        return known

    def learn(self, skeletons: Sequence[tuple[Roles, bool, Skeleton | str]]) -> None:
        """Takes over what `probe` found, so that these orders of roles need no run in this process."""
        self._known.update({(roles, add_prompt): found for roles, add_prompt, found in skeletons})

    def run(self, roles: Roles, add_prompt: bool) -> Skeleton | str:
        """One rendering, not cached; a string is the reason for which the template refused."""
        nonce = secrets.token_hex(8)
        marks = [f"\ue000{nonce}-{index}\ue001" for index in range(len(roles))]
        messages = [{"role": role, "content": _SPACE + mark + _SPACE} for role, mark in zip(roles, marks, strict=True)]
        given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": add_prompt}
        try:
            text = _counted(lambda: self._compiled.render({**given, **self.special}))
        except _Refused as refusal:
            return str(refusal)[:300]
        except (jinja2.TemplateError, TypeError, ValueError, OverflowError, RecursionError, AttributeError) as error:
            raise _broken(str(error)) from error
        if len(text) > MAX_SKELETON_CHARS:
            raise _broken(f"it writes {len(text)} characters around {len(roles)} messages")
        return _split(text, marks, roles)


def _split(text: str, marks: Sequence[str], roles: Roles) -> Skeleton:
    parts, trims = [], []
    for index, mark in enumerate(marks):
        if text.count(mark) != 1:
            times = "leaves out" if mark not in text else "repeats"
            raise _broken(f"it {times} message {index + 1} of {len(roles)} ({roles[index]})")
        before, _, text = text.partition(mark)
        if any(other in before for other in marks):
            raise _broken("it changes the order of the messages")
        trims.append(("" if before.endswith(_SPACE) else "l") + ("" if text.startswith(_SPACE) else "r"))
        parts.append(before.removesuffix(_SPACE))
        text = text.removeprefix(_SPACE)
    return Skeleton((*parts, text), tuple(trims))


def _broken(what: str) -> ModelError:
    return ModelError(
        f"the chat template of this base cannot be used: {what}",
        hint="Correct chat_template.jinja in the model folder; every message must appear once, in order.",
    )


def _counted(render: Callable[[], str]) -> str:
    """Runs a rendering and stops it after MAX_STEPS lines, so that nested loops end."""
    steps = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > MAX_STEPS:
            raise jinja2.exceptions.SecurityError(f"it does not end within {MAX_STEPS} steps")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        return render()
    finally:
        sys.settrace(before)


def probe(source: str, special: dict[str, str]) -> Template:
    """A template of a stranger, after all PROBES went well in a process with limits of 5 s and 1 GiB.

    Raises ModelError when it is broken, endless or greedy.
    """
    template = Template(source, special)
    request = json.dumps({"source": source, "special": special})
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "burnish.model.template"],
            input=request.encode(),
            capture_output=True,
            timeout=2 * PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _broken("it does not come to an end") from error
    if answer.returncode != 0:
        raise _broken(f"it ran over {PROBE_SECONDS} s or {PROBE_BYTES >> 20} MiB")
    found = json.loads(answer.stdout)
    if "problem" in found:
        raise _broken(found["problem"])
    for roles, add, written in found["skeletons"]:
        skeleton = written if isinstance(written, str) else Skeleton(tuple(written[0]), tuple(written[1]))
        template.learn([(tuple(roles), add, skeleton)])
    return template


def _probe_here() -> None:
    """The other side of `probe`: reads a request from stdin, sets its own limits, writes skeletons or a problem."""
    resource.setrlimit(resource.RLIMIT_CPU, (PROBE_SECONDS, PROBE_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (PROBE_BYTES, PROBE_BYTES))
    request = json.loads(sys.stdin.read())
    answer: dict[str, Any]
    try:
        template = Template(request["source"], request["special"])
        answer = {"skeletons": [(roles, add, template.run(roles, add)) for roles in PROBES for add in (True, False)]}
    except ModelError as error:
        answer = {"problem": error.message.partition(": ")[2]}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _probe_here()
