"""From a row of a file to a conversation: the shapes that the ecosystem writes, told apart by their columns.

messages          {"messages": [{"role", "content"}...]}                      OpenAI, TRL
conversations     {"conversations": [{"from", "value"}...]}                   ShareGPT
prompt/completion {"prompt": text or messages, "completion": text or messages}
instruction       {"instruction", "input", "output"}                          Alpaca
table             one column of text, one of answers, the others are metadata

Answers are stripped of white space at both ends; prompts are kept as they are.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from burnish.config import DataSettings
from burnish.data.strict_json import JsonFault, StrictJson
from burnish.records import Message

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SHAREGPT_ROLES = {
    **ROLES,
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
TOOL_ROLES = {"tool", "function", "function_call", "observation", "tool_call", "tool_response", "ipython"}
TOOL_KEYS = ("tools", "functions", "tool_calls", "function_call")
SYSTEM_NAMES = ("system", "system_prompt")

TEXT_NAMES = (
    *("text", "message", "utterance", "sentence", "question", "query", "input", "prompt", "instruction", "request"),
    *("content", "body", "document", "review", "comment", "tweet", "sms", "description", "passage", "title"),
)
"""Column names that hold the text of a table, likeliest first; capitals do not matter."""

ANSWER_NAMES = (
    *("label_text", "label_name", "label", "intent", "category", "class", "target", "answer", "output", "completion"),
    *("response", "sentiment", "topic", "expected", "gold"),
)
"""Column names that hold the answer of a table, likeliest first."""

SUPPORTED = "messages; conversations; prompt and completion; instruction and output; a text column and an answer column"


ASKED = ("question", "query", "instruction")
REPLIES = ("answer", "response", "output")
"""A table with one of each holds questions and their answers, whatever class or topic stands beside them."""

ABSENT = "there is no column"
"""How the fault of a column that is not there begins."""


class RowFault(ValueError):
    """Why a row cannot become an example: "word: detail"."""


class Conversation(NamedTuple):
    """What a row says, and which of its columns said it."""

    shape: str
    messages: tuple[Message, ...]
    used: frozenset[str]


class TableColumns(NamedTuple):
    """The two columns of a table that matter."""

    text: str
    answer: str


def read_conversation(row: Mapping[str, Any], settings: DataSettings) -> Conversation:
    """The conversation of a row. Raises RowFault with the reason of its rejection."""
    for key in TOOL_KEYS:
        if row.get(key):
            raise RowFault(f"tool-calls: the row has {key}; conversations with tools are not supported yet")
    for key in ("messages", "conversations", "conversation"):
        if _holds_turns(row.get(key)):
            return _conversation(row, "messages" if key == "messages" else "conversations", {key}, read_turns(row[key]))
    if settings.answer:
        return _read_table(row, settings)
    reply = next((key for key in ("completion", "response") if key in row), "")
    if "prompt" in row and reply:
        turns = _side(row["prompt"], "user") + _side(row[reply], "assistant")
        return _conversation(row, "prompt/completion", {"prompt", reply}, turns)
    if "prompt" in row and "chosen" in row:
        raise RowFault("columns: prompt, chosen, rejected are preference pairs, which are not supported yet")
    if "instruction" in row and "output" in row:
        return _read_alpaca(row)
    return _read_table(row, settings)


def table_columns(row: Mapping[str, Any], settings: DataSettings) -> TableColumns:
    """The text and the answer column of a table, by the settings, else by their names. Raises RowFault."""
    names = {str(name).strip().lower(): str(name) for name in reversed(list(row))}
    reply = _first(names, REPLIES) if _first(names, ASKED) else None
    answer = _named(row, settings.answer, "data.answer") if settings.answer else reply or _first(names, ANSWER_NAMES)
    if answer is None:
        raise RowFault(f"columns: which column is the answer? The columns are {_listed(row)}")
    others = {lower: name for lower, name in names.items() if name != answer}
    text = _named(row, settings.text, "data.text") if settings.text else _first(others, TEXT_NAMES)
    if text is None:
        texts = [name for name in others.values() if isinstance(row[name], str) and name.lower() not in ("id", "group")]
        text = texts[0] if len(texts) == 1 else None
    if text is None:
        rest = _listed(name for name in row if name != answer)
        raise RowFault(f"columns: which column is the text? Beside {answer!r} there are {rest}")
    return TableColumns(text, answer)


def _named(row: Mapping[str, Any], name: str, setting: str) -> str:
    if name not in row:
        raise RowFault(f"columns: {no_column(row, name, setting)}")
    return name


def no_column(row: Mapping[str, Any], name: str, setting: str) -> str:
    """What to say of a column that a setting names and a row does not have."""
    return f"{ABSENT} {name!r}, which {setting} names; the columns are {_listed(row)}"


def _first(names: Mapping[str, str], wanted: Sequence[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)


def _listed(names: Any) -> str:
    shown = [repr(str(name)[:60]) for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "") or "none"


def _read_table(row: Mapping[str, Any], settings: DataSettings) -> Conversation:
    columns = table_columns(row, settings)
    asked = Message(role="user", content=_filled(row, columns.text, "empty-prompt"))
    answer = Message(role="assistant", content=_filled(row, columns.answer, "empty-answer"))
    return Conversation("table", checked_turns((asked, answer)), frozenset(columns))


def _filled(row: Mapping[str, Any], column: str, fault: str) -> str:
    text = as_text(row[column], column)
    if not text.strip():
        raise RowFault(f"{fault}: the column {column!r} is empty")
    return text


def _read_alpaca(row: Mapping[str, Any]) -> Conversation:
    if row.get("history"):
        raise RowFault("columns: a history of earlier turns is not supported; write the row as messages")
    parts = [as_text(row["instruction"], "instruction"), as_text(row.get("input"), "input")]
    asked = Message(role="user", content="\n\n".join(part for part in parts if part.strip()))
    answer = Message(role="assistant", content=as_text(row["output"], "output"))
    return _conversation(row, "instruction", {"instruction", "input", "output"}, (asked, answer))


def _conversation(row: Mapping[str, Any], shape: str, used: set[str], turns: tuple[Message, ...]) -> Conversation:
    """Puts a `system` column first, where the turns have no system message of their own."""
    name = next((name for name in SYSTEM_NAMES if isinstance(row.get(name), str) and row[name].strip()), None)
    if name and not any(turn.role == "system" for turn in turns):
        turns = (Message(role="system", content=row[name]), *turns)
    return Conversation(shape, checked_turns(turns), frozenset(used | set(SYSTEM_NAMES)))


def as_text(value: Any, column: str) -> str:
    """A cell as text: a whole number without ".0", an object as compact JSON, nothing as "". Raises RowFault."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    raise RowFault(f"content: {column!r} holds a {_kind(value)}, not text")


def _kind(value: Any) -> str:
    return {"list": "list", "bytes": "binary value", "dict": "JSON object"}.get(
        type(value).__name__, type(value).__name__
    )


def _holds_turns(value: Any) -> bool:
    """Whether a cell is meant as a list of turns; CSV files hold such a list as text."""
    return value.lstrip().startswith("[") if isinstance(value, str) else value is not None


def _side(value: Any, role: str) -> tuple[Message, ...]:
    """The turns of a prompt or a completion: a text is one turn, a list is turns."""
    if isinstance(value, list):
        return read_turns(value)
    name = "prompt" if role == "user" else "completion"
    return (Message(role="user" if role == "user" else "assistant", content=as_text(value, name)),)


def read_turns(value: Any) -> tuple[Message, ...]:
    """The turns of a list of objects with role and content, or of such a list as JSON text. Raises RowFault."""
    if isinstance(value, str):
        try:
            value = StrictJson().parse(value)
        except JsonFault as fault:
            raise RowFault(f"json: the list of messages inside the text: {fault}") from fault
    if not isinstance(value, list):
        raise RowFault(f"content: messages must be a list, this is a {_kind(value)}")
    return tuple(_turn(turn, number) for number, turn in enumerate(value, start=1))


def _turn(turn: Any, number: int) -> Message:
    if not isinstance(turn, dict):
        raise RowFault(f"content: turn {number} is a {_kind(turn)}, not an object with role and content")
    role_key, content_key, known = ("role", "content", ROLES) if "role" in turn else ("from", "value", SHAREGPT_ROLES)
    role = turn.get(role_key)
    if any(turn.get(key) for key in TOOL_KEYS) or (isinstance(role, str) and role in TOOL_ROLES):
        raise RowFault(f"tool-calls: turn {number} uses a tool; conversations with tools are not supported yet")
    if not isinstance(role, str) or role not in known:
        raise RowFault(f"role: turn {number} has the role {str(role)[:40]!r}; known are system, user, assistant")
    if role == "assistant" and turn.get("weight") == 0:
        raise RowFault(f"weight: turn {number} has weight 0; weights of single turns are not supported")
    content = _content(turn.get(content_key), number)
    return Message(role=known[role], content=content)  # type: ignore[arg-type]


def _content(value: Any, number: int) -> str:
    """Text, or the joined text of a list of text parts."""
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise RowFault(f"content: turn {number} holds a {_kind(value)}, not text")
    texts = []
    for part in value:
        kind = part.get("type", "text") if isinstance(part, dict) else _kind(part)
        text = part.get("text") if isinstance(part, dict) and kind in ("text", "input_text", "output_text") else None
        if isinstance(part, str):
            text = part
        if not isinstance(text, str):
            raise RowFault(f"content: turn {number} has a part of type {str(kind)[:40]!r}; only text is supported")
        texts.append(text)
    return "".join(texts)


def checked_turns(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns as they are kept: empty system messages left out, answers stripped. Raises RowFault."""
    kept = tuple(turn for turn in turns if turn.role != "system" or turn.content.strip())
    if not any(turn.role == "user" for turn in kept):
        raise RowFault("empty-prompt: there is no user turn")
    if any(turn.role == "system" for turn in kept[1:]):
        raise RowFault("role: a system message must be the first and only one")
    if kept[-1].role != "assistant":
        raise RowFault(f"no-answer: the last turn is {kept[-1].role}'s, so there is nothing to learn")
    if not any(turn.role == "user" for turn in kept[:-1]):
        raise RowFault("empty-prompt: there is no user turn before the answer")
    return tuple(_kept_turn(turn) for turn in kept)


def _kept_turn(turn: Message) -> Message:
    if not turn.content.strip():
        if turn.role == "assistant":
            raise RowFault("empty-answer: an assistant turn has no text")
        raise RowFault("empty-prompt: a user turn has no text")
    if turn.role != "assistant":
        return turn
    stripped = turn.content.strip()
    return turn if stripped == turn.content else Message(role="assistant", content=stripped)
