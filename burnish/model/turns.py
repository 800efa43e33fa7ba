"""What a chat template writes around each turn, where it writes every turn of a role alike; and that in other words.

Ollama has templates of its own, in Go's template language, that go through a conversation turn by turn. A template that
treats some turns otherwise, such as the last one, cannot be said so; `turns_of` proves that it does not.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from burnish.errors import DataError, ModelError
from burnish.model.chat import Chat
from burnish.model.template import PROBES, Roles, Skeleton


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The pieces of a chat format."""

    opening: str
    """At the very beginning, such as a token that begins a text."""
    before: dict[str, str]
    """By role; no system: the template refuses it."""
    after: dict[str, str]
    answer: str
    """Where the assistant answers."""

    def text_around(self, roles: Sequence[str], *, add_prompt: bool) -> tuple[str, ...]:
        """Before, between and after the contents, as `Skeleton.texts`."""
        texts = [self.opening]
        for role in roles:
            texts[-1] += self.before[role]
            texts.append(self.after[role])
        texts[-1] += self.answer if add_prompt else ""
        return tuple(texts)

    def as_go(self) -> str:
        """The same as a template of Ollama, up to where the assistant answers."""
        parts = []
        for role in self.before:
            parts.append(
                f'eq .Role "{role}" }}}}{_quoted(self.before[role])}{{{{ .Content }}}}{_quoted(self.after[role])}'
            )
        branches = "{{ if " + "{{ else if ".join(parts) + "{{ end }}"
        return f"{_quoted(self.opening)}{{{{ range .Messages }}}}{branches}{{{{ end }}}}{_quoted(self.answer)}"


def turns_of(chat: Chat) -> Turns:
    """The chat format in pieces, proven on conversations of up to eight turns.

    Raises ModelError when the template writes some turns otherwise than others.
    """
    found = _taken_apart(chat)
    for roles in PROBES:
        for add_prompt in (True, False):
            known = _skeleton(chat, roles, add_prompt=add_prompt)
            if known is None and "system" in roles:
                continue
            if known is None or found is None or ("system" not in found.before and "system" in roles):
                raise _irregular(roles)
            if known.texts != found.text_around(roles, add_prompt=add_prompt):
                raise _irregular(roles)
    assert found is not None
    return found


def _taken_apart(chat: Chat) -> Turns | None:
    """The pieces as three short conversations show them; None where they do not fit together."""
    asked = _skeleton(chat, ("user",), add_prompt=True)
    long = _skeleton(chat, ("user", "assistant", "user"), add_prompt=False)
    short = _skeleton(chat, ("user", "assistant"), add_prompt=False)
    if asked is None or long is None or short is None:
        return None
    first, between, next_turn, after_user = long.texts
    after_assistant = short.texts[2]
    before_user = next_turn.removeprefix(after_assistant)
    before = {"user": before_user, "assistant": between.removeprefix(after_user)}
    after = {"user": after_user, "assistant": after_assistant}
    opening = first.removesuffix(before_user)
    told = _skeleton(chat, ("system", "user"), add_prompt=False)
    if told is not None:
        before = {"system": told.texts[0].removeprefix(opening), **before}
        after["system"] = told.texts[1].removesuffix(before_user)
    return Turns(opening=opening, before=before, after=after, answer=asked.texts[1].removeprefix(after_user))


def _skeleton(chat: Chat, roles: Roles, *, add_prompt: bool) -> Skeleton | None:
    """None where the template refuses this order of roles."""
    try:
        return chat.skeleton(roles, add_prompt=add_prompt)
    except DataError:
        return None


def _quoted(text: str) -> str:
    """Text as an action of a Go template, whatever white space or braces are in it."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def _irregular(roles: Roles) -> ModelError:
    return ModelError(
        f"the chat template of this base does not write every turn alike ({', '.join(roles)}), so Ollama's template "
        "language cannot say it",
        hint="take --format gguf: its file carries the chat template itself, which llama-server --jinja reads",
    )
