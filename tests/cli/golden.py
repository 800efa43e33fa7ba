"""Golden files: what users and scripts see, kept as text. `UPDATE_GOLDEN=1 pytest tests/cli` writes them anew."""

import os
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent.parent / "golden"
MAYBE_EMPTY = {"risks", "missing"}
"""Lists that depend on the machine; what an entry looks like is tested by itself."""
MAYBE_NULL = {"joules", "version"}
"""Values that some machines can not give."""


def check(name: str, found: str) -> None:
    """Fails when `found` is not what the golden file holds."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def shape(value: Any, key: str = "") -> Any:
    """Keys and types of JSON; of a list, the different shapes of its entries."""
    if key in MAYBE_EMPTY:
        return "list"
    if key in MAYBE_NULL and (value is None or isinstance(value, int | float)):
        return "number or null"
    if isinstance(value, dict):
        return {name: shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        shapes: list[Any] = []
        for item in map(shape, value):
            shapes += [] if item in shapes else [item]
        return shapes
    kinds = {bool: "boolean", int: "integer", float: "number", str: "text", type(None): "null"}
    return kinds[type(value)]
