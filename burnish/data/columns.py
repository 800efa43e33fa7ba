"""Which columns of a file a model is shown, which hold the answer, and which stay out of every prompt."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from burnish.data.quality import snippet
from burnish.data.shapes import Conversation

WHOLE_SHAPES = frozenset({"messages", "conversations"})
"""Their rows say themselves what is shown; other columns are notes about it."""
OFTEN = 0.1
"""Share of rows from which a column that is in no prompt is told of."""
MOST_SHOWN = 6


class ColumnUse:
    """What is noted while the rows of a file go by."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.shown: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()

    def note(self, found: Conversation, row: Mapping[str, Any], kept: Collection[str]) -> None:
        """Notes a row whose `kept` columns have a meaning; what is neither in the conversation nor kept is unread."""
        self.num_rows += 1
        if found.shape in WHOLE_SHAPES:
            return
        self.shown.update(name for name in row if name in found.used)
        self.unread.update(
            name for name, value in row.items() if value not in (None, "", [], {}) and name not in {*found.used, *kept}
        )

    def warning(self) -> str:
        """One sentence about columns that may have been meant for the prompt; "" where there are none."""
        lost = [name for name, count in self.unread.most_common() if count >= OFTEN * self.num_rows]
        if not lost:
            return ""
        more = f" and {len(lost) - MOST_SHOWN} more" if len(lost) > MOST_SHOWN else ""
        return (
            f"conversations are made of {_listed(list(self.shown))} alone; too long or no plain values, so in no "
            f"prompt: {_listed(lost[:MOST_SHOWN])}{more}. If a model needs them, write them into the text"
        )


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(snippet(name, 40)) for name in names)
