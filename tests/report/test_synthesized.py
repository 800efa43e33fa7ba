"""The report's section on synthetic rows: what was made, what it trained on, and who judged it."""

from burnish.records import Candidate, Cell, Interval, Trial
from burnish.report.record import MadeRow, SynthesisReport
from burnish.report.render import render_html, render_json, render_markdown
from burnish.report.synthesized import synthesis_words
from burnish.synthesize.batch import BatchReport
from tests.report.sample_report import sample_report

CELL = Cell(purpose="weakness", count=7, answer="appeal", terms=("hearing", "ann@x.org"), why="weak: answer=appeal")
BATCH = BatchReport(batch="synthetic-r2-abc", num_made=20, num_kept=7, by_reason={"copy": 9, "leak": 4}, cells=(CELL,))


def told(**changes: object) -> SynthesisReport:
    parts = {"batch": BATCH, "state": "waiting", "num_people": 75, "num_synthetic": 25, **changes}
    return SynthesisReport(**parts)  # type: ignore[arg-type]


def trial(name: str, score: float) -> Trial:
    candidate = Candidate(name=name, rank=4, alpha=8.0, lr=1e-3, seed=0)
    dev_score = Interval(value=score, low=score - 0.05, high=score + 0.05, n=200)
    return Trial(candidate=candidate, curve=(), best_step=1, dev_loss=1.0, dev_score=dev_score)


def test_a_report_without_synthetic_rows_says_nothing_of_them():
    assert synthesis_words(sample_report(synthesis=None)) is None
    assert "Synthetic rows" not in render_html(sample_report(synthesis=None))


def test_made_kept_and_dropped_rows_and_the_share_trained_on_are_shown():
    for text in (render_html(sample_report(synthesis=told())), render_markdown(sample_report(synthesis=told()))):
        assert "made 20 rows and kept 7 of them as synthetic-r2-abc" in text
        assert "25 of 100 (25.0%)" in text
        assert "dropped: copy" in text
        assert "before people have judged" in text


def test_verifiers_of_answers_say_what_they_look_at_and_what_not():
    share = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 60}
    verified = {
        "kept": share,
        "caught": share,
        "num_rows_unjudged": 3,
        "checks": ["in the prompt: case, amount", "voted on: queue"],
        "notes": ["not held against the prompt: risk (100% of people's own rows)"],
    }
    for render in (render_html, render_markdown):
        text = render(sample_report(synthesis=told(verified=verified)))
        assert "in the prompt: case, amount; voted on: queue" in text
        assert "of the same rows with one value of another row" in text
        assert "not held against the prompt: risk" in text


def test_training_without_an_audit_is_said_aloud_and_only_then():
    loud = sample_report(synthesis=told(state="unaudited", unaudited=("synthetic-r2-abc",)))
    assert "Trained on without an audit: synthetic-r2-abc." in render_html(loud)
    assert "Trained on without an audit" not in render_html(sample_report(synthesis=told()))


def test_the_best_with_and_the_best_without_stand_side_by_side():
    trials = (trial("a", 0.5), trial("b", 0.6), trial("a-people", 0.55), trial("b-people", 0.4))
    words = synthesis_words(sample_report(synthesis=told(), trials=trials))
    assert words is not None
    assert "with synthetic rows scored 60.0%" in words.worth
    assert "without them 55.0%" in words.worth
    alone = synthesis_words(sample_report(synthesis=told(), trials=trials[:2]))
    assert alone is not None
    assert alone.worth == ""


def test_no_format_holds_personal_data_of_a_synthetic_row():
    row = MadeRow(text="write to ann@x.org", answer="appeal", move="noise", parents=("r1",))
    report = sample_report(synthesis=told(shown=(row,)))
    for text in (render_html(report), render_markdown(report), render_json(report)):
        assert "ann@x.org" not in text
        assert "[email]" in text.replace("\\", "")
