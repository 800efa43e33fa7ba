"""The portions of the benchmark on hand-offs: nobody is in two of them, and what is held back stays the same."""

from benchmarks.handoff import HELD_BACK, portions, rows_of


def rows() -> list[dict[str, str]]:
    return [{"id": f"c{at}", "text": "x", "label": "answer", "group": f"g{at // 2}"} for at in range(2000)]


def test_a_person_is_in_one_portion_only_and_every_row_in_some():
    parts = portions(rows(), rounds=3, seed=0)
    groups = [{row["group"] for row in part} for part in parts]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 1000
    assert sum(map(len, parts)) == 2000
    # 1000 groups fall by chance: three standard deviations of a share of 0.2 or 0.27 are at most 4.2 points.
    assert abs(len(groups[0]) / 1000 - HELD_BACK) < 0.042
    assert all(abs(len(part) / 1000 - (1 - HELD_BACK) / 3) < 0.042 for part in groups[1:])
    assert parts[0][0]["label"] == "answer"


def test_the_rows_held_back_do_not_depend_on_the_number_of_rounds():
    assert portions(rows(), rounds=1, seed=4)[0] == portions(rows(), rounds=4, seed=4)[0]


def test_other_rows_are_each_a_person_and_the_example_keeps_its_own(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n', encoding="utf-8")
    assert [(row["id"], row["group"], row["label"]) for row in rows_of([file])] == [
        ("r0", "r0", "x"),
        ("r1", "r1", "y"),
    ]
    example = rows_of([])
    assert len({row["group"] for row in example}) < len(example)
    assert {"label", "text", "intent", "channel"} <= example[0].keys()
