"""Verifiers without a teacher: right labels stay, wrong ones go, parents have no say, and their worth is measured."""

from dataclasses import replace
from random import Random

from burnish.fingerprint import fingerprint
from burnish.records import Example, Message
from burnish.synthesize.ensemble import (
    DISAGREED,
    LEAST_KEPT,
    LEAST_KEPT_RARE,
    UNJUDGED,
    Limits,
    Verified,
    agrees,
    limits_of,
    verify_labels,
)
from burnish.synthesize.votes import FEWEST, NUM_FOLDS, Voters, folds

WORDS = {
    "payment": "money payment transfer deposit amount bank account paid month late",
    "login": "password login code screen phone locked browser reset page error",
    "appeal": "hearing appeal letter decision judge object refusal ruling deadline contest",
}
COMMON = ["please", "I", "my", "the", "when", "can", "you", "help", "with", "this", "for", "is", "not", "about", "a"]


def row(name: str, label: str, text: str, group: str = "") -> Example:
    messages = (Message(role="user", content=text), Message(role="assistant", content=label))
    return Example(id=name, group=group or name, messages=messages)


def text_about(label: str, seed: int) -> str:
    random = Random(f"{label} {seed}")
    words = random.sample(WORDS[label].split(), 3) + random.sample(COMMON, 4)
    random.shuffle(words)
    return " ".join(words)


def rows_of(counts: dict[str, int], prefix: str, start: int = 0) -> list[Example]:
    return [
        row(f"{prefix}-{label}-{number}", label, text_about(label, start + number))
        for label, count in counts.items()
        for number in range(count)
    ]


SEEDS = rows_of(dict.fromkeys(WORDS, 25), "seed")
FRESH = rows_of(dict.fromkeys(WORDS, 20), "new", start=1000)
WRONG = [
    replace(one, id=f"wrong-{one.id}", messages=(one.messages[0], Message(role="assistant", content=other)))
    for one, other in zip(FRESH, [*["login"] * 20, *["appeal"] * 20, *["payment"] * 20], strict=True)
]


def asked(rows: list[Example], seeds: list[Example] = SEEDS, **options: object) -> Verified:
    return verify_labels(rows, seeds, parents={}, **options)  # type: ignore[arg-type]


def test_right_labels_stay_and_wrong_ones_go():
    gone = {drop.example for drop in asked([*FRESH, *WRONG]).drops}
    assert sum(one.id in gone for one in WRONG) >= 0.9 * len(WRONG)
    # the thresholds keep 0.9 of people's rows; 60 fresh ones of the same kind fall under 0.75 once in 2,000 draws
    assert sum(one.id in gone for one in FRESH) <= 0.25 * len(FRESH)


def test_the_worth_that_is_told_is_measured_on_rows_that_the_fits_had_not_seen():
    quality = asked(FRESH).quality
    assert quality.kept.n == quality.caught.n == len(SEEDS)
    assert quality.kept.value is not None
    assert quality.caught.value is not None
    assert quality.kept.value >= 0.9
    assert quality.caught.value >= 0.8


def test_labels_without_words_of_their_own_are_caught_no_better_than_chance():
    """The worth must fall where the rows hold nothing to tell labels by, else it tells nothing."""
    random = Random(5)
    blind = [row(f"b{n}", random.choice(list(WORDS)), " ".join(random.sample(COMMON, 6))) for n in range(90)]
    caught = asked(blind[:3], blind).quality.caught.value
    assert caught is not None
    assert caught < 0.5


def test_the_order_of_rows_and_seeds_changes_no_verdict():
    shuffled, mixed = list(SEEDS), [*FRESH, *WRONG]
    Random(1).shuffle(shuffled)
    Random(2).shuffle(mixed)
    first, second = asked([*FRESH, *WRONG]), asked(mixed, shuffled)
    assert {drop.example for drop in first.drops} == {drop.example for drop in second.drops}


def test_a_copy_of_a_mislabelled_seed_is_caught_because_its_parent_has_no_say():
    liar = row("liar", "login", text_about("payment", 7))
    child = replace(liar, id="child", group="child")
    seeds = [*SEEDS, liar, *(replace(liar, id=f"liar{n}", group="liar") for n in range(6))]
    parents = {"child": ("liar",)}
    assert [drop.reason for drop in verify_labels([child], seeds, parents=parents).drops] == [DISAGREED]
    assert verify_labels([child], seeds, parents={}).drops == ()


def test_on_a_label_with_a_handful_of_rows_nobody_votes_and_only_rows_by_rule_stay():
    seeds = [*SEEDS, *(row(f"rare{n}", "rare", f"strange thing {n}") for n in range(FEWEST - 1))]
    two = [row("by-rule", "rare", "strange thing again"), row("by-model", "rare", "strange thing anew")]
    found = asked(two, seeds, keep_unjudged={"by-rule"})
    assert found.drops == ((("by-model", UNJUDGED)),)
    assert found.num_unjudged == 2
    assert not found.verdicts


def test_the_champion_is_one_voter_more():
    doubted = asked(WRONG).drops[0].example
    answers = {one.id: one.answer for one in WRONG}
    assert doubted in {drop.example for drop in asked(WRONG, adapter={doubted: answers[doubted]}).drops}


def test_the_mean_belief_decides_and_rare_labels_have_their_own_limit():
    limits = Limits(usual=0.5, rare=0.2, labels=frozenset(["rare"]))
    assert agrees({"words": 0.9, "neighbours": 0.1}, "frequent", limits)
    assert not agrees({"words": 0.6, "neighbours": 0.3}, "frequent", limits)
    assert agrees({"words": 0.2}, "rare", limits)
    assert not agrees({"words": 0.2}, "frequent", limits)


def test_a_label_that_voters_believe_in_less_because_it_is_rare_does_not_lose_all_its_rows():
    """By the limit of all rows together none of the five would stay, as none of sms_spam's did."""
    labels = ["ham"] * 95 + ["spam"] * 5
    own = [{"words": 0.9}] * 95 + [{"words": belief} for belief in (0.1, 0.25, 0.3, 0.35, 0.4)]
    found = limits_of(own, labels, LEAST_KEPT)
    assert found.labels == {"spam"}
    assert found.usual == 0.9
    kept = sum(agrees(votes, label, found) for votes, label in zip(own, labels, strict=True) if label == "spam")
    assert kept == LEAST_KEPT_RARE * 5
    assert not agrees({"words": 0.1}, "spam", found)


def test_the_limit_of_rare_labels_is_never_above_that_of_the_others():
    labels = ["ham"] * 40 + ["spam"] * 8
    own = [{"words": at / 100} for at in range(40)] + [{"words": 0.99}] * 8
    found = limits_of(own, labels, LEAST_KEPT)
    assert found.rare == found.usual == 0.04
    few = limits_of(own[:42], labels[:42], LEAST_KEPT)
    assert few.rare == few.usual, "two rows set no limit"


def test_an_adapter_that_answered_people_s_rows_is_calibrated_on_them():
    """Words say nothing of these labels, and outvote an adapter that knows them; a useless one costs people no row."""
    seeds = [row(f"n{at}", "payment" if at % 2 else "login", fingerprint(at)[:20]) for at in range(80)]
    known = {one.id: one.answer for one in seeds}
    alone, helped, misled = (
        asked([], seeds, adapter=told).quality for told in ({}, known, dict.fromkeys(known, "nothing of the kind"))
    )
    assert helped.caught.value > alone.caught.value
    assert min(helped.kept.value, misled.kept.value) >= LEAST_KEPT


def test_no_group_straddles_folds_and_every_fold_has_rows():
    seeds = [replace(one, group=f"g{at // 2}") for at, one in enumerate(SEEDS)]
    fold = folds(seeds, NUM_FOLDS)
    for one in seeds:
        assert {fold[other.id] for other in seeds if other.group == one.group} == {fold[one.id]}
    assert set(fold.values()) == set(range(NUM_FOLDS))


def test_a_seed_is_voted_on_by_a_fit_that_did_not_see_it():
    """A label that one row alone holds cannot be known to a fit that did not see that row."""
    alone = row("alone", "unique", "qwertz uiop")
    votes = Voters([*SEEDS, alone]).of_seeds({one.id: one.answer for one in [*SEEDS, alone]})
    assert votes[-1] == {}
    assert all(votes[:-1])
