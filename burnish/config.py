"""The settings of a project: what people write in burnish.yaml, as frozen models that refuse what they do not know.

Each field is explained directly beneath it; the same sentence is the comment in burnish.yaml and the JSON Schema.
Reading, overriding and writing the file is in `settings`.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from burnish.records import TaskKind

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
USUAL_EPOCHS, MOST_EPOCHS = 8, 40
USUAL_ALPHA = 32.0
FEWEST_STEPS = 300
"""Optimiser steps below which a new adapter has hardly begun to learn."""
STEPS_A_LABEL = 30
"""The same for each label of a task with many."""


class Section(BaseModel):
    """A part of burnish.yaml: frozen, and strict about names and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TaskSettings(Section):
    """What the model has to do."""

    kind: TaskKind = "label"
    """label: one of a closed set. fields: a JSON object with named fields. text: free text."""

    labels: tuple[str, ...] = ()
    """The closed set of a label task; empty: all labels found in the data."""

    fields: dict[str, Literal["exact", "number", "token_f1"]] = {}
    """Field name to its scorer, for a fields task; empty: all fields found in the data, scored exactly."""

    instruction: str = ""
    """A system message put before every conversation that has none; empty: none is added, ever."""

    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 128
    """Longest answer in tokens, for fields and text tasks."""

    shots: Annotated[int, Field(ge=0, le=32)] = 3
    """Solved training examples shown to the untuned base in its few-shot baseline; 0 leaves that baseline out."""


class DataSettings(Section):
    """How rows become examples."""

    text: str = ""
    """Column of a plain table that holds the text; empty: text, message, utterance, question, ... are tried."""

    answer: str = ""
    """Column of a plain table that holds the answer; empty: label, intent, category, class, target, ... are tried."""

    group: str = ""
    """Column whose equal values belong together, such as a customer or a document; they share a role. Empty: group."""

    sheet: str = ""
    """Sheet of an Excel workbook that is read; empty: the only visible one with rows."""

    slices: tuple[str, ...] = ()
    """Metadata columns to report by; empty: every column with 2 to 20 different values."""

    max_tokens: Annotated[int, Field(ge=16, le=131072)] = 512
    """Longest example in tokens; a longer one is rejected with its length, never cut."""

    near_duplicate: Share = 0.8
    """Jaccard similarity of runs of 1 to 5 words from which two prompts count as the same and share a role."""


class RoleSettings(Section):
    """Shares of the examples by role, split by group and never by row."""

    train: Share = 0.50
    """To learn from."""

    dev_a: Share = 0.13
    """To look at: diagnosis and errors."""

    dev_b: Share = 0.13
    """To choose by: early stopping and the learning rate; only numbers leave it."""

    vault: Share = 0.18
    """For the gate alone, over all vaults together."""

    audit: Share = 0.06
    """For one last look at the end of a project."""

    vaults: Annotated[int, Field(ge=1, le=20)] = 2
    """Number of vaults; one is retired at each promotion. More vaults are smaller and prove only larger gains."""

    @model_validator(mode="after")
    def _shares_make_one(self) -> "RoleSettings":
        total = self.train + self.dev_a + self.dev_b + self.vault + self.audit
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the shares train, dev_a, dev_b, vault and audit must add up to 1, they make {total:.3f}")
        return self


class LoraSettings(Section):
    """The shape of an adapter."""

    rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Width of the update. Cost grows with it; 8 to 64 is the useful range."""

    alpha: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """The update is scaled by alpha / rank, so that rank can change without another learning rate. auto: 32, and what
    `train.search` tries beside it."""

    targets: tuple[str, ...] = ("all-linear",)
    """Names of the linear layers that get an adapter; all-linear: every one but the output head."""

    @property
    def usual_alpha(self) -> float:
        """Alpha of a single adapter."""
        return USUAL_ALPHA if self.alpha == "auto" else self.alpha


class TrainSettings(Section):
    """How adapters are trained."""

    method: Literal["lora", "full"] = "lora"
    """lora: adapters on the frozen base. full: every weight, for comparison."""

    objective: Literal["sft", "dpo", "kto"] = "sft"
    """What is learned from. sft: examples. dpo: pairs of answers, one preferred. kto: answers found good or not."""

    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    """For dpo and kto: how closely an adapter is held to where it started; lower lets it move further. 0.05 to 0.5."""

    sft_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """For dpo: weight of the likelihood of chosen answers beside the preference, which alone may lower both; 0 to 1."""

    epochs: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = "auto"
    """Passes over the training examples at most; early stopping ends sooner. auto: 8, or with few rows or many
    labels up to 40, so that there are 300 optimiser steps, and 30 for each label."""

    batch_size: Positive = 8
    """Conversations per optimiser step; small batches learn more from the same rows, large ones run a little faster."""

    lr: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = "auto"
    """Peak learning rate; auto: from the base's hidden size (LoRA Without Regret, 2025), widened by `search`."""

    search: tuple[Annotated[float, Field(gt=0)], ...] | Literal["auto"] = "auto"
    """Multiples of lr, each trained as one adapter of the same bank; the best on dev_b is the challenger. auto: 1 and
    2; where lr and alpha are auto and the base small, 0.5 with four and eight times the alpha (LoRA+, 2024)."""

    finalists: Positive = 2
    """Candidates that train to the end; the others stop after 40% of the epochs, by their loss on dev_b."""

    token_dropout: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] = "auto"
    """Share of a user's tokens left out anew in each epoch; auto: 0.15 for labels on a small base, else 0."""

    human_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Weight in the loss of rows that people wrote, against 1 for rows that the column provenance says are synthetic or
    replay; where it names no such rows, or nothing else, nothing changes. Useful: 1 to 5."""

    replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training rows that are replay rows (column provenance), stratified by answer, fewer if there are not
    enough; 0: all of them, like any other row. Where there are none, nothing changes. Useful: 0.01 to 0.1."""

    warmup_share: Share = 0.05
    """Share of the steps in which the learning rate rises; it falls linearly to zero afterwards."""

    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Each adapter's gradient is clipped to this norm."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW."""

    patience: Positive = 3
    """Epochs without a lower dev_b loss before an adapter stops."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen base; auto: the faster one, measured at start. Adapters are always float32."""

    checkpoint_every_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between checkpoints."""

    def passes(self, num_rows: int, num_labels: int = 0) -> int:
        """Epochs of a training on so many rows, of a task with so many labels; 0: its answers are no labels.

        docs/decisions/0021-few-rows.md and 0030-faster-b.md say what the numbers rest on.
        """
        if self.epochs != "auto":
            return self.epochs
        steps = max(1, -(-num_rows // self.batch_size))
        fewest = max(FEWEST_STEPS, STEPS_A_LABEL * num_labels)
        return min(MOST_EPOCHS, max(USUAL_EPOCHS, -(-fewest // steps)))


class GateSettings(Section):
    """What a challenger has to prove before it becomes champion."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Bound on the chance that one vault ever promotes a challenger that is not better."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Challengers that one vault may judge; alpha is spent over them, most on the first."""

    margin: Share = 0.05
    """Largest loss on a protected slice, or on rows solved before, that still counts as no loss."""

    protected: tuple[str, ...] = ()
    """Slices as column=value that must be proven not to lose more than the margin."""

    min_gain: Share = 0.05
    """Smallest gain worth an attempt: the dev pre-check asks for a good chance of half of it."""

    measures: tuple[Literal["hallucination", "abstention", "bias", "jargon", "retention"], ...] = ()
    """Measures beside the score that must not get worse by more than the margin; empty: they are reported only. One
    that does not apply to the task is refused. Each asks more of a vault: with few rows the gate often cannot tell."""


class ApprovalSettings(Section):
    """Whether a person has to agree before a challenger is put into use."""

    required: bool = False
    """Whether a challenger that the gate passes waits until somebody approves it; a promotion by hand then needs the
    name of an approver, too. Going back to an earlier champion never waits."""

    by: tuple[str, ...] = ()
    """Names of those who may approve; empty: every user with the role approver, and where no users were added, whoever
    gives a name."""


class SynthesizeSettings(Section):
    """How rows are made for weak places, and what they have to pass before they train."""

    rows: Annotated[int, Field(ge=0)] | None = None
    """Most rows of a round's batch; null: as many as `growth` and the limits of the plan allow; 0: none are made."""

    growth: Annotated[float, Field(gt=0, le=10)] = 0.5
    """Most new rows of a round, as a multiple of the training rows there are; small steps beat one large one."""

    moves: tuple[Literal["augment", "compose", "counterfactual", "noise", "generator", "teacher"], ...] = ()
    """Ways in which rows are made, each with the same share of a cell; empty: a teacher where one is set, and the rules
    that suit the task. generator: an adapter that learns people's rows writes others, which wants a base worth it."""

    refine: bool = True
    """Whether a teacher, where one is set, repairs rows that rules made; one question a row."""

    solutions: Annotated[int, Field(ge=0, le=9)] = 3
    """Times that the verifier, or the teacher in its place, solves a row without seeing its answer; two thirds must
    agree with it. 0: it is not asked."""

    cross_fit: bool = False
    """Whether adapters trained on half of people's rows each vote on the labels of rows made from the other half, in
    place of the champion, which saw both. Costs a training more, and brought nothing where it was measured."""

    top_up: bool = True
    """Whether people's rows train again where fewer rows were kept than were planned, for rare answers above all."""

    out_of_scope: tuple[str, ...] = ()
    """Labels that mean "none of these"; they get half of the rows that are made for edges."""

    audit_rows: Annotated[int, Field(ge=1, le=1000)] = 60
    """Rows of a batch that people judge blind; 60 right ones of 60 prove 95%, 59 prove 92%, 58 fail at 90%."""

    audit_needed: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Lower bound of the share of right rows that a batch must prove before it trains anything."""

    compare: bool = True
    """Whether each candidate trains once more without synthetic rows, which costs as much training again, so that dev_b
    chooses between the two; without it only the gate tells."""

    take_unaudited: bool = False
    """Whether batches that nobody judged may train; every report says so. A batch that failed its audit never does."""


class ReviewSettings(Section):
    """What a round asks people."""

    per_round: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Questions that each round asks, beside the samples of batches that wait for their audit. A round then waits for
    its audits and blind labels: it ends with exit code 4, and goes on when called again. 0: nobody is asked."""


class EndpointSettings(Section):
    """A large model behind an OpenAI-compatible API. Rows of the project are sent there."""

    base_url: str = ""
    """Address of the API, such as http://localhost:8000/v1; empty: there is none."""

    model: str = ""
    """Name of the model at that endpoint."""

    key_env: str = ""
    """Name of the environment variable that holds the key, never the key; empty: the endpoint asks for none."""

    usd_per_million_input: Annotated[float, Field(ge=0)] | None = None
    """Price of a million tokens sent; null: unknown, which needs `budget.teacher_tokens`. Your own model costs 0."""

    usd_per_million_output: Annotated[float, Field(ge=0)] | None = None
    """Price of a million tokens that come back; null: unknown."""

    max_new_tokens: Annotated[int, Field(ge=16, le=32768)] = 1024
    """Longest reply in tokens. Every question is reserved in the budget at this length, and settled at its true one."""

    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls that limit; some models of OpenAI refuse the older name."""

    json_mode: bool = True
    """Whether replies are asked for with response_format json_object; turn it off for a server that refuses it."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    """Questions on their way at once."""

    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Most questions a minute, shared by all on their way; null: as fast as the endpoint answers."""

    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Seconds after which one answer is given up."""

    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """Further attempts at a question that met a passing fault, at growing distances."""

    longest_wait_s: Annotated[float, Field(gt=0)] = 120.0
    """Longest pause that an endpoint may ask for (Retry-After); a longer one stops the work, which can go on later."""

    most_unusable: Share = 0.5
    """Share of replies that may be unusable, out of 20 or more; beyond it the work stops, as the rest would be too."""

    @model_validator(mode="after")
    def _is_whole(self) -> "EndpointSettings":
        if self.base_url and not self.model:
            raise ValueError("base_url needs the name of a model beside it")
        return self

    @property
    def is_set(self) -> bool:
        """Whether there is an endpoint."""
        return bool(self.base_url)

    @property
    def is_priced(self) -> bool:
        """Whether both prices are known."""
        return self.usd_per_million_input is not None and self.usd_per_million_output is not None


class BudgetSettings(Section):
    """What a project may spend. A stage that would pass a limit stops before it begins."""

    usd: Annotated[float, Field(ge=0)] | None = None
    """Money over the life of the project; null: no limit."""

    seconds: Annotated[float, Field(ge=0)] | None = None
    """Machine time over the life of the project; null: no limit."""

    teacher_tokens: Annotated[int, Field(ge=0)] | None = None
    """Tokens sent to teachers and got from them over the life of the project; null: no limit. Needed where a teacher
    has no price."""

    reviewer_minutes: Annotated[float, Field(ge=0)] | None = None
    """Minutes of people over the life of the project, those that waiting questions will take included: beyond them
    nothing more is asked. null: no limit."""

    usd_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """Price of this machine, from which money is counted."""


class TrafficSettings(Section):
    """What `burnish serve` writes down of requests and answers. Nothing, before `keep` is switched on."""

    keep: bool = False
    """Write answers down and take feedback on them. Say so to those whose texts they are."""

    sample: Share = 1.0
    """Share of answers whose texts are kept. Of the others the version, times and counts are, so that feedback on them
    is taken as well."""

    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days after which an answer and the feedback on it are deleted from the database; its daily copies live a week
    longer."""

    redact: bool = True
    """Replace personal data and secrets before anything is written. Patterns find e-mail addresses, phone, card and
    account numbers and the like; names and street addresses they do not find."""


class KeySettings(Section):
    """A key of the project: where its text is, and what it may ask. The text itself never stands in a file."""

    env: Annotated[str, Field(min_length=1, max_length=128)]
    """Environment variable that holds the key, at least 16 characters long."""

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Most requests in any 60 seconds; null: no limit."""

    tokens_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Most tokens in any 60 seconds, of prompts and answers; an answer counts at its most until it is whole."""

    concurrent: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Most requests at once, those that wait included."""


class VllmSettings(Section):
    """The vLLM that runs the base with `burnish serve --engine vllm`; burnish starts it, watches it and ends it."""

    command: Annotated[str, Field(min_length=1)] = "vllm"
    """How vLLM is called, such as /opt/vllm/bin/vllm of an environment of its own."""

    args: tuple[str, ...] = ()
    """More words for `vllm serve`, such as ["--gpu-memory-utilization", "0.8"]."""

    url: Annotated[str, Field(pattern=r"^http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?$")] | None = None
    """A vLLM that runs on this machine already, such as http://127.0.0.1:8000, over this base with
    --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True; its key is in BURNISH_VLLM_KEY. null: one of its own."""

    start_s: Annotated[float, Field(gt=0, le=86400)] = 900.0
    """Seconds in which vLLM has to answer after its start."""


class ServeSettings(Section):
    """How `burnish serve` answers. Of several projects in one server, the first decides max_rows, max_waiting,
    timeout_s, adapter_mb, engine and vllm."""

    engine: Literal["builtin", "vllm"] = "builtin"
    """What runs the base: burnish itself, as it measured, or vLLM, which is made for accelerators."""

    max_rows: Annotated[int, Field(ge=1, le=1024)] = 64
    """Requests that are answered side by side; each takes a row of the batch and memory for its text."""

    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Requests that may wait for a row; beyond them clients are told to come back later (429)."""

    max_new_tokens: Annotated[int, Field(ge=1, le=131072)] = 1024
    """Longest answer in tokens; a request that asks for more is refused."""

    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Seconds after which an answer is given up, waiting included."""

    adapter_mb: Annotated[int, Field(ge=1)] = 1024
    """Memory for adapters; those used longest ago make room for others. At least one always fits."""

    vllm: VllmSettings = VllmSettings()

    traffic: TrafficSettings = TrafficSettings()

    keys: dict[str, KeySettings] = {}
    """Keys that open this project and no other, each by its name, with `env` and its quotas."""

    @field_validator("keys")
    @classmethod
    def _names_are_plain(cls, keys: dict[str, KeySettings]) -> dict[str, KeySettings]:
        odd = next((name for name in keys if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name)), None)
        if odd is not None:
            raise ValueError(f"{odd!r} is no name of a key; letters, digits, dots, hyphens and underscores make one")
        return keys


class CanarySettings(Section):
    """How a challenger is tried out on real traffic (`burnish deploy`); a canary keeps what it was started with."""

    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.01, 0.05, 0.25)
    """Share of the conversations that the challenger answers at each stage, rising; after the last it is promoted."""

    shadow_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the requests that a shadow answers too, unseen, while the server has nothing else to do."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Most probability with which a challenger that is not worse is ever rolled back, and one that is not better ever
    goes up a stage."""

    least: Annotated[int, Field(ge=1)] = 30
    """Differences between the two that each stage needs before the next, however strong the evidence is."""

    look_s: Annotated[float, Field(gt=0, le=86400)] = 60.0
    """Seconds between two looks of `burnish serve` at the evidence."""

    good: tuple[str, ...] = ("resolved", "accepted", "success")
    """Names of outcomes in the feedback of users that count as good."""

    bad: tuple[str, ...] = ("escalated", "rejected", "failure")
    """Names of outcomes that count as bad; others count as nothing."""

    @model_validator(mode="after")
    def _shares_rise(self) -> "CanarySettings":
        if not self.shares or list(self.shares) != sorted(set(self.shares)):
            raise ValueError(f"canary.shares must rise, such as [0.01, 0.05, 0.25]; found {list(self.shares)}")
        return self


class WatchSettings(Section):
    """What `burnish watch` takes for drift, and whom it tells."""

    window: Annotated[int, Field(ge=50, le=10_000)] = 200
    """Requests that are looked at together; a larger window sees smaller changes, later."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Chance of any false alarm, over all signals, in each stretch of `windows` windows."""

    windows: Annotated[int, Field(ge=1, le=1000)] = 50
    """Windows that share alpha; more make each of them harder to alarm."""

    effect_floor: Annotated[float, Field(ge=0.5, lt=1)] = 0.55
    """AUC from which texts count as unlike the reference, however sure it is; 0.55 is about one text in ten."""

    max_risk: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of wrong answers, by people's feedback, above which the risk alarms; null: the upper limit of the model's
    errors on dev_b, and `gate.margin` above it."""

    webhook: str = ""
    """Address that alarms are posted to, https unless it is on this machine; empty: none. `burnish watch --allow` has
    to be run once on each machine."""

    webhook_terms: bool = False
    """Whether what is posted holds terms that requests have in common; their texts are never posted."""

    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """Seconds after which posting is given up, to be tried again at the next look."""


class Settings(Section):
    """A whole project."""

    project: str = "project"
    """Name shown in reports."""

    base: str = "builtin:english-10m"
    """Base model: builtin:NAME, a local folder, or a hub id."""

    revision: str | None = None
    """Commit of a hub model, 40 hex digits; a hub id needs it, so that the base cannot change unseen."""

    seed: Annotated[int, Field(ge=0, le=4294967295)] = 0
    """Decides roles, initial weights and the order of rows."""

    task: TaskSettings = TaskSettings()
    data: DataSettings = DataSettings()
    roles: RoleSettings = RoleSettings()
    lora: LoraSettings = LoraSettings()
    train: TrainSettings = TrainSettings()
    synthesize: SynthesizeSettings = SynthesizeSettings()
    teacher: EndpointSettings = EndpointSettings()
    verifier: EndpointSettings = EndpointSettings()
    review: ReviewSettings = ReviewSettings()
    judge: EndpointSettings = EndpointSettings()
    gate: GateSettings = GateSettings()
    approval: ApprovalSettings = ApprovalSettings()
    budget: BudgetSettings = BudgetSettings()
    serve: ServeSettings = ServeSettings()
    canary: CanarySettings = CanarySettings()
    watch: WatchSettings = WatchSettings()
