"""Answers that are fields or texts are held against their prompts where people's are; few rows teach unknown facts."""

import json
from random import Random

from burnish.loop.grounds import grounds_of, objections, statements
from burnish.loop.unknown import MOST_UNKNOWN, UNKNOWN, unknown_facts
from burnish.loop.verifying import corrupted, verify_answers
from burnish.records import Example, Message, Task

FIELDS = Task(kind="fields", fields={"case": "exact", "amount": "number", "queue": "exact", "risk": "number"})
TEXT = Task(kind="text")
WORDS = {
    "billing": "invoice charge refund card payment fee twice",
    "access": "password login locked screen code reset browser",
}


def row(name: str, prompt: str, answer: str) -> Example:
    return Example(
        id=name, group=name, messages=(Message(role="user", content=prompt), Message(role="assistant", content=answer))
    )


def claim(name: str, number: int, **changes: object) -> Example:
    """A message and its fields: case and amount stand in it, the queue follows from its words."""
    random = Random(f"claim {number}")
    queue = sorted(WORDS)[number % 2]
    about = " ".join(random.sample(WORDS[queue].split(), 4))
    case, amount = f"LB-{1000 + 37 * number}", 100 + 7 * number
    own = {"case": case, "amount": amount, "queue": queue, "risk": random.random()} | changes
    return row(name, f"case {case}: {about}, it was about ${amount:,}.00 I think", json.dumps(own))


SEEDS = [claim(f"seed{number}", number) for number in range(60)]


def reasons(rows, seeds=SEEDS, task=FIELDS):
    found = verify_answers(rows, seeds, task, parents={})
    return {drop.example: drop.reason for drop in found.drops}, found


def test_a_value_that_the_prompt_does_not_tell_is_dropped_and_its_field_named():
    rows = [
        claim("right", 71),
        claim("case", 72, case="LB-9999"),
        claim("amount", 73, amount=31),
        claim("none", 74, amount=None),
    ]
    assert reasons(rows)[0] == {"case": "unsupported: case", "amount": "unsupported: amount"}


def test_a_field_with_few_values_is_voted_on_and_a_new_value_is_none_of_them():
    right = [claim(f"right{number}", number) for number in range(80, 100)]
    wrong = [claim(f"wrong{number}", number, queue="access" if number % 2 else "billing") for number in range(80, 100)]
    wrong = [one for one in wrong if json.loads(one.answer)["queue"] != sorted(WORDS)[int(one.id[5:]) % 2]]
    found, checked = reasons([*right, *wrong, claim("new", 101, queue="sales")])
    assert found.pop("new") == "new-value: queue"
    assert set(found.values()) == {"disagreed: queue"}
    assert sum(one.id in found for one in wrong) >= 0.9 * len(wrong)
    # 0.9 of people's rows pass the vote; of 20 fresh ones more than 6 fail once in 400 draws
    assert sum(one.id in found for one in right) <= 6
    assert {name.split(":")[0] for name in checked.verdicts["right80"]} == {"queue"}


def test_a_field_that_people_do_not_take_from_the_prompt_is_not_held_against_it_and_that_is_said():
    grounds = grounds_of(SEEDS, FIELDS)
    assert grounds.checked == ("amount", "case")
    assert set(grounds.closed) == {"queue"}
    assert grounds.notes == ("not held against the prompt: risk (100% of people's own rows)",)
    assert objections(claim("risk", 75, risk=123456), grounds) == ()


def test_the_worth_of_the_checks_is_measured_on_people_s_rows_and_on_those_rows_with_another_s_value():
    quality = reasons([])[1].quality
    assert quality["kept"]["n"] == quality["caught"]["n"] == len(SEEDS)
    assert quality["kept"]["value"] >= 0.8
    # of the four fields risk is not checked, so about one swap in four gets through
    assert 0.5 <= quality["caught"]["value"] <= 0.9
    lies = [corrupted(seed, SEEDS, FIELDS) for seed in SEEDS]
    changed = [
        [name for name, value in json.loads(lie.answer).items() if json.loads(seed.answer)[name] != value]
        for seed, lie in zip(SEEDS, lies, strict=True)
    ]
    assert {len(names) for names in changed} == {1}


def test_the_order_of_rows_does_not_matter():
    rows = [claim("right", 71), claim("case", 72, case="LB-9999"), claim("new", 101, queue="sales")]
    assert reasons(rows)[0] == reasons(rows[::-1], SEEDS[::-1])[0]


def letter(name: str, number: int, *, day: int = 0, said: str = "") -> Example:
    held = day or 1 + number % 28
    prompt = f"Ticket AB-{2000 + number}: the hearing is on May {held}, the fee was {50 + number} dollars."
    answer = (
        said or f"Your ticket AB-{2000 + number} is heard on May {1 + number % 28}; the fee is {50 + number} dollars."
    )
    return row(name, prompt, answer)


LETTERS = [letter(f"seed{number}", number) for number in range(40)]


def test_numbers_dates_and_identifiers_of_a_text_have_to_stand_in_its_prompt():
    rows = [
        letter("right", 51),
        letter("date", 52, day=28),
        letter("number", 53, said="Your ticket AB-2053 is heard soon; the fee is 999 dollars."),
        letter("code", 54, said="Your ticket AB-9999 is heard soon."),
        letter("plain", 55, said="We are looking into it."),
    ]
    found, checked = reasons(rows, LETTERS, TEXT)
    assert found == {"date": "unsupported: date", "number": "unsupported: number", "code": "unsupported: identifier"}
    assert checked.quality["kept"]["value"] == 1.0
    assert checked.quality["caught"]["value"] >= 0.9
    assert checked.quality["num_rows_unjudged"] == 1
    assert checked.quality["checks"] == ["in the prompt: number, date, identifier"]


def test_a_check_that_people_s_own_rows_fail_is_not_used():
    # people quote a fee from a list of their own that no prompt shows: 40 different ones, none by three groups
    own = [
        letter(f"own{number}", number, said=f"Ticket AB-{2000 + number}: the fee is {7000 + number} dollars.")
        for number in range(40)
    ]
    found, checked = reasons([letter("fee", 51, said="Ticket AB-2051: the fee is 4321 dollars.")], own, TEXT)
    assert found == {}
    assert checked.quality["notes"] == ["not held against the prompt: number (100% of people's own rows)"]
    assert "number" not in grounds_of(own, TEXT).checked


def fact(name: str, number: int) -> Example:
    return row(name, f"who runs office {number}?", f"Office {number} is run by Quentin Zarov{'x' * number}.")


def count(example: Example) -> int:
    return 10


def test_rows_with_facts_that_nobody_told_are_capped_at_a_share_of_the_tokens():
    people = [row(f"seed{number}", "what are the hours?", "We are open when the sign says so.") for number in range(50)]
    grounds = grounds_of(people, TEXT)
    plain = [row(f"plain{number}", "hello?", "we are open when the sign says so") for number in range(40)]
    wild = [fact(f"wild{number}", number) for number in range(1, 20)]
    drops = unknown_facts([*plain, *wild], people, [], grounds, count)
    assert {drop.reason for drop in drops} == {UNKNOWN}
    kept = len(wild) - len(drops)
    total = len(people) + len(plain) + kept
    assert kept <= MOST_UNKNOWN * total < kept + 1, "as many as fit, and no more"
    assert [drop.example for drop in drops] == [one.id for one in wild[kept:]], "the last ones"
    before = unknown_facts([*plain, *wild], people, wild[:2], grounds, count)
    assert len(before) == len(drops) + 2, "those of earlier batches count, too"


def test_facts_that_a_person_told_or_the_prompt_says_are_known():
    people = [fact(f"seed{number}", number) for number in range(1, 20)]
    grounds = grounds_of(people, TEXT)
    assert "name" not in grounds.checked, "answers come from no prompt"
    same = [fact(f"same{number}", number) for number in range(1, 20)]
    read = [
        row(f"read{number}", f"Anna Torvald{'y' * number} runs it. who?", f"It is run by Anna Torvald{'y' * number}.")
        for number in range(9)
    ]
    assert [one.part for one in statements(read[0], TEXT)] == ["name"]
    assert unknown_facts([*same, *read], people, [], grounds, count) == ()
    assert unknown_facts([fact("label", 99)], people, [], grounds_of([], Task(kind="label")), count) == ()
