"""What may stand in burnish.yaml: the names of all settings, their types and bounds, in words and as JSON Schema."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from burnish.config import Section, Settings

Where = tuple[str | int, ...]
"""Where a value is in the file: ("task", "labels", 2)."""
WORDS_OF_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


def setting_names() -> tuple[str, ...]:
    """Full names of all settings in the order of the file: "project", "base", ..., "train.lr", ..."""
    return tuple(_leaves(Settings, ""))


def json_schema() -> dict[str, Any]:
    """JSON Schema of burnish.yaml, for editors: types, bounds, defaults and explanations."""
    schema = Settings.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "burnish.yaml"}


def allowed(where: Sequence[str | int]) -> str:
    """What may stand at a place, in words: "a number above 0 and at most 1, or auto"."""
    schema = Settings.model_json_schema()
    node = schema
    for part in where:
        node = _follow(schema, node)
        if isinstance(part, int):
            node = node["items"]
        elif "properties" in node:
            node = node["properties"][part]
        else:
            node = node["additionalProperties"]
    return _words(schema, node)


def value_at(data: Any, where: Where) -> Any:
    """The value at a place. Raises KeyError, IndexError or TypeError where there is none."""
    for part in where:
        data = data[part]
    return data


def section_in(model: type[Section], key: str) -> type[Section] | None:
    """The section that a key of another one holds; None: it holds a value."""
    kind = model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def spelled(where: Where) -> str:
    """task.labels[2] for ("task", "labels", 2)."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return text.removeprefix(".") or "the file"


def _leaves(model: type[Section], prefix: str) -> Iterator[str]:
    for key in model.model_fields:
        inner = section_in(model, key)
        if inner is None:
            yield prefix + key
        else:
            yield from _leaves(inner, f"{prefix}{key}.")


def _words(schema: Mapping[str, Any], node: dict[str, Any]) -> str:
    """A JSON Schema node in words."""
    node = _follow(schema, node)
    if "anyOf" in node:
        return ", or ".join(_words(schema, option) for option in node["anyOf"])
    if "const" in node or "enum" in node:
        options = [str(option) for option in node.get("enum", [node.get("const")])]
        return " or ".join([", ".join(options[:-1]), options[-1]]) if len(options) > 1 else options[0]
    if "properties" in node:
        return f"a section with {', '.join(node['properties'])}"
    kind = node.get("type")
    if kind == "array":
        return f"a list, each item {_words(schema, node['items'])}"
    if kind == "object":
        return f"names, each with {_words(schema, node['additionalProperties'])}"
    plain = WORDS_OF_KINDS[str(kind)]
    return plain + _bounds(node)


def _bounds(node: Mapping[str, Any]) -> str:
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if "minimum" in node and "maximum" in node:
        return f" from {low:g} to {high:,}".replace(",", "") if isinstance(high, int) else f" from {low:g} to {high:g}"
    parts = []
    if low is not None:
        parts.append(f"{'at least' if 'minimum' in node else 'above'} {low:g}")
    if high is not None:
        parts.append(f"{'at most' if 'maximum' in node else 'below'} {high:g}")
    return " " + " and ".join(parts) if parts else ""


def _follow(schema: Mapping[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node
