"""The diagnosis as a whole: what it counts, how it reads, what it says it could not test."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np

from burnish.diagnose.diagnosis import NONE, Diagnosis, diagnose
from burnish.diagnose.gold import check_gold
from burnish.diagnose.rows import text_of
from burnish.records import Example, Message, Task
from tests.diagnose.rows import evaluation, sentences, texts_of

KINDS = {"card": "card block lost pin", "login": "password login locked reset", "refund": "refund money invoice charge"}
TASK = Task(kind="label", labels=tuple(KINDS))


def _set(prefix: str, seed: int, n: int = 240):
    """Rows of three labels, of which refunds over the phone are mostly wrong."""
    random = np.random.default_rng(seed)
    gold = [tuple(KINDS)[value] for value in random.integers(3, size=n)]
    columns = [{"channel": "phone" if phone else "web"} for phone in random.random(n) < 0.4]
    weak_N = np.array(
        [label == "refund" and row["channel"] == "phone" for label, row in zip(gold, columns, strict=True)]
    )
    scores = (random.random(n) > np.where(weak_N, 0.8, 0.08)).astype(float)
    one = evaluation(scores, columns, prefix=prefix, metric="accuracy", expected=gold)
    rows = tuple(
        replace(row, output=row.expected if row.score else "card" if row.expected != "card" else "login")
        for row in one.rows
    )
    texts = [sentences(random, 1, KINDS[label].split())[0] for label in gold]
    return replace(one, rows=rows), texts_of(one, texts), gold


def _train(n: int = 60) -> list[Example]:
    random = np.random.default_rng(9)
    made = []
    for at in range(n):
        label = tuple(KINDS)[at % 3]
        turns = (
            Message(role="system", content="route it"),
            Message(role="user", content=sentences(random, 1, KINDS[label].split())[0]),
            Message(role="assistant", content=label),
        )
        made.append(Example(id=f"t{at:03d}", messages=turns, group=f"t{at:03d}"))
    return made


def _diagnosis(**more) -> Diagnosis:
    (a, a_texts, _), (b, b_texts, _) = _set("a", 0), _set("b", 1)
    return diagnose(a, b, a_texts, b_texts, task=TASK, train=_train(), declared=("channel",), **more)


def test_a_diagnosis_finds_the_planted_weakness_and_counts_every_wrong_row_once():
    found = _diagnosis()
    assert any("channel=phone" in one.name and "answer=refund" in one.name for one in found.weaknesses if one.confirmed)
    assert sum(found.causes.values()) == found.num_wrong
    assert (found.num_looked, found.num_checked) == (240, 240)
    assert all(one.remedy for one in found.weaknesses)


def test_a_diagnosis_reads_as_one_line_a_slice():
    found = _diagnosis()
    text = found.as_text()
    for one in found.weaknesses:
        (line,) = [line for line in text.splitlines() if line.startswith(f"{one.name}  ")]
        assert f"{one.found.value:.1%}" in line
        assert ("  yes  " if one.confirmed else "  no  ") in line
        assert all(example in line for example in one.examples[:2])
    assert "gold answers: the caller did not ask for it" in text


def test_a_diagnosis_is_json_and_shows_no_row_of_dev_b():
    written = json.dumps(_diagnosis().as_json())
    assert json.loads(written)["weaknesses"][0]["name"] == _diagnosis().weaknesses[0].name
    assert '"a00' in written
    assert '"b00' not in written


def test_doubted_gold_answers_are_counted_and_are_a_cause():
    """One row of dev_a whose text is about cards has the gold answer refund, and the model says card."""
    (a, a_texts, gold), (b, b_texts, _), train = _set("a", 0), _set("b", 1), _train()
    at = gold.index("card")
    doubted, gold[at] = a.rows[at].example, "refund"
    wrong = replace(a.rows[at], expected="refund", output="card", score=0.0)
    a = replace(a, rows=(*a.rows[:at], wrong, *a.rows[at + 1 :]))
    rows = [*((row.example, a_texts[row.example], label) for row, label in zip(a.rows, gold, strict=True))]
    ids, texts, answers = zip(*rows, *((one.id, text_of(one), one.answer) for one in train), strict=True)
    check = check_gold(ids, texts, answers, ids)
    found = diagnose(a, b, a_texts, b_texts, task=TASK, train=train, gold=check)
    assert found.num_suspects == len(check.suspects)
    (suspect,) = [one for one in check.suspects if one.example == doubted]
    assert suspect.given == "refund"
    assert found.causes["ambiguous or wrong gold"] == 1
    assert "agrees with" not in found.as_text(), "its classifier is right on nearly all"


def test_a_classifier_that_knows_little_is_said_to_doubt_in_vain():
    check = check_gold(
        [f"r{at}" for at in range(60)], ["same words"] * 60, ["a", "b"] * 30, [str(at) for at in range(60)]
    )
    assert "many doubts are its own" in _diagnosis(gold=check).as_text()


def test_a_model_without_errors_has_an_empty_diagnosis_that_says_so():
    (a, a_texts, _), (b, b_texts, _) = _set("a", 0), _set("b", 1)
    perfect = replace(a, rows=tuple(replace(row, score=1.0) for row in a.rows))
    found = diagnose(perfect, b, a_texts, b_texts, task=TASK, train=_train())
    assert found.weaknesses == ()
    assert NONE in found.as_text()
    assert "no row of dev_a is wrong" in found.as_text()


def test_loading_the_diagnosis_does_not_load_scikit_learn():
    code = "import sys, burnish.diagnose.diagnosis; sys.exit(bool({'sklearn', 'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
