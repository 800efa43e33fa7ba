"""Examples as files that other tools read: JSON lines in the `messages` shape, the others as tables."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.data.sheet import csv_text, write_table
from burnish.errors import DataError, UsageError
from burnish.records import Example
from burnish.store.files import storage_errors, write_atomic


def export_examples(path: Path, examples: Sequence[Example]) -> None:
    """Writes the examples to a file, whole or not at all; the ending decides the form: .jsonl, .csv, .xlsx or .parquet.

    JSON lines and Parquet hold the texts as they are. In CSV a cell that a spreadsheet would run as a formula has a '
    before it, in a workbook it is a text; a conversation of several turns is one cell of JSON. Raises UsageError for
    another ending, DataError for a text that no cell of a workbook can hold.
    """
    form = path.suffix.lower()
    if form == ".jsonl":
        write_atomic(path, "".join(json.dumps(as_row(row), ensure_ascii=False) + "\n" for row in examples).encode())
    elif form == ".csv":
        write_atomic(path, as_csv(examples).encode())
    elif form == ".xlsx":
        write_table(path, *as_table(examples))
    elif form == ".parquet":
        _write_parquet(path, examples)
    else:
        raise UsageError(f"{path.name} has no known ending", hint="name it .jsonl, .csv, .xlsx or .parquet")


def as_row(example: Example) -> dict[str, Any]:
    """An example as `burnish data add` reads it again: messages, id, group, and the slices as columns."""
    row: dict[str, Any] = {"id": example.id}
    if example.group != example.id:
        row["group"] = example.group
    row["messages"] = [{"role": turn.role, "content": turn.content} for turn in example.messages]
    if example.weight != 1.0:
        row["weight"] = example.weight
    return row | {name: value for name, value in example.slices.items() if name not in row}


def as_table(examples: Sequence[Example]) -> tuple[list[str], list[list[str]]]:
    """A header and its rows: id, group, prompt, answer and one column per slice."""
    names = sorted({name for example in examples for name in example.slices} - {"id", "group", "prompt", "answer"})
    rows = [
        [row.id, row.group, _prompt_cell(row), row.answer, *(row.slices.get(name, "") for name in names)]
        for row in examples
    ]
    return ["id", "group", "prompt", "answer", *names], rows


def as_csv(examples: Sequence[Example]) -> str:
    """The table as CSV; dangerous cells begin with '."""
    return csv_text(*as_table(examples))


def _prompt_cell(example: Example) -> str:
    if len(example.prompt) == 1:
        return example.prompt[0].content
    return json.dumps([{"role": turn.role, "content": turn.content} for turn in example.prompt], ensure_ascii=False)


def _write_parquet(path: Path, examples: Sequence[Example]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("writing Parquet needs pyarrow", hint="pip install 'burnish[train]'") from error
    rows = [as_row(example) for example in examples]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    with storage_errors(f"writing {path.name}", path.parent):
        write_atomic(path, sink.getvalue().to_pybytes())
