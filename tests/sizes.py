"""Prints lines per file and the longest functions; `make size` runs it and tests/test_sizes.py holds the limits."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("burnish", "recipes")


def function_sizes(path: Path) -> list[tuple[int, str]]:
    """(lines, name) of every function of a file."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [((node.end_lineno or node.lineno) - node.lineno + 1, node.name) for node in functions]


def files() -> list[Path]:
    """Every Python file of the package and of the recipes."""
    return sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))


if __name__ == "__main__":
    rows = [(len(path.read_text().splitlines()), path) for path in files()]
    for lines, path in sorted(rows, reverse=True):
        longest = max(function_sizes(path), default=(0, "-"))
        print(f"{lines:5d}  {path.relative_to(ROOT)!s:32s} longest {longest[1]} {longest[0]}")  # noqa: T201
    sizes = [size for path in files() for size, _ in function_sizes(path)]
    small = sum(size <= 25 for size in sizes)
    print(f"{sum(lines for lines, _ in rows)} lines, {len(sizes)} functions, {small / len(sizes):.0%} within 25")  # noqa: T201
