"""The tree in the README: one line a file, made from the first line of each file's own docstring.

`make tree` rewrites it and tests/test_tree.py fails when it is stale, so it can not go out of date.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- tree -->\n", "<!-- /tree -->\n"
WIDTH = 118


def tree() -> str:
    """The package as an indented list, files of a folder under its name."""
    package = ROOT / "burnish"
    lines = [f"burnish/  {claim(package / '__init__.py')}"]
    for place in sorted(package.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if place.suffix == ".py" and place.stem != "__init__":
            lines.append(line(place, depth=1))
        elif (place / "__init__.py").exists():
            lines.append(f"  {place.name}/  {claim(place / '__init__.py')}")
            lines += [line(path, depth=2) for path in sorted(place.glob("*.py")) if path.stem != "__init__"]
    return "```\n" + "\n".join(text if len(text) <= WIDTH else text[: WIDTH - 1] + "…" for text in lines) + "\n```\n"


def line(path: Path, *, depth: int) -> str:
    """One file and what it is about."""
    return f"{'  ' * depth}{path.name:<16} {claim(path)}"


def claim(path: Path) -> str:
    """The first sentence of a file's docstring, without its full stop."""
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
    return first.split(". ")[0].rstrip(".")


def rewritten(text: str) -> str:
    """The README with the tree as it is now between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + tree() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
