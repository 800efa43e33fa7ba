"""Only where a model beats its own answers dealt out at random is there something to protect."""

from burnish.evaluate.skill import slices_without_skill
from burnish.evaluate.summary import summarise
from burnish.records import Evaluation, RowResult


def evaluation(rows: list[tuple[str, str, str]]) -> Evaluation:
    """An evaluation of (said, expected, channel) rows."""
    results = tuple(
        RowResult(
            example=str(at),
            prompt="",
            output=said,
            expected=expected,
            score=float(said == expected),
            slices={"channel": channel, "answer": expected},
        )
        for at, (said, expected, channel) in enumerate(rows)
    )
    overall, slices = summarise(results, ("channel", "answer"))
    return Evaluation(
        model="base",
        model_hash="",
        template_hash="",
        metric="accuracy",
        rows=results,
        overall=overall,
        slices=slices,
    )


def test_a_model_that_says_one_thing_to_everything_has_skill_nowhere():
    rows = [("appeal", "appeal", "web")] * 20 + [("appeal", "login", "phone")] * 30
    assert slices_without_skill(evaluation(rows)) == {"channel=web", "channel=phone", "answer=appeal", "answer=login"}


def test_a_model_that_is_mostly_right_has_skill_everywhere():
    rows = [("appeal", "appeal", "web")] * 18 + [("login", "appeal", "phone")] * 2 + [("login", "login", "phone")] * 20
    assert slices_without_skill(evaluation(rows)) == frozenset()


def test_skill_in_one_slice_is_found_beside_luck_in_another():
    right = [(label, label, "web") for label in "abcd" for _ in range(5)]
    by_chance = [(said, wanted, "phone") for said in "abcd" for wanted in "abcd" for _ in range(2)]
    assert slices_without_skill(evaluation(right + by_chance)) & {"channel=web", "channel=phone"} == {"channel=phone"}


def test_rows_without_a_score_count_for_nothing():
    rows = evaluation([("a", "a", "web")] * 6 + [("b", "b", "web")] * 6)
    lost = Evaluation(**{name: getattr(rows, name) for name in rows.__slots__ if name != "rows"}, rows=())
    assert slices_without_skill(lost) == {"channel=web", "answer=a", "answer=b"}
