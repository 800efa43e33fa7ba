"""The README's tree is the tree."""

from tests.tree import README, rewritten, tree


def test_the_readme_lists_every_file_as_its_own_docstring_says() -> None:
    text = README.read_text(encoding="utf-8")
    assert rewritten(text) == text, "stale: run `make tree`"


def test_every_file_has_a_claim() -> None:
    for line in tree().splitlines()[1:-1]:
        assert len(line.split(maxsplit=1)) == 2, line
