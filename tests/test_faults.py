"""docs/faults.md tells the truth: every fault has a test that exists, and every message is the golden one."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.fault_messages import GOLDEN, told

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "faults.md").read_text(encoding="utf-8")
FAULTS = [*(f"D{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 12)), *(f"M{n}" for n in (1, 2, 4, 5, 7))]
FAULTS += [f"P{n}" for n in (1, 2, 4, 6, 7, 8, 9, 11, 18)]
FAULTS += [*(f"T{n}" for n in range(1, 11)), "D14", "D15", "D16", "S2"]
FAULTS += [f"W{n}" for n in (*range(1, 19), 20, 21, 25, 26, 27)]
ROWS = [(match[1], match[0]) for match in re.finditer(r"^\| ([DMPSTW]\d+) .*$", PAGE, re.MULTILINE)]
"""A fault of the web stands once for the pages and once for the model server."""
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)


@cache
def names_in(file: str) -> frozenset[str]:
    nodes = ast.walk(ast.parse((TESTS / file).read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def test_the_page_has_a_row_for_each_fault_with_at_least_one_proof():
    assert {fault for fault, _ in ROWS} == set(FAULTS)
    assert [fault for fault, row in ROWS if not re.search(r"`[\w/]+\.py::\w+` *\|$", row)] == []


@pytest.mark.parametrize("part", PAGE.split("\n## ")[1:], ids=lambda part: part.splitlines()[0])
def test_no_fault_stands_twice_in_one_table(part):
    found = re.findall(r"^\| ([DMPSTW]\d+) ", part, re.MULTILINE)
    assert sorted(found) == sorted(set(found))


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_the_page_names_exists(file):
    assert {name for where, name in NAMED if where == file} <= names_in(file)


def test_the_words_for_each_fault_are_these():
    assert told() == GOLDEN.read_text(encoding="utf-8")
