"""What training is asked to do: a frozen record of everything that decides the result, and its identity."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from burnish.config import LoraSettings, TrainSettings
from burnish.data.conversation import conversation
from burnish.fingerprint import fingerprint
from burnish.model.adapter import adapter_hash, load_adapter
from burnish.model.base import Base
from burnish.records import Candidate, Example, Message, Preference, Task, Thumb, as_json
from burnish.train.batch import Row, hash_rows
from burnish.train.referee import Referee

NO_EFFECT = {"checkpoint_every_s", "lr", "search", "precision", "token_dropout", "human_weight", "replay_share"}
"""Settings that decide nothing once the rest of the job is given: a rerun may change them and go on."""

PREFERENCE = {"objective", "beta", "sft_weight"}
"""Settings that decide nothing where examples are learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """One training run of a bank of candidates. Two jobs with the same identity give the same weights, bit for bit."""

    base: Base
    rows: Sequence[Row]
    dev: Sequence[Row]
    """For early stopping; may be empty, then every epoch is trained and the last weights are kept."""
    candidates: Sequence[Candidate]
    train: TrainSettings
    lora: LoraSettings
    seed: int
    """Decides the order of rows; each candidate's own seed decides its first weights."""
    folder: Path
    """Gets one folder a candidate, and scratch/ with the checkpoints."""
    referee: Referee | None = None
    """Decides who leaves on the way, in place of `train.finalists`; needs dev rows."""
    decay_share: float = 1.0
    """Share of the steps over which the learning rate falls to zero at the end; before, it stays at its peak."""
    token_dropout: float = 0.0
    """Share of a user's tokens that each epoch leaves out (train/dropout.py)."""
    subsets: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Ids of rows by the name under which candidates ask for them."""
    starts: Mapping[str, Path] = field(default_factory=dict)
    """Folder of the adapter from which a candidate starts, by its name; one that is not named starts as the base."""

    def identity(self) -> dict[str, Any]:
        """Everything that decides the result, as plain JSON."""
        return {
            "base": self.base.base_hash,
            "precision": self.base.precision,
            "device": self.base.device,
            "template": self.base.chat.template_hash,
            "rows": hash_rows(self.rows),
            "dev": hash_rows(self.dev),
            "candidates": {candidate.name: _asked(candidate) for candidate in self.candidates},
            "train": self.train.model_dump(
                mode="json", exclude=NO_EFFECT | (PREFERENCE if self.train.objective == "sft" else set())
            ),
            "lora": self.lora.model_dump(mode="json"),
            "seed": self.seed,
            "torch": torch.__version__,
            **({} if self.referee is None else {"referee": dict(self.referee.identity())}),
            **({} if self.decay_share == 1.0 else {"decay_share": self.decay_share}),
            **({} if self.token_dropout == 0.0 else {"token_dropout": self.token_dropout}),
            **(
                {"subsets": {name: fingerprint(sorted(set(ids))) for name, ids in self.subsets.items()}}
                if self.subsets
                else {}
            ),
            **(
                {"starts": {name: adapter_hash(load_adapter(path, self.base)[1]) for name, path in self.starts.items()}}
                if self.starts
                else {}
            ),
        }


def _asked(candidate: Candidate) -> dict[str, Any]:
    return {name: value for name, value in as_json(candidate).items() if name not in PREFERENCE or value is not None}


def rows_of(base: Base, task: Task, examples: Sequence[Example]) -> tuple[Row, ...]:
    """Examples rendered by the base's own chat template, the task's instruction before those that have none."""
    rows = []
    for example in examples:
        rendered = base.chat.render(conversation(task, example))
        rows.append(
            Row(
                id=example.id,
                tokens=rendered.tokens,
                learned=rendered.learned,
                weight=example.weight,
                asked=rendered.asked,
            )
        )
    return tuple(rows)


def pair_rows(base: Base, task: Task, preferences: Sequence[Preference]) -> tuple[Row, ...]:
    """Pairs rendered as examples are, for objective dpo; only the two answers and what ends them are scored."""
    rows = []
    for one in preferences:
        rejected = _answer_row(base, task, one.id, one.prompt, one.rejected)
        chosen = _answer_row(base, task, one.id, one.prompt, one.chosen)
        rows.append(replace(chosen, rejected=rejected, weight=one.weight))
    return tuple(rows)


def thumb_rows(base: Base, task: Task, thumbs: Sequence[Thumb]) -> tuple[Row, ...]:
    """Thumbs rendered as examples are, for objective kto; only the answer and what ends it are scored."""
    return tuple(
        replace(
            _answer_row(base, task, thumb.id, thumb.prompt, thumb.answer), is_good=thumb.is_good, weight=thumb.weight
        )
        for thumb in thumbs
    )


def _answer_row(base: Base, task: Task, row_id: str, prompt: Sequence[Message], answer: str) -> Row:
    """Answers of earlier turns are part of the prompt here: nobody said anything about them."""
    turns = conversation(
        task, Example(id=row_id, messages=(*prompt, Message(role="assistant", content=answer)), group="")
    )
    rendered, start = base.chat.render(turns), len(base.chat.render_prompt(turns[:-1]))
    learned = [mark and place >= start for place, mark in enumerate(rendered.learned)]
    return Row(id=row_id, tokens=rendered.tokens, learned=learned)
