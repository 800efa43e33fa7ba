"""What people and a judge say of champion and challenger where answers are texts, and what the gate makes of it.

A judge is tested against everything that people have said so far, each time anew, and its scores are used only where it
passed. Its replies are kept, so a round that is run again asks nothing twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from burnish.client.ask import key_of
from burnish.client.purse import most_cost
from burnish.errors import BudgetError, ConfigError, ServiceError, UsageError
from burnish.loop.answers import (
    Answers,
    answers_of,
    differences,
    last_answers,
    pieces_of,
    save_answers,
    visible,
)
from burnish.loop.calibration import (
    PeoplesVerdict,
    admission_of,
    length_bias,
    objection_of,
    peoples_verdicts,
    questions_of,
    refused_slices,
    scores_of,
    shares_of,
)
from burnish.loop.decided import reviewed
from burnish.loop.project import Project
from burnish.loop.rubric import NO_VERDICTS, Piece, Question, Verdicts
from burnish.loop.stages import Shop, shop_outside_rounds
from burnish.loop.verdicts import ask_judge, judge_asks
from burnish.records import Evaluation, Example, Interval
from burnish.review.admission import version_change
from burnish.review.assisted import AssistedGain, JudgeScores, assisted_gain, peoples_gain
from burnish.review.standing import FEWEST_FOR_HARM, JudgedQuestion, JudgedReport, slice_standings
from burnish.stats.rates import mean_interval
from burnish.store.replies import kept_replies
from burnish.talk import Talk

NOTHING = Interval(value=None, low=None, high=None, n=0)
NO_JUDGE = "no-judge: no judge is set; people score alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """Everything that was said about one question."""

    question: Question
    told: Sequence[PeoplesVerdict]
    verdicts: Verdicts
    why_unasked: str


def judge_round(shop: Shop, before: Evaluation, after: Evaluation) -> JudgedReport | None:
    """Both models' answers to dev_a as people and the judge find them; None for a task whose answers are no texts.

    The answers are kept for people to judge. A judge that is down, or for which there is no money, is said and left
    out; one that nobody allowed raises ConfigError.
    """
    if shop.seeds.task.kind != "text":
        return None
    answers = answers_of(before, after)
    save_answers(shop.project, shop.number, answers)
    report = judge_answers(shop, shop.number, answers)
    versions = {one.name: one.version for one in report.questions if one.version}
    save_answers(shop.project, shop.number, replace(answers, versions=versions))
    return report


def judge_answers(shop: Shop, number: int, answers: Answers) -> JudgedReport:
    """What is said of the answers of one round by now; asks the judge what it was not asked yet."""
    answers, rows = visible(answers, shop.seeds)
    earlier = last_answers(shop.project, before=number)
    heard = _heard(shop, answers, rows)
    versions = earlier[1].versions if earlier else {}
    return JudgedReport(
        champion=answers.champion,
        challenger=answers.challenger,
        num_rows=len(answers.rows),
        num_same=sum(pair.is_same for pair in answers.rows),
        questions=tuple(_judged(shop, answers, rows, one) for one in heard),
        notes=_notes(shop, heard, versions),
    )


def judged_pieces(shop: Shop, answers: Answers, rows: Mapping[str, Example]) -> dict[Question, list[Piece]]:
    """What a judge has to say something about: these answers, and all that people have judged."""
    told = peoples_verdicts(reviewed(shop.project))
    own = [piece for pair in answers.rows for piece in pieces_of(pair, rows[pair.example])]
    return {question: [*own, *(one.piece for one in told[question])] for question in questions_of(shop.seeds)}


def objections(report: JudgedReport | None) -> str:
    """Why the gate opens no vault: what people, or people and an admitted judge, find worse; empty: they object not."""
    harmed = [one for one in report.questions if one.is_harm] if report else []
    return " ".join(one.gate for one in harmed)


# Inside ---------------------------------------------------------------------------------------------------------------


def _heard(shop: Shop, answers: Answers, rows: Mapping[str, Example]) -> list[_Heard]:
    told = peoples_verdicts(reviewed(shop.project))
    pieces = judged_pieces(shop, answers, rows)
    verdicts: Mapping[Question, Verdicts] = {}
    why = NO_JUDGE
    if shop.project.settings.judge.is_set:
        try:
            verdicts, why = ask_judge(shop, pieces), ""
        except (ServiceError, BudgetError) as error:
            shop.talk.warn(f"the judge was left out: {error.message}")
            why = f"not-asked: {error.message}"
    return [
        _Heard(question=one, told=told[one], verdicts=verdicts.get(one, NO_VERDICTS), why_unasked=why) for one in pieces
    ]


def _judged(shop: Shop, answers: Answers, rows: Mapping[str, Example], heard: _Heard) -> JudgedQuestion:
    told, verdicts = heard.told, heard.verdicts
    admission = admission_of(heard.question, told, verdicts, shop.seeds) if verdicts.version else None
    why = heard.why_unasked or (objection_of(admission, told, verdicts) if admission else "")
    refused = refused_slices(admission) if admission else frozenset()
    gain = _gain(shop, answers, rows, heard, why, refused)
    before, after = _alone(answers, rows, verdicts)
    return JudgedQuestion(
        name=heard.question.name,
        counts=heard.question.counts,
        version=verdicts.version,
        models=verdicts.models,
        num_unusable=verdicts.num_unusable,
        before=before,
        after=after,
        num_verdicts=len(told),
        num_reviewers=len({one.reviewer for one in told}),
        is_admitted=not why,
        why=why,
        slices=slice_standings(admission),
        length_bias=length_bias(told, verdicts),
        gain=gain,
        gate=_gate_words(heard.question, gain),
    )


def _gain(
    shop: Shop, answers: Answers, rows: Mapping[str, Example], heard: _Heard, why: str, refused: frozenset[str]
) -> AssistedGain:
    seed, verdicts = shop.project.settings.seed, heard.verdicts
    people = differences(answers, rows, heard.question, shares_of(heard.told), seed)
    groups = {pair.example: rows[pair.example].group or pair.example for pair in answers.rows}
    if not verdicts.version:
        return peoples_gain(people, num_rows=len(answers.rows), groups=groups, why=why)
    pieces = {pair.example: pieces_of(pair, rows[pair.example]) for pair in answers.rows}
    before, after = (
        JudgeScores(
            version=verdicts.version,
            scores=scores_of({name: pair[side] for name, pair in pieces.items()}, rows, verdicts, refused),
        )
        for side in (0, 1)
    )
    return assisted_gain(people, before, after, groups=groups, objection=why)


def _alone(answers: Answers, rows: Mapping[str, Example], verdicts: Verdicts) -> tuple[Interval, Interval]:
    """Share of yes by the judge alone, of champion and challenger."""
    if not verdicts.version:
        return NOTHING, NOTHING
    pieces = [pieces_of(pair, rows[pair.example]) for pair in answers.rows]
    groups = [rows[pair.example].group or pair.example for pair in answers.rows]
    before, after = (
        Interval(**mean_interval([verdicts.score(pair[side].key) for pair in pieces], groups)._asdict())
        for side in (0, 1)
    )
    return before, after


def _gate_words(question: Question, gain: AssistedGain) -> str:
    seen, by = gain.gain, "people alone" if gain.why else "people and judge"
    if seen.value is None or seen.low is None or seen.high is None or seen.n < FEWEST_FOR_HARM:
        lacking = "" if seen.n else ", as nobody has scored these answers"
        why = gain.why.partition(": ")[2] or "nothing is known"
        few = f"{seen.n} rows are scored in order, {FEWEST_FOR_HARM} are needed" if seen.n else why
        return f"{question.name}: the gate cannot use it{lacking}: {few}."
    told = f"{100 * seen.value:+.1f} points [{100 * seen.low:+.1f}, {100 * seen.high:+.1f}] by {by} on {seen.n} rows"
    if seen.high < 0:
        return f"{question.name}: people find the challenger's answers worse, {told}."
    return f"{question.name}: no harm seen, {told}; it objects to nothing."


def _notes(shop: Shop, heard: Sequence[_Heard], earlier: Mapping[str, str]) -> tuple[str, ...]:
    settings = shop.project.settings
    told = []
    for one in heard:
        before = earlier.get(one.question.name, "")
        if before and one.verdicts.version and (changed := version_change(before, one.verdicts.version)):
            told.append(f"{one.question.name}: {changed.partition(': ')[2]}")
    if settings.judge.is_set and any(
        (one.base_url, one.model) == (settings.judge.base_url, settings.judge.model)
        for one in (settings.teacher, settings.verifier)
    ):
        told.append("the judge is the model that writes or verifies rows; it may like its own style")
    return tuple(told)


# Between rounds -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeQuote:
    """What testing a judge and scoring the last round's answers would cost at most."""

    num_questions: int
    num_new: int
    """Those without a kept reply."""
    most_usd: float
    most_tokens: int
    is_priced: bool
    first: str
    """The first question, as it would be sent."""


def judge_project(
    project: Project, talk: Talk, should_stop: Callable[[], bool] = lambda: False
) -> tuple[int, JudgedReport]:
    """Number of the last round, and what people and the judge say of its answers by now.

    Raises UsageError where answers are no texts or no round has answered any.
    """
    shop, number, answers = _opened(project, talk, should_stop)
    return number, judge_answers(shop, number, answers)


def quote_judge(project: Project, talk: Talk) -> JudgeQuote:
    """The most that `judge_project` would cost; sends nothing and needs no key. Raises ConfigError without a judge."""
    settings = project.settings.judge
    if not settings.is_set:
        raise ConfigError("no judge is set", hint="set judge.base_url and judge.model in burnish.yaml")
    shop, _, answers = _opened(project, talk, lambda: False)
    answers, rows = visible(answers, shop.seeds)
    pieces = judged_pieces(shop, answers, rows)
    asks = [ask for one, own in pieces.items() for ask in judge_asks(settings, one, own, shop.seeds.task)]
    kept = kept_replies(project.store, [key_of(ask, settings) for ask in asks])
    fresh = [ask for ask in asks if key_of(ask, settings) not in kept]
    costs = [most_cost(ask, settings) for ask in fresh]
    return JudgeQuote(
        num_questions=len(asks),
        num_new=len(fresh),
        most_usd=sum(cost.usd for cost in costs),
        most_tokens=sum(cost.tokens for cost in costs),
        is_priced=settings.is_priced,
        first="\n\n".join(turn.content for turn in asks[0].messages) if asks else "",
    )


def _opened(project: Project, talk: Talk, should_stop: Callable[[], bool]) -> tuple[Shop, int, Answers]:
    shop = shop_outside_rounds(project, talk, should_stop)
    if shop.seeds.task.kind != "text":
        raise UsageError(
            f"this task's answers are {shop.seeds.task.kind}: they are right or wrong without a judge",
            hint="a judge scores answers that are texts (task.kind: text)",
        )
    last = last_answers(project)
    if last is None:
        raise UsageError("no round has answered anything yet", hint=f"burnish round --project {project.folder}")
    return shop, *last
