"""What burnish says at each fault of docs/faults.md, to be compared with tests/golden/faults.txt.

python -m tests.fault_messages      writes the golden file anew; read the difference before you keep it
"""

import gzip
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from openpyxl import Workbook
from safetensors.torch import load_file, save_file
from sqlalchemy import text

from burnish.config import DataSettings, LoraSettings, Settings, TrainSettings
from burnish.data.check import check
from burnish.data.intake import add_files
from burnish.data.split import assign_roles
from burnish.data.task import task_of
from burnish.errors import BurnishError, DataError
from burnish.fakes import small_examples, tiny_base, tiny_folder
from burnish.model.adapter import load_adapter, save_adapter
from burnish.model.base import load_base
from burnish.model.lora import AdapterSpec, attach
from burnish.records import Candidate, Example, Message, Task
from burnish.store.artifacts import Artifacts
from burnish.store.files import require_space
from burnish.store.lock import ProjectLock
from burnish.store.manifest import verify
from burnish.store.store import open_store
from burnish.talk import Silence
from burnish.train.batch import check_rows
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train

GOLDEN = Path(__file__).parent / "golden" / "faults.txt"
GOOD = '{"text": "when am I paid", "label": "payment"}\n'


def _add(data: bytes, name: str = "rows.jsonl") -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        (folder / name).write_bytes(data)
        add_files(open_store(folder), Settings(), [folder / name], Silence())

    return work


def _leak(folder: Path) -> None:
    rows = [
        Example(
            id=str(n),
            group=str(n),
            messages=(
                Message(role="user", content=f"ask {n} of {n}"),
                Message(role="assistant", content="pay" if n % 2 else "appeal"),
            ),
        )
        for n in range(30)
    ]
    rows += [replace(rows[0], id="twin", group="twin")]
    roles = dict.fromkeys((row.id for row in rows), "train") | {"twin": "vault_1"}
    _raise_first(check(rows, roles, Settings(), task_of(rows, Settings())))


def _too_long(folder: Path) -> None:
    rows, settings = small_examples(30), Settings(data=DataSettings(max_tokens=16))
    roles = assign_roles(rows, settings, {})
    _raise_first(check(rows, roles, settings, task_of(rows, settings), lambda row: (17, 2, 0)))


def _raise_first(found: object) -> None:
    """What `burnish round` does with the gravest problem."""
    raise DataError(found.problems[0].message, hint="see every case: burnish data check")  # type: ignore[attr-defined]


def _base(spoil: Callable[[Path], object]) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        base = tiny_folder(folder / "base")
        spoil(base)
        load_base(str(base), precision="float32")

    return work


def _workbook(*titles: str) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        book = Workbook()
        book.remove(book.active)
        for title in titles:
            sheet = book.create_sheet(title)
            for row in (["text", "label"], ["when am I paid", "payment"], ["where is it", "=A2"]):
                sheet.append(row)
        book.save(folder / "rows.xlsx")
        add_files(open_store(folder), Settings(), [folder / "rows.xlsx"], Silence())

    return work


def _change(name: str, **changes: object) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **changes}))

    return spoil


def _larger_tokenizer(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 5000, "content": "<|extra|>"})
    tokenizer["model"]["vocab"]["<|extra|>"] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def _adapter(spoil: Callable[[Path], object], seed: int = 0) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        base, spec = tiny_base(), AdapterSpec(name="one", rank=4, alpha=8, seed=0)
        bank = attach(base.model, [spec])
        save_adapter(folder / "adapter", spec=spec, state=bank.state(0), base=base)
        bank.detach()
        spoil(folder / "adapter")
        load_adapter(folder / "adapter", tiny_base("llama", seed))

    return work


def _weights(change: Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        save_file(dict(change(name, tensor) for name, tensor in load_file(path).items()), path)

    return spoil


def _job(folder: Path, **changes: object) -> TrainJob:
    base = tiny_base()
    rows = rows_of(base, Task(labels=("address", "appeal", "payment")), small_examples(8))
    job = TrainJob(
        base=base,
        rows=rows,
        dev=(),
        candidates=[Candidate(name="a", rank=2, alpha=4.0, lr=0.001, seed=0)],
        train=TrainSettings(epochs=1),
        lora=LoraSettings(rank=2),
        seed=0,
        folder=folder / "work",
    )
    return replace(job, **changes)


def _another_job(folder: Path) -> None:
    train(_job(folder))
    train(_job(folder, seed=1, train=TrainSettings(epochs=2)))


def _not_finite(folder: Path) -> None:
    job = _job(folder)
    next(job.base.model.get_decoder().layers[0].mlp.parameters()).data[0, 0] = math.nan  # type: ignore[operator]
    train(job)


def _busy(folder: Path) -> None:
    other = ProjectLock(folder / ".burnish")  # another file handle, as another process has
    with open_store(folder).lock(), other.held():
        raise AssertionError("held twice")


def _newer(folder: Path) -> None:
    with open_store(folder).db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    open_store(folder)


def _damaged_db(folder: Path) -> None:
    open_store(folder).db.path.write_bytes(b"garbage!" * 1000)
    open_store(folder)


def _damaged_artifact(folder: Path) -> None:
    artifacts = Artifacts(folder)
    (artifacts.work_folder("train", "a" * 64) / "weights").write_bytes(b"good")
    sealed = artifacts.seal("train", "a" * 64, {})
    (sealed.path / "weights").write_bytes(b"evil")
    verify(sealed.path)


def _no_lesson(folder: Path) -> None:
    row = _job(folder).rows[0]
    check_rows([replace(row, learned=(False,) * len(row.tokens))], name="train")


FAULTS: dict[str, Callable[[Path], None]] = {
    "D1 last line cut": _add((GOOD + '{"text": "when am').encode()),
    "D2 not JSON": _add((GOOD + '{"text": "a", "label": NaN}\n').encode()),
    "D2 UTF-16 without its mark": _add(GOOD.encode("utf-16-le")),
    "D2 code page": _add("text,label\nFür größere Beträge,payment\n".encode("cp1252"), "rows.csv"),
    "D3 empty file": _add(b""),
    "D4 gzip bomb": _add(gzip.compress(bytes(80_000_000)), "rows.jsonl.gz"),
    "D5 no assistant": _add((GOOD + '{"messages": [{"role": "user", "content": "a"}]}\n').encode()),
    "D5 tool calls": _add((GOOD + '{"messages": [{"role": "tool", "content": "a"}]}\n').encode()),
    "D7 too long": _too_long,
    "D7 nothing to learn": _no_lesson,
    "D8 leak": _leak,
    "D16 sheets": _workbook("Orders", "Labels"),
    "D16 cells": _workbook("Orders"),
    "M1 pickle": _base(lambda base: (base / "model.safetensors").rename(base / "pytorch_model.bin")),
    "M2 code in the config": _base(_change("config.json", auto_map={"AutoModel": "evil.Evil"})),
    "M4 rank": _adapter(_change("adapter_config.json", r=10**6)),
    "M4 other base": _adapter(lambda folder: None, seed=1),
    "M4 no layer": _adapter(_weights(lambda name, tensor: (f"other.{name}", tensor))),
    "M4 not finite": _adapter(_weights(lambda name, tensor: (name, tensor * math.nan))),
    "M5 cut": _base(lambda base: (base / "model.safetensors").write_bytes(b"\x08" + bytes(7))),
    "M5 changed artifact": _damaged_artifact,
    "M7 other tokenizer": _base(_larger_tokenizer),
    "P4 no space": lambda folder: require_space(folder, 10**18, "training"),
    "P6 in use": _busy,
    "P7 newer": _newer,
    "P7 damaged": _damaged_db,
    "P9 another job": _another_job,
    "P11 not finite": _not_finite,
}


def told() -> str:
    """Every fault with exit code, message and hint; what differs from machine to machine is replaced."""
    parts = []
    for name, work in FAULTS.items():
        with tempfile.TemporaryDirectory() as place, _calm():
            folder = Path(place).resolve() / "desk"
            folder.mkdir()
            try:
                work(folder)
            except BurnishError as error:
                words = f"error: {error.message}\nhint: {error.hint}"
                parts.append(f"## {name}: exit {error.exit_code}\n{_settled(words, folder)}\n")
            else:
                raise AssertionError(f"{name}: nothing was refused")
    return "\n".join(parts)


@contextmanager
def _calm() -> Iterator[None]:
    """One thread, as everywhere where processes fork."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settled(words: str, folder: Path) -> str:
    for pattern, instead in (
        (re.escape(str(folder)), "DESK"),
        (re.escape(tempfile.gettempdir()) + r"/\w+", "BASE"),
        (r"\b[0-9a-f]{12}\b", "HASH"),
        (r"[\d.]+ [kMGT]?B free", "SPACE free"),
        (r"process \d+ on \S+ since \S+: .*", "process PID on HOST since TIME: COMMAND"),
    ):
        words = re.sub(pattern, instead, words)
    return words


if __name__ == "__main__":
    GOLDEN.write_text(told())
