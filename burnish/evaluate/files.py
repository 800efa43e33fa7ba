"""An evaluation as files: summary.json with the numbers, rows.jsonl with every prompt and output."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from burnish.errors import DamagedError
from burnish.fingerprint import fingerprint_bytes
from burnish.records import Evaluation, RowResult, as_json, from_json
from burnish.store.files import write_atomic

SUMMARY = "summary.json"
ROWS = "rows.jsonl"


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Writes both files into `folder`, the summary last; it holds the hash of the rows.

    The seconds are left out, so that the same evaluation is the same bytes; the ledger of costs has them.
    """
    lines = [json.dumps(as_json(row), ensure_ascii=False, allow_nan=False) for row in evaluation.rows]
    rows = "".join(f"{line}\n" for line in lines).encode()
    write_atomic(folder / ROWS, rows)
    summary = as_json(replace(evaluation, rows=(), seconds=0.0))
    summary["rows"] = {"file": ROWS, "count": len(lines), "sha256": fingerprint_bytes([rows])}
    write_atomic(folder / SUMMARY, json.dumps(summary, ensure_ascii=False, allow_nan=False, indent=2).encode())


def load_evaluation(folder: Path) -> Evaluation:
    """The evaluation that `save_evaluation` wrote. Raises DamagedError when the rows are not those of the summary."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        rows = (folder / ROWS).read_bytes()
        wanted = summary.pop("rows")["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"the evaluation in {folder} cannot be read: {error}", hint=_AGAIN) from error
    if fingerprint_bytes([rows]) != wanted:
        raise DamagedError(f"{folder / ROWS} holds other bytes than the summary beside it says", hint=_AGAIN)
    # Split at newlines only: texts may hold other line separators such as U+2028.
    lines = [line for line in rows.decode("utf-8").split("\n") if line]
    found = tuple(from_json(RowResult, json.loads(line)) for line in lines)
    return replace(from_json(Evaluation, {**summary, "rows": ()}), rows=found)


def stored_evaluations(store_root: Path, wanted: Mapping[str, object]) -> Iterator[Evaluation]:
    """The evaluations of rounds whose summaries hold these values, the newest first; damaged ones are passed over."""
    places = (store_root / "artifacts" / "evaluate").glob(f"*/{SUMMARY}")
    for path in sorted(places, key=lambda path: -path.stat().st_mtime):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            is_wanted = all(summary[name] == value for name, value in wanted.items())
            found = load_evaluation(path.parent) if is_wanted else None
        except (ValueError, KeyError, TypeError, DamagedError):
            continue
        if found is not None:
            yield found


_AGAIN = "remove that folder and run the same command again; the evaluation is made anew"
