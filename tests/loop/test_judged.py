"""A judge on a real socket scores texts only after it agreed with people; what it gets wrong never counts."""

import json
from dataclasses import replace
from random import Random

import pytest

from burnish.data.intake import add_files
from burnish.errors import ConfigError, UsageError
from burnish.loop.answers import AnswerPair, Answers, load_answers, round_folder, save_answers
from burnish.loop.calibration import refused_slices, scores_of
from burnish.loop.decided import rows_of_decisions
from burnish.loop.judged import judge_project, objections, quote_judge
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.reviewing import decide, plan_reviews
from burnish.loop.round import run_round
from burnish.loop.rubric import SUPPORTED, Piece, Verdicts, read_verdict
from burnish.loop.seeds import gather
from burnish.loop.task import task_of_project
from burnish.records import Example, Message
from burnish.review.admission import admit
from burnish.review.agreement import Rating
from burnish.store.claims import Wish
from burnish.store.looks import looks
from burnish.talk import Silence
from tests.arbiter import Arbiter, is_right
from tests.loop.conftest import small_settings
from tests.loopback import fail, loopback

PEOPLE = ("ann", "bob", "cy")
LONGER = " Thank you for your patience, and do write again whenever there is anything."


def make_project(folder, base, num_rows: int = 180) -> Project:
    """Messages about orders, each with an answer that names its order."""
    changes = {
        "task.kind": "text",
        "task.max_new_tokens": 4,
        "task.shots": 0,
        "train.epochs": 1,
        "train.search": [1.0],
        "roles.train": 0.2,
        "roles.dev_a": 0.5,
        "roles.dev_b": 0.1,
        "roles.vault": 0.2,
        "roles.audit": 0.0,
        "synthesize.rows": 0,
    }
    project = create_project(folder / "desk", settings_with(small_settings(base), changes))
    random = Random(0)
    lines = []
    for number in range(num_rows):
        words = " ".join(f"{chr(97 + random.randrange(26))}{random.randrange(97)}" for _ in range(8))
        order = f"{chr(65 + number % 26)}-{1000 + number}"
        row = {
            "text": f"where is order {order} {words}",
            "answer": f"Order {order} ships soon.",
            "desk": "ab"[number % 2],
        }
        lines.append(json.dumps(row))
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    add_files(project.store, project.settings, [file], Silence(), skip_bad=False)
    return project


def write_answers(project: Project, right: tuple[float, float] = (0.4, 0.75), number: int = 1) -> Answers:
    """Answers of two models that are right this often; half of all are long."""
    random = Random(number)
    rows = []
    for row in gather(project).of("dev_a"):
        said = [
            (row.answer if random.random() < share else f"Order Z-{random.randrange(100, 999)} ships soon.")
            + random.choice(["", LONGER])
            for share in right
        ]
        rows.append(AnswerPair(example=row.id, before=said[0], after=said[1]))
    answers = Answers(champion="old-model", challenger="new-model", rows=tuple(rows))
    save_answers(project, number, answers)
    return answers


def judge_items(project: Project, items, people=PEOPLE, *, careful: float = 0.97) -> None:
    """Each item is decided by as many people as it wants, each right this often."""
    task = task_of_project(project)
    for item in items:
        for person in people[: item.wanted]:
            random = Random(f"{item.name} {person}")
            is_good = is_right(item.messages[-1].content, item.draft) == (random.random() < careful)
            decide(project, task, item.name, person, 1, Wish("accept" if is_good else "reject"), now_s=0.0)


def with_judge(project: Project, address: str, **more) -> Project:
    named = {
        "judge.base_url": address,
        "judge.model": "judge-1",
        "judge.usd_per_million_input": 1.0,
        "judge.usd_per_million_output": 2.0,
        "judge.max_new_tokens": 128,
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return replace(project, settings=settings_with(project.settings, named))


@pytest.fixture(scope="module")
def decided(tmp_path_factory, small_base) -> Project:
    """Three people have judged the answers of two models, before any judge was asked."""
    project = make_project(tmp_path_factory.mktemp("judged"), small_base)
    write_answers(project)
    planned = plan_reviews(with_judge(project, "http://localhost:9/v1"), count=200)
    assert planned.num_new == len(planned.items)
    assert plan_reviews(with_judge(project, "http://localhost:9/v1"), count=200).num_new == 0
    judge_items(project, planned.items)
    return project


def test_people_judge_both_models_blind_on_dev_a_alone_and_their_verdicts_teach_nothing(decided):
    planned = plan_reviews(with_judge(decided, "http://localhost:9/v1"), count=60)
    assert planned.num_new == len(planned.items) > 0, "what people have judged is not asked again"
    roles = {row.id: role for role, rows in gather(decided).by_role.items() for row in rows}
    assert {(one.queue, roles[one.example]) for one in planned.items} == {("correction", "dev_a")}
    assert {one.draft_by for one in planned.items} == {"old-model", "new-model"}
    first = [one.draft_by for one in planned.items if one.purpose == "calibration"][::2]
    assert len(set(first)) == 2, "neither model comes first always"
    found = rows_of_decisions(decided)
    assert (found.rows, found.pairs, found.judged) == ((), (), ())


def test_a_judge_is_admitted_where_it_agrees_with_people_and_makes_their_scores_worth_more(decided):
    """It agrees on what is right, and of support every other reply is broken."""
    with loopback(Arbiter("agreeing", "broken")) as server:
        project = with_judge(decided, server.address, judge__most_unusable=1.0)
        quote = quote_judge(project, Silence())
        assert server.asked == []
        number, found = judge_project(project, Silence())
        asked = len(server.asked)
        again = judge_project(project, Silence())
        assert len(server.asked) == asked, "a kept reply is never paid for twice"
    assert (number, again[1]) == (1, found)
    assert quote.num_new == quote.num_questions < asked, "a reply of no use costs one more"
    assert quote.most_usd >= asked * (100 * 1 + 10 * 2) / 1e6
    right, supported = found.questions
    assert (right.name, supported.name) == ("right", "supported")
    assert right.is_admitted, right.why
    assert {one.slice for one in right.slices} == {"all", "desk=a", "desk=b"}
    gain = right.gain
    assert gain.gain.low < 0.35 < gain.gain.high  # the models are right on 40% and 75% of the rows
    assert gain.verdict == "better"
    assert gain.labels_worth > gain.gain.n >= 50
    assert right.length_bias.low <= 0 <= right.length_bias.high
    assert not supported.is_admitted
    assert supported.num_unusable > 10
    assert supported.gain.gain == supported.gain.people_alone
    assert objections(found) == ""
    sent = json.dumps(server.asked)
    assert "old-model" not in sent
    assert "new-model" not in sent
    seeds = gather(decided)
    hidden = [row.prompt[-1].content for role in ("dev_b", "vault_1") for row in seeds.of(role)]
    assert hidden
    assert not [text for text in hidden if text in sent]


@pytest.fixture
def few_answers(decided):
    """A later round with ten rows, so that a judge is asked little beside what people have judged."""
    answers = load_answers(round_folder(decided, 1) / "answers.json")
    save_answers(decided, 2, replace(answers, rows=answers.rows[:10]))
    yield decided
    (round_folder(decided, 2) / "answers.json").unlink()


def test_a_judge_that_does_not_agree_is_used_for_nothing(few_answers):
    """T10."""
    with loopback(Arbiter("verbose", "random")) as server:
        _, found = judge_project(with_judge(few_answers, server.address), Silence())
    for way, one in zip(("verbose", "random"), found.questions, strict=True):
        assert not one.is_admitted
        assert one.why.split(":")[0] in ("worse-than-people", "little-agreement")
        assert one.gain.gain == one.gain.people_alone
        assert (one.gain.trust, one.gain.labels_worth) == (0.0, None)
        assert (one.length_bias.low > 0.1) == (way == "verbose")


def test_a_judge_that_mostly_answers_nonsense_or_is_down_is_left_out_aloud(few_answers):
    for script in (lambda number, body: fail(401), Arbiter("broken", "broken")):
        with loopback(script) as server:
            _, found = judge_project(with_judge(few_answers, server.address, judge__most_unusable=0.05), Silence())
        assert [one.why.split(":")[0] for one in found.questions] == ["not-asked", "not-asked"]
        assert found.questions[0].num_verdicts > 100


def test_another_model_is_another_judge_and_two_of_them_are_none(tmp_path, small_base):
    """T6."""
    project = make_project(tmp_path, small_base, 24)
    answers = write_answers(project)
    with loopback(Arbiter()) as server:
        _, first = judge_project(with_judge(project, server.address), Silence())
        save_answers(project, 1, replace(answers, versions={one.name: one.version for one in first.questions}))
        write_answers(project, number=2)
        server.script = Arbiter(model="judge-2")
        _, mixed = judge_project(with_judge(project, server.address), Silence())
        _, changed = judge_project(with_judge(project, server.address, judge__model="judge-2"), Silence())
    assert mixed.questions[0].why.startswith("mixed-judge: several models answered for it (judge-1, judge-2)")
    assert changed.questions[0].why.startswith("untested: ")
    assert changed.questions[0].version != first.questions[0].version
    assert any("cannot be compared" in note for note in changed.notes)


def test_without_a_judge_people_alone_tell_and_a_task_of_labels_needs_neither(decided, small_project):
    _, found = judge_project(decided, Silence())
    assert found.questions[0].why.startswith("no-judge: ")
    assert found.questions[0].gain.verdict == "better"
    with pytest.raises(ConfigError, match="no judge is set"):
        quote_judge(decided, Silence())
    with pytest.raises(UsageError, match="right or wrong without a judge"):
        judge_project(small_project, Silence())


def test_where_a_judge_failed_on_a_slice_its_scores_there_say_nothing():
    pieces = {f"r{at}": Piece((Message(role="user", content=f"q{at}"),), f"answer {at}") for at in range(80)}
    rows = {
        name: Example(id=name, messages=piece.messages, group=name, slices={"desk": "ab"[at % 2]})
        for at, (name, piece) in enumerate(pieces.items())
    }
    told = {name: at % 3 > 0 for at, name in enumerate(pieces)}
    said = {
        piece.key: told[name] != (rows[name].slices["desk"] == "b" and at % 16 == 1)
        for at, (name, piece) in enumerate(pieces.items())
    }
    slice_of = {piece.key: [f"desk={rows[name].slices['desk']}"] for name, piece in pieces.items()}
    ratings = [Rating(piece.key, who, str(told[name])) for name, piece in pieces.items() for who in PEOPLE]
    admission = admit("v", {key: str(one) for key, one in said.items()}, ratings, slice_of)
    assert admission.slices["all"].is_admitted
    assert refused_slices(admission) == {"desk=b"}
    scores = scores_of(pieces, rows, Verdicts(version="v", said=said), refused_slices(admission))
    assert {scores[name] for name in rows if rows[name].slices["desk"] == "b"} == {0.5}
    assert {scores[name] for name in rows if rows[name].slices["desk"] == "a"} == {0.0, 1.0}


def test_a_no_to_support_has_to_quote_the_answer():
    piece = Piece((Message(role="user", content="the fee is 40"),), "The fee is 50.")
    assert read_verdict('{"verdict": "unsupported", "statement": "fee is  50"}', SUPPORTED, piece).is_yes is False
    for text in ('{"verdict": "unsupported"}', '{"verdict": "unsupported", "statement": "it costs 50"}', "{}", "no"):
        assert read_verdict(text, SUPPORTED, piece).is_yes is None


def test_a_round_keeps_its_answers_tells_what_people_say_and_is_held_by_them(tmp_path, small_base):
    project = make_project(tmp_path, small_base, 90)
    with loopback(Arbiter()) as server:
        settings = with_judge(project, server.address).settings
        project = Project(folder=project.folder, settings=settings, store=project.store)
        result, _ = run_round(project, Silence())
        report = json.loads((round_folder(project, 1) / "report.json").read_text(encoding="utf-8"))
        told = report["judged"]["questions"][0]
        assert told["why"].startswith("untested: ")
        assert "the gate cannot use it, as nobody has scored these answers" in told["gate"]
        assert "not admitted" in (round_folder(project, 1) / "report.md").read_text(encoding="utf-8")
        task = task_of_project(project)
        for item in plan_reviews(project, count=110).items:
            told = Wish("accept" if item.draft_by == result.previous_champion else "reject")
            decide(project, task, item.name, "ann", 1, told, now_s=0.0)
        held, is_new = run_round(project, Silence(), again=True)
    assert is_new
    assert (held.decision, held.vault) == ("HOLD", "")
    assert held.reason.startswith("Held: right: people find the challenger's answers worse")
    report = json.loads((round_folder(project, 2) / "report.json").read_text(encoding="utf-8"))
    assert report["judged"]["questions"][0]["gain"]["verdict"] == "worse"
    assert report["agreement"][0]["queue"] == "correction"
    assert len(looks(project.store)) <= 1
    assert open_project(project.folder).settings.judge.model == ""
