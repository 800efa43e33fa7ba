"""The plan of a pre-training: everything that decides which weights come out, apart from the text."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from burnish.errors import ConfigError
from recipes.base.shape import Shape

OptimizerName = Literal["muon", "adamw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to train, on how much, and how; the same plan on the same text gives the same bytes on a CPU."""

    shape: Shape
    tokens: int = 500_000_000
    """Most tokens to learn from, repeats counted."""
    minutes: float | None = None
    """Most time for training; None: as long as `tokens` take. Settled once, after the first steps, by their speed."""
    context: int = 1024
    """Tokens of a row. Rows are packed from whole documents where they fit."""
    rows: int = 128
    """Rows of a step. With few tokens take fewer: 8 on a CPU."""
    micro_rows: int = 64
    """Rows that go through the model at once; divides `rows`. Less needs less memory and changes nothing else."""
    optimizer: OptimizerName = "muon"
    lr: float = 0.01
    """Peak learning rate; Muon's is scaled so that one range fits both optimisers."""
    weight_decay: float = 0.1
    """Decoupled, for matrices only. Text that is read many times wants more than the usual 0.1: Kim et al. 2025,
    arXiv 2509.14786, find up to 30 times as much best."""
    dropout: float = 0.0
    """Share of each layer's output that is dropped; 0.1 is worth a try beyond some four passes over the text (Xue et
    al. 2023, arXiv 2305.13230)."""
    warmup_steps: int = 100
    decay_share: float = 0.4
    """Last share of the steps in which the learning rate falls to zero and dialogues weigh more."""
    dialogue_weight: int = 3
    """How often a dialogue is read in the decay phase for each time that another text is."""
    held_out_lines: int = 1000
    """Last lines of the corpus, which neither the tokenizer nor the model ever sees."""
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(1, tokens=self.tokens, rows=self.rows, micro_rows=self.micro_rows, held_out_lines=self.held_out_lines)
        _at_least(1, dialogue_weight=self.dialogue_weight, warmup_steps=self.warmup_steps)
        if self.rows % self.micro_rows:
            raise ConfigError(
                f"{self.rows} rows cannot be taken {self.micro_rows} at a time",
                hint="Let micro_rows divide rows.",
            )
        if not 2 <= self.context <= self.shape.positions:
            raise ConfigError(
                f"a context of {self.context} tokens does not fit the model's {self.shape.positions} positions",
                hint=f"Take 2 to {self.shape.positions}.",
            )
        if self.optimizer not in ("muon", "adamw"):
            raise ConfigError(f"there is no optimizer {self.optimizer!r}", hint="Take muon or adamw.")
        if self.lr <= 0 or not 0 <= self.dropout < 1 or not 0 < self.decay_share <= 1 or self.weight_decay < 0:
            raise ConfigError(
                f"lr {self.lr}, dropout {self.dropout}, decay_share {self.decay_share}, weight_decay "
                f"{self.weight_decay}: one is out of its range",
                hint="lr is above 0, dropout from 0 to below 1, decay_share above 0 to 1, weight_decay 0 or more.",
            )
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"nothing can be trained in {self.minutes} minutes", hint="Give minutes above 0.")

    @property
    def tokens_per_step(self) -> int:
        """Positions of a step; a few of them are padding."""
        return self.rows * self.context

    @property
    def max_steps(self) -> int:
        """Steps that `tokens` make, at least one."""
        return max(1, self.tokens // self.tokens_per_step)

    def as_json(self) -> dict[str, Any]:
        """The plan as plain data, which marks the folder of a run as its own."""
        return asdict(self)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"{name} is {value}", hint=f"{name} must be {least} or more.")
