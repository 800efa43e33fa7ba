"""Five rounds of a project: rows of people, sieved, raise no alarm; rows of the last round's rows, unsieved, do.

Both runs make rows by a round's moves and keep them with their coverage as a project's batches, whose alarms are asked
for after each. In the second all that stands between a loop and its collapse is off: made rows pass for people's and
are the only seeds of the next round, and no filter or verifier sees them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from benchmarks.guards import Source
from burnish.data.dedup import prompt_text
from burnish.loop.health import alarms_of
from burnish.loop.making import make_rows
from burnish.loop.project import Project, create_project
from burnish.records import Cell, Example, Message, Task
from burnish.store.batches import add_batch
from burnish.store.stage import run_stage
from burnish.synthesize.batch import BatchReport, write_batch
from burnish.synthesize.coverage import measure_coverage
from burnish.synthesize.ensemble import verify_labels
from burnish.synthesize.guards import guard
from burnish.synthesize.made import Made
from tests.loop.conftest import small_settings

LABELS = tuple(f"label{at}" for at in range(4))
TASK = Task(kind="label", labels=LABELS)
ROUNDS, NUM_PEOPLE, NUM_REAL = 5, 160, 130
NUM_SIEVED, NUM_UNSIEVED = 210, 130
"""Rows to make a round: filters leave more than half. The alarms suppose 200; with fewer, chance raises them sooner."""


def people(source: Source, count: int, seed: int, name: str) -> list[Example]:
    draw, rows = Random(seed), []
    for at in range(count):
        label = at % len(LABELS)
        question = Message(role="user", content=source.text(draw, label))
        turns = (question, Message(role="assistant", content=LABELS[label]))
        rows.append(Example(id=f"{name}{at}", messages=turns, group=f"{name}{at}"))
    return rows


def made_of(seeds: Sequence[Example], moves: Sequence[str], count: int, number: int) -> list[Made]:
    """So many rows by rule, as many of each label."""
    # half as many again are made as a cell asks for
    cells = [Cell(purpose="prevalence", count=round(count / 6), answer=label, why="") for label in LABELS]
    found = []
    for at, one in enumerate(make_rows(cells, seeds, moves, {}, seed=1000 * number).made):
        name = f"r{number}-{at}"
        found.append(Made(replace(one.example, id=name, group=name), replace(one.provenance, example=name)))
    return found


def sieved(made: Sequence[Made], seeds: Sequence[Example], earlier: Sequence[Example]) -> list[Made]:
    """What filters and verifiers leave."""
    kept = guard([one.example for one in made], [*seeds, *earlier], TASK).kept
    parents = {one.example.id: one.provenance.parents for one in made}
    dropped = {drop.example for drop in verify_labels(kept, seeds, parents=parents).drops}
    left = {row.id for row in kept} - dropped
    return [one for one in made if one.example.id in left]


def seal(project: Project, number: int, made: Sequence[Made], num_made: int, real: Sequence[str]) -> None:
    """The rows of a round as a batch of the project, with their coverage."""
    name, rows = f"synthetic-r{number}", [one.example for one in made]
    report = BatchReport(
        batch=name,
        num_made=num_made,
        num_kept=len(rows),
        by_reason={"dropped": num_made - len(rows)} if num_made > len(rows) else {},
        coverage=measure_coverage(real, [prompt_text(row) for row in rows], classify=False),
    )
    sealed = run_stage(
        project.store,
        stage="synthesize",
        version=1,
        settings={"name": name},
        inputs={},
        seed=0,
        work=lambda folder: write_batch(folder, rows, [one.provenance for one in made], report),
    )
    add_batch(
        project.store,
        name=name,
        artifact=project.store.relative(sealed.path),
        content_hash=sealed.content_hash,
        num_rows=len(rows),
    )


def alarms_of_five_rounds(project: Project, *, is_verified: bool) -> set[str]:
    """The kinds of alarm that any of the rounds raised."""
    source = Source(0)
    seeds = people(source, NUM_PEOPLE, 1, "person")
    real = [prompt_text(row) for row in people(source, NUM_REAL, 2, "real")]
    kinds: set[str] = set()
    earlier: list[Example] = []
    for number in range(1, ROUNDS + 1):
        if is_verified:
            made = made_of(seeds, ("compose",), NUM_SIEVED, number)
            kept = sieved(made, seeds, earlier)
        else:
            made = kept = made_of(seeds, ("compose", "augment"), NUM_UNSIEVED, number)
        seal(project, number, kept, len(made), real)
        kinds |= {alarm.kind for alarm in alarms_of(project)}
        if is_verified:
            earlier += [one.example for one in kept]
        else:
            seeds = [replace(one.example, slices={}) for one in kept]  # without the mark that they were made
    return kinds


def test_rounds_of_people_s_rows_that_pass_their_filters_and_verifiers_raise_no_alarm(tmp_path: Path, small_base: Path):
    project = create_project(tmp_path / "desk", small_settings(small_base))
    assert alarms_of_five_rounds(project, is_verified=True) == set()


def test_rounds_of_the_last_rounds_rows_that_nobody_verifies_raise_the_alarm(tmp_path: Path, small_base: Path):
    project = create_project(tmp_path / "desk", small_settings(small_base))
    assert {"variety", "coverage"} <= alarms_of_five_rounds(project, is_verified=False)
