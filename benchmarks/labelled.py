"""Sets of labelled rows with known truth, some of whose labels a benchmark makes rare."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from burnish.records import Example, Message

FOLDERS = {
    "clinc_banking": "clinc_banking_oos",
    "clinc_cards": "clinc_credit_cards_oos",
    "hwu64": "hwu64",
    "sms_spam": "sms_spam",
    "snips": "snips",
}
"""snips is for trying things out: what is reported was not chosen on its own rows."""
SETS = "clinc_banking,clinc_cards,hwu64,sms_spam"
"""Those that are reported."""
FEWEST, MOST = 3, 8
"""Training rows of a rare label."""
RARE_SHARE = 1 / 3


def read(data: Path, name: str, splits: Sequence[str]) -> list[Example]:
    """All rows of these splits of a set; a split that is not there has none."""
    rows = []
    for split in splits:
        if (file := data / FOLDERS[name] / f"{split}.jsonl.gz").exists():
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                rows += [json.loads(line) for line in lines]
    return [_example(f"{name}-{splits[0]}-{at}", row["text"], row["label"]) for at, row in enumerate(rows)]


def _example(name: str, text: str, label: str) -> Example:
    return Example(
        id=name, group=name, messages=(Message(role="user", content=text), Message(role="assistant", content=label))
    )
