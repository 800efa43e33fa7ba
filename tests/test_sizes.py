"""Files and functions stay small enough to be read in one sitting."""

import pytest

from tests.sizes import files, function_sizes


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_a_file_fits_in_600_lines_and_a_function_in_80(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 600, f"{path} has {lines} lines"
    too_long = [(name, size) for size, name in function_sizes(path) if size > 80]
    assert not too_long, f"{path}: {too_long}"


def test_most_functions_fit_in_25_lines():
    sizes = [size for path in files() for size, _ in function_sizes(path)]
    assert sum(size <= 25 for size in sizes) / len(sizes) >= 0.85


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_a_file_says_what_it_is_about(path):
    first = path.read_text().lstrip().split("\n", 1)[0]
    assert first.startswith('"""'), f"{path} opens with {first!r}"
    assert len(first) > 20, f"{path} opens with {first!r}"
