"""Everything that a report shows, as one record: the loop fills it, the renderers read nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from burnish.diagnose.diagnosis import Diagnosis
from burnish.evaluate.change import MeasureChange
from burnish.evaluate.handoff import HandoffChange
from burnish.records import Answer, Comparison, Cost, Decision, Interval, Trial, Verdict
from burnish.review.concord import QueueAgreement
from burnish.review.standing import JudgedReport
from burnish.synthesize.batch import BatchReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the untuned base scores, the yardstick of everything else."""

    name: str
    """"untuned, no examples shown"."""
    score: Interval
    shots: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What one stage of the round used."""

    stage: str
    cost: Cost
    was_cached: bool = False
    """True when the stage was sealed by an earlier run, so that this one paid nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """What the round learned and was tested on, in numbers of rows."""

    roles: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    """Rows per label, or per field for a fields task."""
    slices: Mapping[str, int] = field(default_factory=dict)
    """Rows per "column=value"."""
    sources: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Rejected rows by the stable word of their reason."""
    num_groups: int = 0
    num_duplicates: int = 0
    num_near_duplicates: int = 0
    secrets: Mapping[str, int] = field(default_factory=dict)
    """Rows holding secrets or personal data, by kind; the texts themselves are masked here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingReason:
    """A resolved setting and why it has this value."""

    name: str
    value: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRound:
    """One round of the project's history, this one included."""

    round: int
    decision: Decision
    before: Interval
    after: Interval
    approval: Answer = ""
    """What people had said to the gate's PROMOTE when the report was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCommand:
    """Something worth typing now."""

    command: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of the first rendered training example, control tokens shown."""

    text: str
    learned: bool
    """True where the loss is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTrial:
    """Settings that a search tried, and how far they came."""

    number: int
    values: Mapping[str, int | float]
    """lr, rank, batch_size, epochs, human_weight, replay_share."""
    trial: Trial
    move: float | None = None
    """Size of the update relative to the weights that it changes; None for a trial that left early."""
    rungs: int = 0
    """Rungs reached, where those that cannot win leave."""
    num_rungs: int = 0
    """Rungs that there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReport:
    """A search for settings that was made before the round."""

    study: str
    """Its name in the project's tune.db."""
    num_rows: int
    """Training rows that it used."""
    total_rows: int
    """Training rows that there were."""
    trials: tuple[SearchTrial, ...]
    chosen: int | None = None
    """Number of the trial to take; None when the search had not ended."""
    best: int | None = None
    """Number of the trial with the best dev score."""
    reason: str = ""
    is_used: bool = False
    """True when the round trained with the chosen settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisReport:
    """Where the champion was weak before training."""

    found: Diagnosis
    texts: Mapping[str, str] = field(default_factory=dict)
    """What was asked in some of the wrong rows that it names, by id; rows of dev_a."""
    note: str = ""
    """In which way the model was asked, where that is not plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRow:
    """A synthetic row to look at."""

    text: str
    answer: str
    move: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisReport:
    """Rows that the round made, and the synthetic rows that it trained on."""

    batch: BatchReport | None = None
    """Of the batch that this round made; None: it made none."""
    state: str = ""
    """accepted, unaudited, waiting or rejected."""
    num_people: int = 0
    """Rows of train that people wrote."""
    num_synthetic: int = 0
    """Synthetic rows beside them, of all batches."""
    unaudited: tuple[str, ...] = ()
    """Batches among them that nobody judged."""
    waiting: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    verified: Mapping[str, Any] = field(default_factory=dict)
    """What the verifiers are worth on rows of people."""
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shown: tuple[MadeRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedBatch:
    """What one batch of training rows brought."""

    name: str
    num_rows: int
    origin: str
    """people, synthetic, or both: small batches that were taken together."""
    gain: Interval
    """Score with all rows less the score without it, on the same rows."""
    verdict: str
    """helped, harmed, no difference seen or too few rows; adjusted over the batches."""
    cost: Cost | None = None
    """Of making it; None: not known."""
    cost_per_point: Cost | None = None
    """Of a point gained; None where the cost is not known, or the gain's interval does not lie above zero."""
    use: str = ""
    """What was done with its rows since: in full, counts half or left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionReport:
    """The last attribution before the round: which batch of training rows helped."""

    metric: str
    num_rows: int
    """Rows of dev_b that every training was scored on."""
    num_repeats: int
    """Trainings of each kind."""
    start: str
    """The first batch that people added, which every training learned from; empty: all rows are synthetic."""
    before: Interval | None
    """Score without any other batch."""
    after: Interval
    """Score with all of them."""
    unattributed: Interval | None
    """What the gains of single batches do not add up to; None with one batch."""
    batches: tuple[AttributedBatch, ...]
    """The largest gain first."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewReport:
    """What people's decisions changed in the round, and what nobody has answered."""

    num_rows: int = 0
    """Rows to learn from that people answered or rewrote, beside those of the files."""
    num_corrected: Mapping[str, int] = field(default_factory=dict)
    """Answers on file that people changed, by role: train, dev_a."""
    num_out_of_scope: int = 0
    """Rows that train nothing since people hold them to be no business of the model."""
    num_pairs: int = 0
    num_thumbs: int = 0
    """Pairs and thumbs that people's decisions make; learned under train.objective dpo and kto."""
    preferred: str = ""
    """What was learned from them; empty: nothing was to be."""
    minutes: float = 0.0
    """That people spent since the round before."""
    unproven: tuple[str, ...] = ()
    """What could not be shown without people, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """A round as the report tells it."""

    project: str
    round: int
    decision: Decision
    reason: str
    metric: str
    """accuracy, field_accuracy or token_f1."""
    base: str
    champion: str
    """In use before the round; the name of the base when nothing was promoted yet."""
    challenger: str
    before: Interval
    after: Interval
    gain: Interval
    measured_on: str = "development rows"
    """Whose rows the headline numbers come from, in words."""
    comparison: Comparison | None = None
    """Champion against challenger on dev_a; None when no challenger came out."""
    baselines: tuple[Baseline, ...] = ()
    diagnosis: DiagnosisReport | None = None
    """None in rounds from before there was a diagnosis."""
    synthesis: SynthesisReport | None = None
    """None: nothing was made, and nothing synthetic was trained on."""
    review: ReviewReport | None = None
    """None in rounds from before people's decisions were used."""
    attribution: AttributionReport | None = None
    """The last one before the round; None: batches were never compared."""
    measures: tuple[MeasureChange, ...] = ()
    """Champion and challenger beside the score, on dev_a."""
    judged: JudgedReport | None = None
    """What people and a judge say of the answers of champion and challenger; None where answers are no texts."""
    agreement: tuple[QueueAgreement, ...] = ()
    """How far reviewers agree, by queue; empty where nobody has decided anything."""
    handoffs: HandoffChange | None = None
    """Cases of dev_a that go to a person, of champion and challenger; None in rounds from before this was counted."""
    trials: tuple[Trial, ...] = ()
    chosen: str = ""
    """Name of the candidate that became the challenger."""
    guessing_loss: float | None = None
    """Loss of guessing uniformly over the vocabulary, in nats per token."""
    search: tuple[SearchReport, ...] = ()
    """The search for settings made before this round; of a large project first on a part of the rows, then on all."""
    verdict: Verdict | None = None
    """The gate's public view: whole once the vault is retired, one bit before."""
    attempts: int = 3
    """Attempts that one vault has."""
    costs: tuple[StageCost, ...] = ()
    data: DataSummary = DataSummary()
    warnings: tuple[str, ...] = ()
    settings: tuple[SettingReason, ...] = ()
    history: tuple[PastRound, ...] = ()
    next_commands: tuple[NextCommand, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    first_prompt: tuple[Piece, ...] = ()
    created_at: str = ""
    """ISO 8601, UTC."""
    approval: Answer = ""
    """What people said to the gate's PROMOTE; empty: nobody had to be asked."""
