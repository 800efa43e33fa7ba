"""Adapters trained on half of people's rows each vote on rows made from the other half."""

from pathlib import Path

from burnish.data.intake import add_files
from burnish.loop.crossfit import NUM_FOLDS, CrossFit, cross_fit_key, job_of_folds
from burnish.loop.project import create_project, settings_with
from burnish.loop.stages import shop_outside_rounds
from burnish.loop.synthesizing import synthesize_project
from burnish.store.batches import batches
from burnish.synthesize.ensemble import ADAPTER
from burnish.synthesize.votes import folds
from burnish.talk import Silence
from tests.loop.conftest import small_settings, write_rows

CHANGES = {"synthesize.cross_fit": True, "synthesize.rows": 12, "train.epochs": 2}


def test_no_adapter_votes_on_a_row_that_it_saw_or_whose_parent_it_saw(tmp_path: Path, small_base: Path):
    project = create_project(tmp_path / "desk", settings_with(small_settings(small_base), CHANGES))
    add_files(project.store, project.settings, [write_rows(tmp_path / "rows.jsonl", 150)], Silence(), skip_bad=False)
    shop = shop_outside_rounds(project, Silence(), lambda: False)
    seeds = shop.seeds.of("train")
    fold_of = folds(seeds, NUM_FOLDS)
    job = job_of_folds(shop, fold_of)
    halves = [set(job.subsets[one.subset]) for one in job.candidates]
    assert set.union(*halves) == {row.id for row in job.rows} == {row.id for row in seeds}
    for fold, half in enumerate(halves):
        assert {fold_of[name] for name in half} == set(range(NUM_FOLDS)) - {fold}
    cross = CrossFit(shop, tmp_path)
    one, other = (next(row for row in seeds if fold_of[row.id] == fold) for fold in range(NUM_FOLDS))
    told = cross.answers([], {})
    assert set(told) == {row.id for row in seeds}, "every row of people is answered by the adapter that lacked it"
    assert set(told.values()) <= set(shop.seeds.task.labels)
    made = [seeds[0].__class__(id=name, group=name, messages=one.messages) for name in ("of-one", "of-both", "of-none")]
    voted = cross.answers(made, {"of-one": (one.id,), "of-both": (one.id, other.id)})
    assert voted["of-one"] == told[one.id], "the same text, the same adapter"
    assert "of-both" not in voted
    assert "of-none" in voted
    assert cross.num_tokens > 0

    found = synthesize_project(project, Silence())
    assert found is not None
    assert any("2 adapters voted" in note for note in found.notes)
    assert any(ADAPTER in origin.verdicts for origin in found.batch.provenance)
    (held,) = [one for one in batches(project.store) if one.name == found.name]
    adapters = (project.store.path_of(held.artifact) / "cross_fit").glob("*/adapter_model.safetensors")
    assert len(list(adapters)) == NUM_FOLDS


def test_what_adapters_learn_from_is_in_the_key(tmp_path: Path, small_base: Path):
    keys = []
    for epochs in (2, 3):
        changes = {**CHANGES, "train.epochs": epochs}
        project = create_project(tmp_path / str(epochs), settings_with(small_settings(small_base), changes))
        file = write_rows(tmp_path / "rows.jsonl", 40)
        add_files(project.store, project.settings, [file], Silence(), skip_bad=False)
        keys.append(cross_fit_key(shop_outside_rounds(project, Silence(), lambda: False)))
    assert keys[0] != keys[1]
