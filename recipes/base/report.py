"""What a finished run is worth: held-out loss as trained and as stored, few-shot answers, another base beside it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from burnish.model.base import load_base
from burnish.stats.rates import Estimate
from burnish.talk import Talk
from recipes.base.few_shot import Labelled, few_shot
from recipes.base.held_out import HeldOut, measure, nats_of_base, nats_of_llama
from recipes.base.llama import Llama
from recipes.base.rounding import ROUNDINGS, bytes_in_eight_bits
from recipes.base.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another base on the same texts."""

    name: str
    per_byte: Estimate
    """Its nats per byte."""
    worse_per_byte: Estimate
    """How many more nats per byte than ours it takes, text by text."""
    worse_per_token: float
    """The same in nats for each of our tokens, which is what the aim of 0.35 is counted in."""
    few_shot: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of a run, for the card and for scripts."""

    num_weights: int
    steps: int
    tokens: int
    """Positions learned from, repeats counted, padding too."""
    passes: float
    """How often the training text was read, on average."""
    seconds: float
    tokens_per_s: float
    flops_per_s: float
    """Useful arithmetic by the count of `Shape.flops_per_token`."""
    num_texts: int
    per_token: Estimate
    """Held-out nats per token, as stored in bfloat16."""
    per_byte: Estimate
    rounding: dict[str, Estimate]
    """Nats per byte that each way of storing costs, by its name."""
    size_bytes: dict[str, int]
    """Of the weights, by the same names."""
    few_shot: Estimate | None
    chance: float | None
    rival: Rival | None

    def as_json(self) -> dict[str, Any]:
        """Plain data; estimates as value, low, high and n."""
        return _plain(asdict(self))  # type: ignore[no-any-return]


class Questions(NamedTuple):
    """What a finished base is asked."""

    num_texts: int
    """The first so many held-out texts."""
    rows: Sequence[Labelled] = ()
    """Rows to ask it with few shots; none: it is not asked."""
    rival: str | None = None
    """Another base for the same questions."""


def report_of(run: Run, folder: Path, questions: Questions, talk: Talk) -> Report:
    """Measures the run's model, and the base that was exported from it into `folder`."""
    rows, rival = questions.rows, questions.rival
    texts = run.data.held_out[: questions.num_texts]
    talk.say(f"measuring on {len(texts):,} held-out texts")
    exact = _of_llama(run, texts)
    stored = {name: _of_rounded(run, name, texts) for name in ROUNDINGS}
    ours = stored["bfloat16"]
    tokens = run.step * run.plan.tokens_per_step
    speed = tokens / run.seconds
    weights = dict(run.model.named_parameters())
    return Report(
        num_weights=run.plan.shape.num_weights,
        steps=run.step,
        tokens=tokens,
        passes=tokens / run.data.documents.num_tokens,
        seconds=run.seconds,
        tokens_per_s=speed,
        flops_per_s=speed * run.plan.shape.flops_per_token(run.plan.context),
        num_texts=len(texts),
        per_token=ours.per_token,
        per_byte=ours.per_byte,
        rounding={name: found.worse_per_byte(exact) for name, found in stored.items()},
        size_bytes={"bfloat16": 2 * run.plan.shape.num_weights, "8 bits": bytes_in_eight_bits(weights)},
        few_shot=few_shot(load_base(str(folder), precision="float32"), rows) if rows else None,
        chance=1 / len({row.label for row in rows}) if rows else None,
        rival=None if rival is None else _rival(run, rival, ours, texts, rows),
    )


def _of_llama(run: Run, texts: Sequence[str], model: Llama | None = None) -> HeldOut:
    model = run.model if model is None else model
    model.eval()
    encode = run.data.tokenizer.encode
    return measure(
        nats_of_llama(model),
        lambda text: encode(text).ids,
        texts,
        context=run.plan.context,
        device=str(run.device),
    )


def _of_rounded(run: Run, name: str, texts: Sequence[str]) -> HeldOut:
    """The model with its weights as one way of storing gives them back, in float32 otherwise."""
    rounded = Llama(run.plan.shape)
    rounded.load_state_dict(ROUNDINGS[name](run.model.state_dict()))
    return _of_llama(run, texts, rounded.to(run.device))


def _rival(run: Run, name: str, ours: HeldOut, texts: Sequence[str], rows: Sequence[Labelled]) -> Rival:
    base = load_base(name, precision="float32", device=str(run.device))
    context = min(run.plan.context, base.max_tokens)

    backend: Tokenizer = base.tokenizer.backend_tokenizer

    def encode(text: str) -> list[int]:
        return backend.encode(text, add_special_tokens=False).ids

    found = measure(nats_of_base(base), encode, texts, context=context, device=base.device)
    worse = found.worse_per_byte(ours)
    assert worse.value is not None
    return Rival(
        name=name,
        per_byte=found.per_byte,
        worse_per_byte=worse,
        worse_per_token=worse.value * float(ours.bytes.sum() / ours.tokens.sum()),
        few_shot=few_shot(base, rows) if rows else None,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return dict(zip(Estimate._fields, value, strict=True))
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value
