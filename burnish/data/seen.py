"""What was seen before while rows come in: contents, prompts and ids, looked up in a file instead of held."""

import sqlite3
from hashlib import blake2b
from pathlib import Path

from burnish.records import Example


class Seen:
    """Contents, prompts and ids that are taken, on disk, so that memory stays flat at any number of rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=off", "synchronous=off", "cache_size=-32000", "locking_mode=exclusive"):
            self.db.execute(f"pragma {pragma}")
        self.db.execute("create table content (hash blob primary key, source text) without rowid")
        self.db.execute("create table prompt (hash blob primary key, answer blob) without rowid")
        self.db.execute("create table name (id text primary key) without rowid")
        self.db.execute("begin")

    def twin(self, example: Example) -> str | None:
        """Where the same conversation stood before; None the first time."""
        key = _hash("\x1f".join(f"{turn.role}\x1e{turn.content}" for turn in example.messages))
        if self._add("insert or ignore into content values (?, ?)", key, example.source):
            return None
        row = self.db.execute("select source from content where hash = ?", (key,)).fetchone()
        return str(row[0])

    def is_conflict(self, example: Example) -> bool:
        """Whether the same prompt was answered otherwise before."""
        key = _hash("\x1f".join(f"{turn.role}\x1e{turn.content}" for turn in example.prompt))
        answer = _hash(example.answer)
        if self._add("insert or ignore into prompt values (?, ?)", key, answer):
            return False
        row = self.db.execute("select answer from prompt where hash = ?", (key,)).fetchone()
        return bool(row[0] != answer)

    def free_id(self, example: Example) -> str:
        """The example's own id, with a mark behind it when another example has it."""
        if self._add("insert or ignore into name values (?)", example.id):
            return example.id
        content = example.content_hash
        names = (f"{example.id}-{content[:8]}", f"{example.id}-{content}")
        return next(name for name in names if self._add("insert or ignore into name values (?)", name))

    def close(self) -> None:
        """Forgets everything."""
        self.db.close()
        self.path.unlink()

    def _add(self, statement: str, *values: bytes | str) -> bool:
        return self.db.execute(statement, values).rowcount == 1


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8"), digest_size=16).digest()
