"""Parquet files and local `datasets` folders, read with pyarrow in batches: data only, never a script or a pickle.

Class-label columns that `datasets` writes as numbers come back as their names.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from burnish.data.formats import RawRow
from burnish.errors import DataError

BATCH_ROWS = 1000
READ_BYTES = 1 << 20
"""Read at once of a column, without reading ahead; else a row group, which may be a whole file, is held."""
NEEDS = "pip install 'burnish[train]'"


def read_parquet(path: Path, name: str) -> Iterator[RawRow]:
    """The rows of a Parquet file, a thousand at a time. Raises DataError when it is damaged or has extension types."""
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path, buffer_size=READ_BYTES, pre_buffer=False) as file:
            names = _class_names(file.schema_arrow)
            _refuse_extensions(arrow, file.schema_arrow, name)
            yield from _rows(file.iter_batches(batch_size=BATCH_ROWS), name, names)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{name} cannot be read as Parquet: {_first_line(error)}", hint="write the file again"
        ) from error


def read_folder(folder: Path) -> Iterator[RawRow]:
    """The rows of what `Dataset.save_to_disk` wrote, or of a folder of Parquet files. Splits become the column `split`.

    Raises DataError when the folder is neither: a dataset script is never run.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits")
        if not isinstance(splits, list) or not all(isinstance(split, str) for split in splits):
            raise DataError(f"{folder.name}/dataset_dict.json names no splits", hint="save the dataset again")
        for split in splits:
            yield from _with_split(_read_saved(_inside(folder, split)), split)
    elif (folder / "state.json").is_file():
        yield from _read_saved(folder)
    else:
        files = sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])
        if not files:
            has_script = any(folder.glob("*.py"))
            raise DataError(
                f"{folder} is no datasets folder" + ("; its script is not run" if has_script else ""),
                hint="make one with Dataset.save_to_disk(FOLDER), or give the files themselves",
            )
        for file in files:
            name = f"{folder.name}/{file.relative_to(folder).as_posix()}"
            yield from _with_split(read_parquet(file, name), file.name.split("-")[0].split(".")[0])


def _read_saved(folder: Path) -> Iterator[RawRow]:
    """Arrow files in the order of state.json; only plain files of this very folder."""
    arrow, _ = _pyarrow()
    state = _json(folder / "state.json")
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise DataError(f"{folder.name} is a selection of another dataset", hint="save it with flatten_indices() first")
    for entry in state.get("_data_files") or []:
        file = _inside(folder, str(entry.get("filename", "") if isinstance(entry, dict) else entry))
        name = f"{folder.name}/{file.name}"
        try:
            with arrow.OSFile(str(file)) as source, arrow.ipc.open_stream(source) as reader:
                _refuse_extensions(arrow, reader.schema, name)
                yield from _rows(_slices(reader), name, _class_names(reader.schema))
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{name} cannot be read: {_first_line(error)}", hint="save the dataset again") from error


def _slices(batches: Any) -> Iterator[Any]:
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def _rows(batches: Any, name: str, names: Mapping[str, list[str]]) -> Iterator[RawRow]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            for column, known in names.items():
                value = row.get(column)
                if isinstance(value, int) and 0 <= value < len(known):
                    row[column] = known[value]
            yield RawRow(name, number, None, row)


def _with_split(rows: Iterator[RawRow], split: str) -> Iterator[RawRow]:
    return (row._replace(value={"split": split, **row.value}) for row in rows)


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Column to its label names, from the note that `datasets` leaves in the schema; {} where there is none."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {
            column: feature["names"]
            for column, feature in features.items()
            if isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and all(isinstance(label, str) for label in feature["names"])
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _refuse_extensions(arrow: Any, schema: Any, name: str) -> None:
    """Extension types can bring their own decoding; plain types are enough for texts."""
    for field in schema:
        if isinstance(field.type, arrow.BaseExtensionType) or b"ARROW:extension:name" in (field.metadata or {}):
            raise DataError(
                f"{name}: the column {field.name[:80]!r} has the extension type {str(field.type)[:80]}",
                hint="drop the column, or cast it to a plain type such as string",
            )


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not name or Path(name).name != name or name in (".", "..") or path.is_symlink() or not path.exists():
        raise DataError(f"{folder.name} names {name[:80]!r}, which is not in it", hint="save the dataset again")
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes()[:4_000_000])
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{path.name} of {path.parent.name} cannot be read: {error}", hint="save it again") from error
    return value if isinstance(value, dict) else {}


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0][:200]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("reading Parquet and datasets folders needs pyarrow", hint=NEEDS) from error
    return pyarrow, pyarrow.parquet
