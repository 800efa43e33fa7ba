"""`burnish attribute`: a plan before anything is spent, a table for people, one object for scripts."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calls import Call, burnish
from tests.cli.conftest import make_project
from tests.cli.golden import check, shape
from tests.loop.conftest import write_rows

QUICK = {"train.epochs": 1}


def extra_rows(file: Path) -> Path:
    """More rows that say of themselves that they are synthetic, of the batch "extra"."""
    rows = [json.loads(line) for line in write_rows(file, 60, start=90).read_text(encoding="utf-8").splitlines()]
    marked = [{**row, "provenance": "synthetic", "batch": "extra"} for row in rows]
    file.write_text("".join(json.dumps(row) + "\n" for row in marked), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def two_batches(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> Path:
    folder = tmp_path_factory.mktemp("attributed") / "desk"
    make_project(folder, small_base, 90, QUICK)
    assert burnish("data", "add", extra_rows(folder.parent / "extra.jsonl"), "--project", folder, "--quiet").code == 0
    return folder


@pytest.fixture(scope="module")
def told(two_batches: Path) -> Call:
    return burnish("attribute", "--project", two_batches, "--repeats", 1, "--json", "--quiet")


def steady(data: Any) -> Any:
    """Without p-values, which are null where no row changed: that is the training's, not the shape's."""
    if isinstance(data, dict):
        return {name: 0.5 if name == "p_holm" else steady(inner) for name, inner in data.items()}
    return [steady(one) for one in data] if isinstance(data, list) else data


def test_an_attribution_keeps_its_shape(told: Call):
    assert told.code == 0
    check("json/attribute.json", json.dumps(shape(steady(told.data)), indent=1) + "\n")
    assert [one["name"] for one in told.data["batches"]] == ["extra"]
    assert told.data["is_new"] is True


def test_people_read_a_table_with_verdicts_and_find_the_drawing(told: Call, two_batches: Path):
    call = burnish("attribute", "--project", two_batches, "--repeats", 1, "--quiet")
    assert call.code == 0
    for word in ("batch", "verdict", "extra", "synthetic", "without any of these batches", "with all of them", "note:"):
        assert word in call.out
    drawing = Path(call.out.splitlines()[-1].removeprefix("drawing: "))
    assert drawing.read_text(encoding="utf-8").startswith("<svg")


def test_a_dry_run_tells_adapters_and_time(two_batches: Path):
    data = burnish("attribute", "--project", two_batches, "--repeats", 3, "--dry-run", "--json", "--quiet").data
    assert (data["dry_run"], data["num_adapters"], data["repeats"]) == (True, 6, 3)
    assert [part["name"] for part in data["parts"]] == ["extra"]
    call = burnish("attribute", "--project", two_batches, "--dry-run", "--quiet")
    assert "4 adapters in one bank" in call.out
    assert "nothing was trained" in call.out


def test_one_batch_is_bad_data_with_a_hint(tmp_path: Path, small_base: Path):
    folder = make_project(tmp_path / "desk", small_base, 60, QUICK)
    call = burnish("attribute", "--project", folder, "--json")
    assert (call.code, call.out) == (65, "")
    assert "one batch, rows.jsonl" in call.err
    assert "hint: add a second file" in call.err
    assert burnish("attribute", "--project", folder, "--repeats", 0).code == 2
