"""What an answer looks like: a flat JSON object, a short label, or free text."""

import json
from collections.abc import Sequence
from typing import Any

from burnish.data.strict_json import JsonFault, StrictJson
from burnish.fingerprint import canonical_json

MAX_FIELDS = 64


def parse_fields(answer: str) -> dict[str, str | int | float | bool | None] | None:
    """The flat JSON object that an answer is, be it empty, or None when it is none."""
    if not answer.startswith("{") or not answer.endswith("}"):
        return None
    try:
        value: Any = StrictJson().parse(answer)
    except JsonFault:
        return None
    flat = all(inner is None or isinstance(inner, str | int | float | bool) for inner in value.values())
    return value if flat and len(value) <= MAX_FIELDS else None


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that a model said, nested or not, or None. Kinder than `parse_fields`, which judges data."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def value_text(value: Any) -> str:
    """A JSON value as the text that is compared; null and a missing field are empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def compact_fields(answer: str, order: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The answer as compact JSON with its keys in `order` (others behind, as they come), and its keys in that order.

    An answer that is no flat JSON object comes back as it is, without keys; the checker tells.
    """
    found = parse_fields(answer)
    if found is None:
        return answer, ()
    keys = (*(key for key in order if key in found), *(key for key in found if key not in order))
    parts = [f"{canonical_json(key).decode()}:{canonical_json(found[key]).decode()}" for key in keys]
    return "{" + ",".join(parts) + "}", keys


def spelled_fields(answer: str, names: Sequence[str]) -> str:
    """The answer as a model learns and writes it: the named fields in their order, every value as a string.

    Null and a missing field are empty strings, numbers and true and false their JSON text; fields without a name here
    are left out. An answer that is no flat JSON object comes back as it is.
    """
    found = parse_fields(answer)
    if found is None:
        return answer
    spelled = {name: value_text(found.get(name)) for name in names}
    return json.dumps(spelled, ensure_ascii=False, separators=(",", ":"))


def is_label_like(answer: str) -> bool:
    """Whether an answer is short and of one line, as a label is."""
    return len(answer) <= 60 and "\n" not in answer and len(answer.split()) <= 6
