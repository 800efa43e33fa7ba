"""The pure parts of the measurement of verifiers: the truth that is kept beside the seeds, and shares from votes."""

from collections import Counter

import pytest

from benchmarks.labelled import MOST
from benchmarks.verify_cases import ALIKE, PARENT, RANDOM, alike_labels, asked_of, case_of, made_of_seeds
from benchmarks.verify_rules import BEFORE, NOW, WRONG_SHARE, summary
from burnish.records import Example, Message

TOPICS = {
    "card": "card stolen lost chip pin blocked",
    "cash": "cash machine notes coins machine fee",
    "loan": "loan rate years house lender cash",
    "mail": "mail letter stamp parcel post street",
    "name": "name spelling passport married change form",
    "wage": "wage payslip salary month employer late",
}


def row(name: str, label: str, text: str) -> Example:
    turns = (Message(role="user", content=text), Message(role="assistant", content=label))
    return Example(id=name, group=name, messages=turns)


def rows(count: int) -> list[Example]:
    return [
        row(f"{label}{at}", label, f"{words[at % 6]} and {words[(at // 6) % 6]} were what number {at} asked about")
        for label, told in TOPICS.items()
        for words in [told.split()]
        for at in range(count)
    ]


CASE = case_of(rows(90), seed=1, size=120, wrong_share=0.1)


def test_some_labels_are_rare_and_wrong_seeds_leave_every_label_as_frequent_as_it_was():
    truth = {one.id: one.answer for one in rows(90)}
    told, right = Counter(one.answer for one in CASE.seeds), Counter(truth[one.id] for one in CASE.seeds)
    assert told == right
    assert {label for label, count in told.items() if count <= MOST} == CASE.rare
    assert len(CASE.rare) == 2
    assert {one.id for one in CASE.seeds if truth[one.id] != one.answer} == CASE.mislabelled
    assert 8 <= len(CASE.mislabelled) <= 13


def test_no_row_is_judged_that_anything_learns():
    learned = {one.id for one in (*CASE.seeds, *CASE.dev)}
    assert not learned & {one.id for one in CASE.fresh}
    assert all(one.answer == one.id.rstrip("0123456789") for one in CASE.fresh)


def test_every_fresh_row_is_asked_about_under_its_own_label_and_under_two_wrong_ones():
    asked = [one for one in asked_of(CASE, 1) if one.kind == "fresh"]
    assert Counter(one.wrong for one in asked) == dict.fromkeys(("", RANDOM, ALIKE), len(CASE.fresh))
    for one in asked:
        assert (one.row.answer == one.text.rstrip("0123456789")) == (one.wrong == "")


def test_made_rows_are_wrong_where_their_parents_are_and_have_no_parents_of_both_kinds():
    made = made_of_seeds(CASE, 1)
    assert made
    for one in made:
        assert len({parent in CASE.mislabelled for parent in one.provenance.parents}) == 1


def test_the_label_that_reads_most_alike_shares_words():
    assert alike_labels(rows(60))["loan"] == "cash"


def judged(kind: str, wrong: str, belief: float, *, text: str, is_rare: bool = False) -> dict[str, object]:
    votes = {"words": belief, "neighbours": belief}
    label = "rare" if is_rare else "often"
    return {"text": text, "kind": kind, "wrong": wrong, "is_rare": is_rare, "label": label, "votes": votes}


def test_shares_and_precision_come_from_the_verdicts():
    """People believe 0.5 and more; of 4 right rows 3 reach it, of wrong ones 1 of 4 drawn and 2 of 4 alike."""
    asked = [judged("fresh", "", belief, text=f"t{at}") for at, belief in enumerate((0.9, 0.8, 0.7, 0.1))]
    asked += [judged("fresh", RANDOM, belief, text=f"t{at}") for at, belief in enumerate((0.9, 0.1, 0.1, 0.1))]
    asked += [judged("fresh", ALIKE, belief, text=f"t{at}") for at, belief in enumerate((0.9, 0.9, 0.1, 0.1))]
    asked += [judged("made", PARENT, 0.1, text="p")]
    people = [{"words": 0.5, "neighbours": 0.5}] * 20
    run = {"set": "s", "num_seeds": 20, "num_mislabelled": 0, "seconds": 1.0}
    found = summary("s", [{**run, "people": people, "labels": ["often"] * 20, "rows": asked}])
    for rule in (NOW, BEFORE):
        told = found["rules"][rule]
        assert told["kept_frequent"][0] == 0.75
        assert told["caught_random"][0] == 0.75
        assert told["caught_alike"][0] == 0.5
        assert told["made_caught"][0] == 1.0
        right, lies = (1 - WRONG_SHARE) * 0.75, WRONG_SHARE / 2 * (0.25 + 0.5)
        assert told["precision"][0] == pytest.approx(right / (right + lies))
        assert told["kept_rare"] is None
    assert found["against"][f"{NOW} - {BEFORE}"]["kept"][0] == 0.0


def test_a_row_on_which_nobody_can_tell_stays_where_a_rule_made_it_and_falls_elsewhere():
    asked = [{**judged(kind, "", 0.0, text=kind), "votes": {}} for kind in ("fresh", "made")]
    asked += [judged("fresh", wrong, 0.9, text="t") for wrong in ("", RANDOM, ALIKE)]
    people = [{"words": 0.5, "neighbours": 0.5}] * 20
    run = {"set": "s", "num_seeds": 20, "num_mislabelled": 0, "seconds": 1.0}
    told = summary("s", [{**run, "people": people, "labels": ["often"] * 20, "rows": asked}])["rules"][NOW]
    assert told["kept_frequent"][0] == told["tells"][0] == 0.5
    assert told["made_kept_frequent"][0] == 1.0
