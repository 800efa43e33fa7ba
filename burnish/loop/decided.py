"""What people's decisions become: training rows, preference pairs, right and wrong answers, gold corrections, audits.

Computed from the log each time, so a decision that is taken back takes its consequences back too.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from burnish.data.provenance import PROVENANCE, SYNTHETIC, TRAFFIC
from burnish.fingerprint import fingerprint
from burnish.grammar import agree
from burnish.loop.auditing import Held, held_batches, sample_of
from burnish.loop.project import Project
from burnish.loop.rubric import JUDGING
from burnish.records import Example, Message, Preference, Thumb, as_json
from burnish.review.decisions import Outcome, outcomes
from burnish.review.skipped import is_skipped, unanswerable
from burnish.store.audits import append_audit
from burnish.store.barred import barred
from burnish.store.reviews import review_items, review_log
from burnish.store.roles import current_roles
from burnish.synthesize.audit import Audit, judge_audit, not_audited

BY = "reviewers"
"""Who judged a batch whose audit came from the queue."""
TAKEN_BACK = "answers of its audit were taken back"
AGREEING = 2
"""Reviewers that must say the same before an answer of dev_a changes; on a row of train one is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What all decisions so far come to."""

    rows: tuple[Example, ...] = ()
    """Rows to train on: the prompt with the answer that people accepted or wrote; the group is the id of the example
    that was asked about. Their weight is 1; what people's rows weigh is `train.human_weight`."""
    pairs: tuple[Preference, ...] = ()
    """What DPO trains on; the id is the review item's, the group that of the example."""
    judged: tuple[Thumb, ...] = ()
    """What KTO trains on; id and group as of pairs."""
    corrections: Mapping[str, str] = field(default_factory=dict)
    """Example to its right answer, of train and dev_a, where it differs from the one on file."""
    out_of_scope: tuple[str, ...] = ()
    """Examples that people hold to be no business of this model."""

    def about(self, known: Collection[str]) -> "Decided":
        """The same of these examples alone; pairs and thumbs of what is out of scope are left out, too."""
        kept = set(known) - set(self.out_of_scope)
        return Decided(
            rows=tuple(row for row in self.rows if row.group in kept),
            pairs=tuple(pair for pair in self.pairs if pair.group in kept),
            judged=tuple(thumb for thumb in self.judged if thumb.group in kept),
            corrections={name: answer for name, answer in self.corrections.items() if name in kept},
            out_of_scope=tuple(name for name in self.out_of_scope if name in known),
        )

    def identity(self, objective: str) -> str:
        """Hash of all that a round under this objective learns from them; empty where that is nothing."""
        rows = sorted(row.content_hash for row in self.rows)
        parts = [rows, sorted(self.corrections.items()), sorted(self.out_of_scope)]
        parts += [sorted(fingerprint(as_json(pair)) for pair in self.pairs)] if objective == "dpo" else []
        parts += [sorted(fingerprint(as_json(thumb)) for thumb in self.judged)] if objective == "kto" else []
        return fingerprint(parts) if any(parts) else ""


NO_DECISIONS = Decided()
SERVED = "traffic:"
"""Before the id of a response, in the id of the example that it may become."""


def example_of(response_id: str) -> str:
    """The id of the example that a served answer may become."""
    return f"{SERVED}{response_id}"


def reviewed(project: Project) -> list[Outcome]:
    """What came of every item so far."""
    return outcomes(review_items(project.store), review_log(project.store))


def rows_of_decisions(project: Project) -> Decided:
    """What settled decisions become. Hidden checks teach nothing, a row that measures trains nothing, and verdicts on
    models' answers only judge, also once their rows train.

    A row that has become dev_b, vault or audit since it was asked about is left out.
    """
    gone = {one.example for one in barred(project.store)}
    settled = [one for one in reviewed(project) if one.settled and not one.item.settles]
    found = [one for one in settled if one.item.example not in gone]
    if not found:
        return NO_DECISIONS
    roles = current_roles(project.store)
    asked = [one for one in found if not one.item.is_check and one.item.purpose not in JUDGING]
    taught = [one for one in asked if _role(one, roles) in ("train", SYNTHETIC)]
    measured = [one for one in found if _role(one, roles) == "dev_a" and one.item.purpose == "gold"]
    agreed = [one for one in measured if _num_agreeing(one) >= AGREEING]
    return Decided(
        rows=tuple(_row(one) for one in taught if _is_taught(one) and one.answer is not None),
        pairs=tuple(pair for one in taught for pair in _pairs(one)),
        judged=tuple(_judged(one) for one in taught if _is_correction(one) and _kind(one) in JUDGES),
        corrections={
            one.item.example: one.answer
            for one in [*(one for one in taught if one.item.purpose == "gold"), *agreed]
            if one.answer is not None and one.answer != one.item.given
        },
        out_of_scope=tuple(dict.fromkeys(one.item.example for one in found if _kind(one) == "out-of-scope")),
    )


JUDGES = ("accept", "edit", "reject", "gold-wrong")


def corrected(rows: Sequence[Example], corrections: Mapping[str, str]) -> list[Example]:
    """The rows, their last turn replaced where people have corrected it."""
    return [
        replace(row, messages=(*row.prompt, Message(role="assistant", content=corrections[row.id])))
        if row.id in corrections
        else row
        for row in rows
    ]


def release_audits(project: Project) -> list[Audit]:
    """Judges each synthetic batch whose whole sample people have answered, writes the audits down and returns them.

    A row that everybody who may answer has skipped counts as not right (review/skipped.py says why). The same decisions
    again change nothing. An audit of this queue whose answers were taken back becomes none.
    """
    every = reviewed(project)
    closed = unanswerable(project.store, every)
    own: dict[str, list[Outcome]] = {}
    for one in every:
        if one.item.purpose == "audit" and not one.item.settles:
            own.setdefault(one.item.batch, []).append(one)
    found = [_release(project, held, own[held.name], closed) for held in held_batches(project) if held.name in own]
    return [audit for audit in found if audit]


def _release(project: Project, held: Held, found: Sequence[Outcome], closed: Collection[str]) -> Audit | None:
    """The audit, once each row is answered or closed; one that was judged stays so until a skip becomes an answer or is
    taken back, whoever joins the reviewers meanwhile."""
    sample, was_judged = sample_of(project, held), held.audit.by == BY
    results: dict[str, bool | None] = {one.item.example: _is_right(one) for one in found if one.settled}
    skipped = [one.item.example for one in found if one.item.name in closed or (was_judged and is_skipped(one))]
    results |= dict.fromkeys(skipped, None)
    if all(row.id in results for row in sample):
        needed = project.settings.synthesize.audit_needed
        audit = judge_audit(held.name, len(held.rows), sample, results, by=BY, needed=needed)
        told = f"{agree(len(skipped), 'row was', 'rows were')} skipped by everybody, which counts as not right"
        audit = replace(audit, note="; ".join(filter(None, (audit.note, told)))) if skipped else audit
    elif held.audit.by == BY:
        audit = not_audited(held.name, len(held.rows), note=TAKEN_BACK)
    else:
        return None
    append_audit(project.store, held.name, as_json(audit), by=BY)
    return audit


def _is_right(one: Outcome) -> bool:
    """Whether people gave the batch's own answer; out of scope counts as not right."""
    return one.answer is not None and one.answer.strip() == one.item.given.strip()


def _role(one: Outcome, roles: Mapping[str, str]) -> str:
    """The role of an example now; a made row in no round yet has none."""
    return roles.get(one.item.example, one.item.role)


def _kind(one: Outcome) -> str:
    assert one.settled is not None, f"{one.item.name} is not settled"
    return one.settled.kind


def _is_correction(one: Outcome) -> bool:
    return one.item.queue == "correction"


def _is_taught(one: Outcome) -> bool:
    """Whether people's answer is a row of its own: a corrected one, and the blind label of a made or served row."""
    return _is_correction(one) or one.item.purpose in ("audit", TRAFFIC)


def _num_agreeing(one: Outcome) -> int:
    return len({decision.reviewer for decision in one.decisions if decision.text == one.answer})


def _row(one: Outcome) -> Example:
    assert one.answer is not None, f"{one.item.name} has no answer"
    turns = (*one.item.messages, Message(role="assistant", content=one.answer))
    source = f"review:{one.item.name}"
    slices = {PROVENANCE: TRAFFIC} if one.item.purpose == TRAFFIC else {}
    return Example(id=source, messages=turns, group=one.item.example, source=source, slices=slices)


def _pairs(one: Outcome) -> list[Preference]:
    """An edit of what a model wrote is better than it; a preference says which is. A wrong gold answer is no draft."""
    item, kind = one.item, _kind(one)
    chosen = one.answer
    if item.queue == "preference":
        rejected = item.other if kind == "prefer-a" else item.draft
    else:
        rejected = item.draft if kind == "edit" and item.draft_by else ""
    if chosen is None or not rejected or chosen == rejected:
        return []
    return [Preference(id=item.name, group=item.example, prompt=item.messages, chosen=chosen, rejected=rejected)]


def _judged(one: Outcome) -> Thumb:
    item = one.item
    is_good = one.answer == item.draft
    return Thumb(id=item.name, group=item.example, prompt=item.messages, answer=item.draft, is_good=is_good)
