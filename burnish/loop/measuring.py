"""The measures beside the score as a stage of a round: champion and challenger on dev_a, before and after.

What is sealed are numbers, reasons and masked samples, no answers.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from burnish.data.dataset import set_hash
from burnish.evaluate.abstention import abstention
from burnish.evaluate.change import Family, MeasureChange, change_of
from burnish.evaluate.fairness import AttributeFlips, group_gap
from burnish.evaluate.forgetting import Text, base_texts, kl_to_base, trace
from burnish.evaluate.jargon import jargon
from burnish.evaluate.measure import Measure
from burnish.fingerprint import fingerprint
from burnish.grammar import agree
from burnish.loop.kit import Kit
from burnish.loop.side import Side, flips_of, hallucination_of, retention_of, with_twins
from burnish.loop.stages import Shop
from burnish.records import Example, Interval, ModelVersion, as_json, from_json

MEASURE_VERSION = 2
MOST_TEXTS = 48
"""Prompts to which the base speaks for KL; tokens of one text go together, so more tokens would tell less than rows."""
TEXT_TOKENS = 24
ALARM = "an alarm and no guard, as it also counts what was meant to change"


class _Taken(NamedTuple):
    """The measures of one model."""

    measures: list[tuple[Family, Measure, str]]
    """With a note for reading."""
    num_tokens: int


def measure_stage(shop: Shop, kit: Kit, before: Side, after: Side) -> tuple[MeasureChange, ...]:
    """Every measure of both models on dev_a, which both were scored on, and where there is none the reason.

    Costs the answers of each model to at most 200 twins and to the retention set, 24 tokens of the base to at most 48
    prompts, and a pass of each model over those.
    """
    rows = shop.seeds.of("dev_a")
    looked = with_twins(kit, rows, shop.project.settings.seed)

    def work(_: Path) -> dict[str, Any]:
        texts = _texts(shop, rows)
        divergences = _divergences(shop, texts, (before.version, after.version))
        old, new = (
            _taken(shop, kit, side, looked, divergence)
            for side, divergence in zip((before, after), divergences, strict=True)
        )
        changes = [
            as_json(change_of(family, earlier, later, note=_both(early_note, late_note)))
            for (family, earlier, early_note), (_, later, late_note) in zip(old.measures, new.measures, strict=True)
        ]
        spoken = sum(len(text.prompt) + len(text.answer) for text in texts)
        return {"measures": changes, "num_tokens": old.num_tokens + new.num_tokens + 3 * spoken}

    tokens = 120 * len(looked) + 3 * 100 * min(len(rows), MOST_TEXTS)
    asked, inputs = _settings(shop, before, after), _inputs(shop, kit, before, after)
    sealed = shop.run("measure", MEASURE_VERSION, asked, inputs, tokens, work)
    return tuple(from_json(MeasureChange, change) for change in sealed.record["measures"])


def _inputs(shop: Shop, kit: Kit, before: Side, after: Side) -> dict[str, str]:
    rows, base = shop.seeds.of("dev_a"), shop.bench.base
    return {
        "before": before.version.adapter_hash,
        "after": after.version.adapter_hash,
        "base": base.base_hash,
        "template": base.chat.template_hash,
        "dev_a": fingerprint([[row.id, row.content_hash, row.group, dict(row.slices)] for row in rows]),
        "train": set_hash(shop.seeds.of("train")),
        "shots": set_hash([*before.shots, *after.shots]),
        "kit": kit.identity,
    }


def _settings(shop: Shop, before: Side, after: Side) -> dict[str, Any]:
    names = [before.version.name, after.version.name]
    return {"task": as_json(shop.seeds.task), "columns": list(shop.seeds.columns), "names": names}


def _taken(shop: Shop, kit: Kit, side: Side, looked: Sequence[Example], divergence: Measure) -> _Taken:
    task, rows, seed = shop.seeds.task, shop.seeds.of("dev_a"), shop.project.settings.seed
    flips, kept = flips_of(shop, kit, side, looked), retention_of(shop, kit, side.version)
    gaps = [group_gap(side.evaluation, column, seed=seed) for column in shop.seeds.declared]
    plain: list[tuple[Family, Sequence[Measure]]] = [
        ("abstention", abstention(task, rows, side.evaluation)),
        ("jargon", jargon(task, rows, side.evaluation, kit.terms)),
        ("forgetting", [kept.measure]),
    ]
    support = hallucination_of(shop.seeds, rows, side.evaluation)
    noted: list[tuple[Family, Measure, str]] = [
        ("hallucination", support, _statements(support)),
        *(("bias", one.flips, _beyond_noise(one)) for one in flips.found),
        *(("bias", gap.gap, f"worst is {gap.worst}" if gap.worst else "") for gap in gaps),
        ("forgetting", divergence, ALARM),
    ]
    told = [(family, measure, "") for family, measures in plain for measure in measures]
    order = ("hallucination", "abstention", "bias", "jargon", "forgetting")
    measures = sorted(chain(told, noted), key=lambda one: order.index(one[0]))
    return _Taken(measures, flips.num_tokens + kept.num_tokens)


def _statements(support: Measure) -> str:
    """How much was looked at: a model that states nothing is never objected to, and may still be worse."""
    number = sum(row.num_items for row in support.rows)
    return f"{agree(number, 'statement', 'statements')} looked at" if support.rows else ""


def _texts(shop: Shop, rows: Sequence[Example]) -> tuple[Text, ...]:
    """What the base says to some prompts of dev_a, picked by a hash of their ids."""
    seed = shop.project.settings.seed
    chosen = sorted(rows, key=lambda row: fingerprint([seed, row.id]))[:MOST_TEXTS]
    return base_texts(shop.bench.base, shop.seeds.task, chosen, max_new_tokens=TEXT_TOKENS, seed=seed)


def _divergences(shop: Shop, texts: Sequence[Text], versions: Sequence[ModelVersion]) -> list[Measure]:
    """KL of each model from the base on the same texts; the base itself is not asked twice."""
    said = trace(shop.bench.base, texts)
    found = []
    for version in versions:
        with shop.bench.wearing(version) as worn:
            thought = trace(worn, texts) if version.artifact else said
            found.append(kl_to_base(said, thought, texts, columns=shop.seeds.columns))
    return found


def _beyond_noise(one: AttributeFlips) -> str:
    return f"{_points(one.excess)} beyond neutral swaps: {one.verdict}" if one.excess.n else ""


def _points(interval: Interval) -> str:
    value = 100 * (interval.value or 0.0)
    if interval.low is None or interval.high is None:
        return f"{value:+.1f} points"
    bounds = f"[{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
    return f"{value:+.1f} points {bounds} on {interval.n} rows with both twins"


def _both(before: str, after: str) -> str:
    """The notes of both models as one; nothing where neither has one."""
    if before == after:
        return after
    return "; ".join(f"{when}: {note}" for when, note in (("before", before), ("after", after)) if note)
