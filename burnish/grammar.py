"""Numbers in sentences: one row is, two rows are."""


def agree(number: int, one: str, many: str) -> str:
    """The number with the words that go with it, as "1 row is" or "1,204 rows are"."""
    return f"{number:,} {one if number == 1 else many}"
