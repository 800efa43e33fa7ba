"""Numbers of a round can be checked: one scoring path, rows kept, likely bugs said aloud, looks never forgotten."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from burnish.budget import open_budget
from burnish.data.dataset import load_examples, set_hash
from burnish.data.intake import add_files
from burnish.errors import EvaluationError
from burnish.evaluate.files import load_evaluation
from burnish.loop.inspection import evaluate_on_file
from burnish.loop.past import round_folder
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.rendering import load_report
from burnish.loop.result import RoundResult, public_json
from burnish.loop.round import run_round
from burnish.loop.rounds import run_rounds
from burnish.loop.seeds import gather
from burnish.loop.stages import Shop, score_stage
from burnish.loop.tribunal import solved_before
from burnish.loop.workbench import Workbench
from burnish.records import Evaluation, Example
from burnish.registry import champion, get, rollback
from burnish.report.words import percent, span
from burnish.store.looks import attempt_of, looks
from burnish.talk import Silence
from tests.heard import Heard
from tests.loop.conftest import PROMOTES, small_settings, write_rows


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Project, RoundResult]:
    """A project whose first round promoted, so that its vault is open."""
    folder = tmp_path_factory.mktemp("promoted")
    project = create_project(folder / "desk", settings_with(small_settings(small_base), PROMOTES | {"task.shots": 0}))
    add_files(project.store, project.settings, [write_rows(folder / "rows.jsonl", 120)], Silence(), skip_bad=False)
    result, _ = run_round(project, Silence())
    assert result.decision == "PROMOTE"
    return project, result


def as_file(path: Path, examples: Sequence[Example]) -> str:
    """The examples as a stranger would hand them over."""
    lines = [{"text": e.prompt[0].content, "label": e.answer, "channel": e.slices["channel"]} for e in examples]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def by_prompt(evaluation: Evaluation) -> dict[str, tuple[object, ...]]:
    return {row.prompt: (row.output, row.expected, row.score, row.stop_reason) for row in evaluation.rows}


def gate_folder(project: Project) -> Path:
    (folder,) = (project.store.root / "artifacts" / "gate").iterdir()
    return folder


def test_eval_and_gate_give_every_row_the_same_output_and_score(promoted, tmp_path):
    project, result = promoted
    examples = {example.id: example for example in load_examples(project.store)}
    for name, model in (("champion", "base"), ("challenger", result.challenger)):
        judged = load_evaluation(gate_folder(project) / name)
        held = [examples[row.example] for row in judged.rows]
        again = evaluate_on_file(project, model, as_file(tmp_path / "vault.jsonl", held), Silence())
        assert by_prompt(again) == by_prompt(judged)
        # The same float32 sums over batches of another make-up.
        known = {row.prompt: row.logprob for row in judged.rows}
        assert {row.prompt: row.logprob for row in again.rows} == pytest.approx(known, abs=1e-3)
        assert again.overall == judged.overall


def test_eval_report_and_card_agree_row_by_row(promoted, tmp_path):
    project, result = promoted
    report = load_report(project, result.round)
    seen = report.comparison
    examples = {example.id: example for example in load_examples(project.store)}
    file = as_file(tmp_path / "dev_a.jsonl", [examples[name] for name in seen.examples])
    before, after = (by_prompt(evaluate_on_file(project, m, file, Silence())) for m in ("base", result.challenger))
    known = load_evaluation_of(project, result.challenger, set(seen.examples))
    prompt_of = {row.example: row.prompt for row in known.rows}
    differences = [after[prompt_of[name]][2] - before[prompt_of[name]][2] for name in seen.examples]
    assert differences == list(seen.differences)
    flipped = {(flip.prompt, flip.before, flip.after) for flip in seen.flips}
    asked = {prompt_of[name]: examples[name].prompt[-1].content for name in seen.examples}
    assert flipped == {(asked[p], before[p][0], after[p][0]) for p in after if before[p][2] != after[p][2]}
    card = (round_folder(project, result.round) / "card.md").read_text()
    page = (round_folder(project, result.round) / "report.html").read_text()
    value = sum(row[2] for row in after.values()) / len(after)
    assert result.after.value == pytest.approx(value)
    for text in (card, page):
        assert percent(value) in text
    assert span(result.after) in card.replace("\\", "")
    assert (result.wins, result.losses, result.ties) == (seen.overall.wins, seen.overall.losses, seen.overall.ties)


def load_evaluation_of(project: Project, model: str, examples: set[str]) -> Evaluation:
    folders = (project.store.root / "artifacts" / "evaluate").iterdir()
    found = [load_evaluation(folder) for folder in folders]
    return next(e for e in found if e.model == model and {row.example for row in e.rows} == examples)


def test_every_evaluation_of_a_project_keeps_its_rows(promoted, tmp_path):
    project, result = promoted
    scored = list((project.store.root / "artifacts" / "evaluate").iterdir())
    assert len(scored) >= 4, "base and challenger on dev_a and on dev_b"
    for folder in (*scored, gate_folder(project) / "champion", gate_folder(project) / "challenger"):
        lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        assert lines
        assert {"prompt", "output", "expected", "score", "slices", "stop_reason"} <= json.loads(lines[0]).keys()
    heard = Heard()
    file = as_file(tmp_path / "mine.jsonl", list(load_examples(project.store))[:9])
    evaluate_on_file(project, "champion", file, heard)
    (line,) = [line for line in heard.said if line.startswith("rows: ")]
    kept = project.folder / line.removeprefix("rows: ")
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 9
    assert load_evaluation(kept.parent).model == result.challenger


def test_what_a_script_gets_holds_the_paired_numbers(promoted):
    project, result = promoted
    public = public_json(result, project.folder)
    assert public["wins"] + public["losses"] + public["ties"] == public["gain"]["n"]
    assert public["p_value"] < 0.05
    assert 0 < public["smallest_gain_shown"] < 1
    assert json.loads(json.dumps(public))["weakest_slices"] == {
        part.slice: {"value": part.after.value, "low": part.after.low, "high": part.after.high, "n": part.after.n}
        for part in result.weakest
    }


def test_a_moved_renamed_and_reopened_project_knows_every_look(promoted, tmp_path):
    """Another folder, another process' store, the same rows under another vault's name: no fresh attempt."""
    project, result = promoted
    (look,) = looks(project.store)
    copied = open_project(Path(shutil.copytree(project.folder, tmp_path / "renamed")))
    assert looks(copied.store) == [look]
    examples = {example.id: example for example in load_examples(copied.store)}
    judged = [examples[row.example] for row in load_evaluation(gate_folder(copied) / "challenger").rows]
    assert set_hash(list(reversed(judged))) == look.vault_hash
    assert attempt_of(copied.store, set_hash(judged), "another challenger") == 2
    assert attempt_of(copied.store, set_hash(judged), result.challenger_hash) == 1
    assert not gather(copied).of("vault_1"), "a vault that promoted is retired"


def test_a_promotion_can_be_taken_back_and_both_stay_on_record(promoted, tmp_path):
    project, result = promoted
    copied = open_project(Path(shutil.copytree(project.folder, tmp_path / "back")))
    assert champion(copied.store).name == result.challenger
    assert rollback(copied.store, reason="customers complain").name == "base"
    assert champion(copied.store).name == "base"


def test_a_text_model_that_never_stops_is_told_as_a_likely_bug_and_eval_gives_no_number(small_base, tmp_path):
    changes = {"task.kind": "text", "task.max_new_tokens": 4, "train.epochs": 1, "train.search": [1.0], "task.shots": 0}
    project = create_project(tmp_path / "texts", settings_with(small_settings(small_base), changes))
    rows = tmp_path / "rows.jsonl"
    lines = [{"prompt": f"{a} {b}?", "completion": "zyzzyva"} for a in "abcdefgh" for b in "qrstuvwxyz"]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    heard = Heard()
    result, _ = run_round(project, heard)
    told = [line for line in heard.warned if "likely a bug: zero" in line]
    assert told
    assert told[0].count("expected") == 3
    assert result.decision != "PROMOTE"
    assert result.warnings
    assert "likely" not in result.reason
    page = (round_folder(project, result.round) / "report.html").read_text()
    assert "rows score exactly 0" in page
    with pytest.raises(EvaluationError, match="that is no measurement"):
        evaluate_on_file(project, "base", str(rows), Silence())


def test_training_that_learned_nothing_is_called_so_and_opens_no_vault(small_base, tmp_path):
    project = create_project(tmp_path / "idle", settings_with(small_settings(small_base), {"train.lr": 1e-9}))
    add_files(project.store, project.settings, [write_rows(tmp_path / "r.jsonl", 90)], Silence(), skip_bad=False)
    heard = Heard()
    result, _ = run_round(project, heard)
    assert result.decision == "HOLD"
    assert "Training learned nothing: a held-out loss of" in result.reason
    assert "where guessing costs" in result.reason
    assert any("no learning: loss" in line for line in heard.said)
    assert not looks(project.store)
    assert "Training learned nothing" in (round_folder(project, 1) / "report.html").read_text()


def test_the_gate_gets_the_rows_that_the_model_before_the_champion_solved(promoted):
    """They are picked by what came before the champion: picked by the champion itself they could only get worse."""
    project, result = promoted
    seeds, talk = gather(project), Silence()
    shop = Shop(
        project=project,
        seeds=seeds,
        bench=Workbench(project.settings, project.store.root, talk),
        budget=open_budget(project.store, project.settings.budget),
        talk=talk,
        number=2,
    )
    first, base = get(project.store, result.challenger), get(project.store, "base")
    assert solved_before(shop, base, score_stage(shop, first, "dev_a")) is None
    guarded = solved_before(shop, first, score_stage(shop, base, "dev_a"))
    assert guarded is not None
    assert guarded.before_model == result.challenger
    by_base = score_stage(shop, base, "dev_a").score_of()
    assert set(guarded.examples) == {name for name, score in by_base.items() if score == 1.0}
    assert guarded.overall.after.value == 1.0


def test_rounds_go_on_from_a_promotion_until_nothing_is_new(promoted, tmp_path):
    project, result = promoted
    copied = open_project(Path(shutil.copytree(project.folder, tmp_path / "on")))
    done, why = run_rounds(copied, Silence(), rounds=3)
    assert done[0].round == 2
    assert done[0].previous_champion == result.challenger
    assert len(done) < 3
    assert "nothing is new" in why
