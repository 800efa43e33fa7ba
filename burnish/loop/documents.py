"""Rows as documents that a generator learns and writes: spelled as this base does, and short enough for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burnish.loop.workbench import Workbench
from burnish.model.base import Base
from burnish.records import Example, Message, Task
from burnish.synthesize.generator import Document, Draft, Kin, document_of, documents_of, draft_of
from burnish.train.batch import Row

MOST_TOKENS = 1024
"""Of a document; shots go first where it is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The documents of a task for the base of a project."""

    bench: Workbench
    task: Task
    columns: tuple[str, ...]

    @property
    def base(self) -> Base:
        """The base that spells them, opened when it is first asked for."""
        return self.bench.base

    @property
    def room(self) -> int:
        """Most tokens of a document."""
        return min(MOST_TOKENS, self.base.max_tokens // 2)

    def tokens(self, head: str, body: str = "") -> list[int]:
        """Head and body spelled apart, as sampling does it; begun as conversations with this base are."""
        start: Any = self.base.tokenizer.bos_token_id
        chat = self.base.chat
        opened = chat.render_prompt([Message(role="user", content="?")])
        return [*([start] if opened[:1] == [start] else []), *chat.encode(head), *chat.encode(body)]

    def fits(self, row: Example) -> bool:
        """Whether a row can lead a prompt and be written once more."""
        one = document_of(row, (row,), self.task, self.columns)
        return len(self.tokens(one.head, one.body)) <= self.room

    def of(self, rows: Sequence[Example], pool: Sequence[Example], seed: int) -> list[Document]:
        """A document for each row, without shots where they would make it too long."""
        found = documents_of(rows, pool, self.task, self.columns, seed=seed)
        bare = documents_of(rows, pool, self.task, self.columns, seed=seed, most_shots=0)
        return [
            shown if len(self.tokens(shown.head, shown.body)) <= self.room else alone
            for shown, alone in zip(found, bare, strict=True)
        ]

    def marked(self, documents: Sequence[Document], *, whole: bool) -> list[Row]:
        """Documents as rows of a training, learned whole; or held-out ones, of which their own line alone counts.

        The shots of a held-out document are rows that are learned, so a loss on them would praise memory.
        """
        rows = []
        for one in documents:
            tokens = self.tokens(one.head, one.body)
            before = 0 if whole else len(self.tokens(one.head))
            rows.append(Row(id=one.example, tokens=tokens, learned=[at >= before for at in range(len(tokens))]))
        return rows

    def longest(self, rows: Sequence[Example]) -> int:
        """Tokens of the longest of these rows' own lines."""
        return max(len(self.base.chat.encode(document_of(row, (), self.task, ()).body)) for row in rows)

    def draft(self, lead: Example, kin: Kin, seed: int) -> Draft:
        """A prompt that a row leads; shots give way where it would be too long."""
        draft = draft_of(lead, kin, seed=seed)
        return draft if len(self.tokens(draft.head)) <= self.room else draft_of(lead, kin, seed=seed, most_shots=1)
