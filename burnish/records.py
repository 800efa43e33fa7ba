"""The nouns that cross parts: frozen, slotted, keyword-only records, and how they become JSON and come back.

Parts on one floor are strangers; they meet here. A record holds no behaviour beyond what its own fields say.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter

from burnish.fingerprint import fingerprint

Role = str
"""train, dev_a, dev_b, vault_1 ... vault_K, audit, or aside: left out, because a vault in use holds nearly the same."""

TaskKind = Literal["label", "fields", "text"]
Decision = Literal["PROMOTE", "HOLD", "INCONCLUSIVE"]
Answer = Literal["", "waiting", "approved", "refused", "withheld"]
"""What people said to the gate's PROMOTE; empty: nobody had to be asked; withheld: before it was in use, they had a row
forgotten that it learned from."""
StopReason = Literal["choice", "end", "length", "error"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A conversation whose last turn is the assistant's answer that we want the model to give."""

    id: str
    messages: tuple[Message, ...]
    group: str
    """Rows of one document, customer or template share a group; a group never straddles two roles."""
    slices: Mapping[str, str] = field(default_factory=dict)
    """Metadata by column: {"channel": "web"}."""
    source: str = ""
    """Where it came from, "claims.jsonl:17"."""
    weight: float = 1.0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The assistant's last turn: a label, a JSON object or free text, as the task says."""
        return self.messages[-1].content

    @property
    def content_hash(self) -> str:
        """Identity of the conversation alone, whatever file or row it came from."""
        return fingerprint([[turn.role, turn.content] for turn in self.messages])


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Two answers to one prompt, of which a person preferred one."""

    id: str
    prompt: tuple[Message, ...]
    """Everything before the answer."""
    chosen: str
    rejected: str
    group: str = ""
    """As of an example: preferences of one group never straddle two roles."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumb:
    """An answer to a prompt that a person found good, or not."""

    id: str
    prompt: tuple[Message, ...]
    answer: str
    is_good: bool
    group: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the model has to do, with nothing left to find out: what `auto` meant is resolved."""

    kind: TaskKind = "label"
    labels: tuple[str, ...] = ()
    """The closed set of a label task; empty for the other kinds."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Field name to its scorer (exact, number, token_f1), in the order in which they are written."""
    instruction: str = ""
    """A system message for conversations that have none; empty: none is added."""
    max_new_tokens: int = 128
    metric: str = "accuracy"
    """accuracy (label), field_accuracy (fields) or token_f1 (text)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A row that was not taken, and why."""

    source: str
    row: int
    offset_bytes: int | None
    """Byte offset of the row's start, None where the format has no such thing."""
    reason: str
    """Starts with a stable word and a colon: "json: ...", "no-answer: ...", so that reasons can be counted."""
    snippet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its 95% interval over n items. low and high are None when n cannot support one."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """What a model said on one example, and what it scored."""

    example: str
    prompt: str
    """The rendered prompt, control tokens shown."""
    output: str
    expected: str
    score: float | None
    """None: not scored, see `why_missing`. 0.0 means the answer was wrong."""
    why_missing: str = ""
    stop_reason: StopReason = "end"
    logprob: float | None = None
    """Summed log-probability of the output, in nats."""
    group: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    """Scores per field or per scorer, where the task has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model on one set of examples: every row, the overall score and the score per slice."""

    model: str
    model_hash: str
    template_hash: str
    metric: str
    """accuracy, field_accuracy or token_f1."""
    rows: tuple[RowResult, ...]
    overall: Interval
    slices: Mapping[str, Interval]
    """Keyed "column=value"."""
    shots: int = 0
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    num_tokens: int = 0

    def score_of(self) -> dict[str, float | None]:
        """Score by example id."""
        return {row.example: row.score for row in self.rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A row on which one model scores better than the other: right where it is wrong, where scores are 0 or 1."""

    example: str
    prompt: str
    expected: str
    before: str
    after: str
    gained: bool
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceComparison:
    """Two models on the identical rows of one slice."""

    slice: str
    before: Interval
    after: Interval
    gain: Interval
    wins: int
    losses: int
    ties: int
    p_value: float | None
    """Two-sided, unadjusted; None where the slice gives no information."""
    p_holm: float | None = None
    """Holm-adjusted over the slices of this comparison."""
    verdict: str = "no difference seen"
    """better, worse, no difference seen, or no information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models on identical rows, paired: the noun that the gate reads and the report shows."""

    metric: str
    before_model: str
    after_model: str
    overall: SliceComparison
    slices: tuple[SliceComparison, ...]
    differences: tuple[float, ...]
    """after - before, one per row, in the order of `examples`."""
    examples: tuple[str, ...]
    groups: tuple[str, ...]
    slice_of: tuple[Mapping[str, str], ...] = ()
    flips: tuple[Flip, ...] = ()
    smallest_gain_shown: float | None = None
    """The smallest true gain that this set could show with power 0.8, in score units; None: not even a gain of 1."""
    num_unscored: int = 0
    """Rows left out because one of the models has no score on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One hypothesis of the gate and how it came out."""

    name: str
    kind: Literal["superiority", "non-inferiority", "checked"]
    margin: float
    p_value: float | None
    passed: bool | None
    """None: too few rows to tell."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gate's answer. Until the vault is retired only `decision` and `reason` leave the gate."""

    decision: Decision
    reason: str
    vault: str
    vault_hash: str
    attempt: int
    alpha: float
    num_rows: int
    detectable_gain: float
    """Smallest true gain that this vault proves with power 0.8 at this alpha."""
    guards: tuple[Guard, ...] = ()
    rows_needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a stage used. Joules are None where the machine does not tell."""

    usd: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    joules: float | None = None
    reviewer_minutes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Progress of one candidate at one step."""

    step: int
    epoch: float
    train_loss: float | None
    """Nats per target token; where preferences are learned, the loss per pair or thumb, and so below."""
    dev_loss: float | None
    lr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An adapter to be tried: its shape and the settings that differ between slots of the bank."""

    name: str
    rank: int
    alpha: float
    lr: float
    seed: int
    subset: str = ""
    """Name of the subset of the job's rows that it learns from; empty: all of them."""
    epochs: int | None = None
    """Passes over its own rows at most; None: as the job says, and so below."""
    warmup_share: float | None = None
    """Share of its steps in which the learning rate rises."""
    decay_share: float | None = None
    """Share of its steps after the warm-up in which the learning rate falls to zero."""
    beta: float | None = None
    """How closely a preference objective holds it to the reference."""
    sft_weight: float | None = None
    """Weight of the likelihood of chosen answers beside DPO's loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate after training: its curve, its scores on dev_b and the folder of its weights."""

    candidate: Candidate
    curve: tuple[CurvePoint, ...]
    best_step: int
    dev_loss: float | None
    dev_score: Interval | None = None
    adapter_hash: str = ""
    folder: str = ""
    """Relative to the stage's artifact."""
    stopped: str = "done"
    """done, early (dev loss stopped falling), outrun (others were better at the rung) or diverged."""
    learned: bool = True
    """False when the dev loss never beat guessing uniformly over the vocabulary or never fell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """An immutable entry of the registry."""

    name: str
    round: int
    adapter_hash: str
    artifact: str
    """Path of the adapter folder, relative to the project's .burnish folder; empty for the untuned base."""
    base: str
    base_hash: str
    template_hash: str
    parents: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    """Data batch name to content hash."""
    settings_hash: str = ""
    lr: float | None = None
    """Peak learning rate it was trained with, from which later rounds start; None for the untuned base."""
    scores: Mapping[str, Interval] = field(default_factory=dict)
    decision: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """A slice in which a model does worse than elsewhere: found on dev_a, tested anew on dev_b."""

    name: str
    """"column=value", two of them joined by " & ", or what its texts are about, "text: appeal, deadline"."""
    kind: Literal["declared", "metadata", "text"]
    columns: Mapping[str, str] = field(default_factory=dict)
    """The columns that define it, and their values; empty for a slice of texts."""
    terms: tuple[str, ...] = ()
    """Distinctive terms of a slice of texts, most telling first."""
    found: Interval
    """Score on its rows of dev_a."""
    checked: Interval
    """Score on its rows of dev_b."""
    p_holm: float | None
    """One-sided, on dev_b, "worse than the rest", Holm-adjusted over all candidates; None: too few rows to test."""
    confirmed: bool
    prevalence: float
    """Share of all rows looked at."""
    shrunk_error: float
    """Error rate pulled towards the mean of all slices, as far as its rows are few."""
    priority: float
    """Prevalence times the shrunk error above the target; the list is sorted by it."""
    causes: Mapping[str, int] = field(default_factory=dict)
    """Wrong rows by likely cause, most frequent first."""
    remedy: str = ""
    examples: tuple[str, ...] = ()
    """Ids of wrong rows of dev_a."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A wish for synthetic rows: so many, of this kind."""

    purpose: Literal["weakness", "prevalence", "edge"]
    count: int
    answer: str = ""
    """The label that the rows shall have; empty: as it comes."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Slices that the rows shall have."""
    terms: tuple[str, ...] = ()
    """What their texts shall be about."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where one synthetic row comes from, down to what it cost."""

    example: str
    move: str
    """augment, compose, counterfactual, noise, generator or teacher."""
    generator: str
    """Hash of the adapter that wrote it, or of the base where it had none, or the teacher's name; empty for rules."""
    parents: tuple[str, ...] = ()
    """Seeds that it was made from or shown; only rows that people wrote are parents."""
    request: str = ""
    """Hash of the prompt or request."""
    refiner: str = ""
    """The teacher that repaired it."""
    unrefined: str = ""
    """Its text before that; with the text that it has now a pair of which a teacher preferred the second."""
    verdicts: Mapping[str, float] = field(default_factory=dict)
    """What each verifier said, by its name: 1 for agreement, 0 for none, or a score in between."""
    usd: float = 0.0


def as_json(record: Any) -> dict[str, Any]:
    """A record as plain JSON data, nested records included."""
    return asdict(record)


def from_json(kind: type[T], data: Mapping[str, Any]) -> T:
    """The record that `as_json` wrote. Raises pydantic.ValidationError when a field is missing or of another type."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    record: T = _ADAPTERS[kind].validate_python(dict(data))
    return record


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
"""Made once for each kind: making one takes longer than reading a record."""
