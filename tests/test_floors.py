"""Each part of burnish stands on a floor and may lean only on strictly lower floors."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "burnish"
FLOORS = [
    "betting blas energy errors fingerprint free_memory grammar selective stats",
    "records strict_yaml foreign_names talk ppi port http_server",
    "config",
    "settings",
    "store",
    "budget registry",
    "data model client",
    "train evaluate diagnose synthesize gate review serve monitor",
    "tune report fakes ci",
    "loop",
    "web",
    "cli",
]
FLOOR = {part: height for height, parts in enumerate(FLOORS) for part in parts.split()}


def imported_parts(source: str) -> set[str]:
    """Parts of burnish that a module leans on, including imports made only for types."""
    parts: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            root, *rest = (node.module or "").split(".")
            if root == "burnish":
                parts |= {rest[0]} if rest else {alias.name for alias in node.names} - {"__version__"}
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            parts |= {name[1] for name in names if name[0] == "burnish" and len(name) > 1}
    return parts


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_part_leans_only_on_lower_floors(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    too_high = {p for p in imported_parts(path.read_text()) - {part} if FLOOR[p] >= FLOOR[part]}
    assert not too_high, f"{part} (floor {FLOOR[part]}) must not import {sorted(too_high)}"


HEAVY = {"torch", "transformers", "peft", "safetensors"}
MAY_LOAD_TORCH = {"model", "train", "fakes"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_model_train_and_fakes_load_torch(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if part in MAY_LOAD_TORCH:
        return
    roots = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
    assert not roots & HEAVY, f"{part} must not import {sorted(roots & HEAVY)}: only {sorted(MAY_LOAD_TORCH)} may"
