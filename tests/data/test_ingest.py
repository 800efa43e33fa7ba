"""Rows of any usual file become examples; a row that cannot is rejected with its place and reason, never lost."""

import gzip
import io
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burnish.config import DataSettings, Settings, TaskSettings
from burnish.data.columns import ColumnUse
from burnish.data.ingest import read_rows
from burnish.errors import DataError
from burnish.records import Example, Rejection

DEFAULT = Settings()
TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def read(path, chosen=DEFAULT):
    rows = list(read_rows(path, chosen))
    return [r for r in rows if isinstance(r, Example)], [r for r in rows if isinstance(r, Rejection)]


def written(tmp_path, data, name="rows.jsonl"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def dialog(example):
    return [(turn.role, turn.content) for turn in example.messages]


# Shapes ---------------------------------------------------------------------------------------------------------------

ASKED = [("user", "hi"), ("assistant", "hello")]
SHAPES = {
    "messages": ({"messages": TURNS}, ASKED),
    "messages as text in a cell": ({"messages": json.dumps(TURNS)}, ASKED),
    "system message": (
        {"messages": [{"role": "system", "content": "be brief"}, *TURNS]},
        [("system", "be brief"), *ASKED],
    ),
    "content made of text parts": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]},
                TURNS[1],
            ]
        },
        ASKED,
    ),
    "prompt and completion": ({"prompt": "hi", "completion": " hello\n"}, ASKED),
    "prompt and completion as messages": ({"prompt": TURNS[:1], "completion": TURNS[1:]}, ASKED),
    "Alpaca": (
        {"instruction": "translate", "input": "hola", "output": "hello"},
        [("user", "translate\n\nhola"), ASKED[1]],
    ),
    "Alpaca without input": ({"instruction": "hi", "input": "", "output": "hello"}, ASKED),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}], "system": "s"},
        [("system", "s"), *ASKED],
    ),
    "text and label": ({"text": "hi", "label": "hello"}, ASKED),
    "names in capitals": ({"Message": "hi", "Category": "hello"}, ASKED),
    "one unknown text column": ({"complaint": "hi", "label": "hello"}, ASKED),
    "a number as label": ({"text": "hi", "label": 3}, [ASKED[0], ("assistant", "3")]),
    "a whole float as label": ({"text": "hi", "label": 3.0}, [ASKED[0], ("assistant", "3")]),
    "a truth value as label": ({"text": "hi", "label": True}, [ASKED[0], ("assistant", "true")]),
    "an object as answer": ({"text": "hi", "output": {"a": 1}}, [ASKED[0], ("assistant", '{"a":1}')]),
    "a question and its answer beside a class": ({"question": "hi", "category": "x", "answer": "hello"}, ASKED),
    "label text beside its number": ({"text": "hi", "label": 1, "label_text": "hello"}, ASKED),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_of_the_ecosystem_is_read(name, tmp_path):
    row, expected = SHAPES[name]
    good, bad = read(written(tmp_path, jsonl(row)))
    assert not bad
    assert dialog(good[0]) == expected


def test_what_trl_calls_conversational_is_read_as_it_stands(tmp_path):
    # The same rows as in TRL's documentation of dataset formats: both conversational types of supervised training.
    rows = [
        {
            "messages": [
                {"role": "user", "content": "What color is the sky?"},
                {"role": "assistant", "content": "Blue."},
            ]
        },
        {
            "prompt": [{"role": "user", "content": "What color is the sky?"}],
            "completion": [{"role": "assistant", "content": "Blue."}],
        },
    ]
    good, _ = read(written(tmp_path, jsonl(*rows)))
    assert dialog(good[0]) == dialog(good[1]) == [("user", "What color is the sky?"), ("assistant", "Blue.")]
    assert good[0].id == good[1].id


BAD_ROWS = {  # D5
    "no assistant turn": ({"messages": TURNS[:1]}, "no-answer"),
    "ends in a user turn": ({"messages": [*TURNS, TURNS[0]]}, "no-answer"),
    "no user turn": ({"messages": TURNS[1:]}, "empty-prompt"),
    "no turn": ({"messages": []}, "empty-prompt"),
    "unknown role": ({"messages": [{"role": "narrator", "content": "x"}, *TURNS]}, "role"),
    "role that is no text": ({"messages": [{"role": 3, "content": "x"}, *TURNS]}, "role"),
    "late system message": ({"messages": [*TURNS, {"role": "system", "content": "x"}, *TURNS]}, "role"),
    "empty answer": ({"messages": [TURNS[0], {"role": "assistant", "content": "  \n"}]}, "empty-answer"),
    "absent content": ({"messages": [TURNS[0], {"role": "assistant", "content": None}]}, "empty-answer"),
    "empty prompt": ({"prompt": " ", "completion": "x"}, "empty-prompt"),
    "image part": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, TURNS[1]]},
        "content",
    ),
    "number as content": ({"messages": [{"role": "user", "content": 5}, TURNS[1]]}, "content"),
    "text as turn": ({"messages": ["hi", "hello"]}, "content"),
    "object as messages": ({"messages": {"role": "user"}}, "content"),
    "list as label": ({"text": "a", "label": [1]}, "content"),
    "tool call": (
        {"messages": [TURNS[0], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
        "tool-calls",
    ),
    "tool role": ({"messages": [TURNS[0], {"role": "tool", "content": "42"}, TURNS[1]]}, "tool-calls"),
    "tools beside": ({"messages": TURNS, "tools": [{"name": "f"}]}, "tool-calls"),
    "unlearned turn": ({"messages": [TURNS[0], {**TURNS[1], "weight": 0}]}, "weight"),
    "preference pair": ({"prompt": "a", "chosen": "b", "rejected": "c"}, "columns"),
    "unknown columns": ({"a": "x", "b": "y"}, "columns"),
    "negative weight": ({"text": "a", "label": "b", "weight": -1}, "weight"),
    "weight in words": ({"text": "a", "label": "b", "weight": "much"}, "weight"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_row_without_a_lesson_is_rejected_and_its_neighbours_are_kept(name, tmp_path):
    row, reason = BAD_ROWS[name]
    good, bad = read(written(tmp_path, jsonl({"messages": TURNS}, row, {"text": "a", "label": "b"})))
    assert len(good) == 2
    assert [(r.row, r.reason.split(":")[0]) for r in bad] == [(2, reason)]
    assert ": " in bad[0].reason


def test_shapes_may_be_mixed_in_one_file(tmp_path):
    good, bad = read(written(tmp_path, jsonl(*(row for row, _ in SHAPES.values()))))
    assert len(good) == len(SHAPES)
    assert not bad


# Metadata -------------------------------------------------------------------------------------------------------------


def test_metadata_becomes_id_group_weight_and_slices(tmp_path):
    row = {"id": 7, "group": "g1", "weight": "2.5", "text": "a", "label": "b", "channel": " web ", "vip": True}
    row |= {"score": 0.5, "none": None, "nested": {"x": 1}, "long": "x" * 81, "empty": ""}
    example = read(written(tmp_path, jsonl(row)))[0][0]
    assert (example.id, example.group, example.weight) == ("7", "g1", 2.5)
    assert example.slices == {"channel": "web", "vip": "true", "score": "0.5"}
    assert example.source == "rows.jsonl:1"


def test_a_row_without_id_gets_one_from_its_content_wherever_it_stands(tmp_path):
    first = read(written(tmp_path, jsonl({"text": "a", "label": "b"}, {"text": "c", "label": "d"}), "one.jsonl"))[0]
    other = read(written(tmp_path, jsonl({"text": "c", "label": "d"}), "two.jsonl"))[0]
    assert first[1].id == other[0].id == first[1].content_hash[:12] == first[1].group
    assert first[0].id != first[1].id


@pytest.mark.parametrize(  # D12: an id is data; it is never a path, and stays apart from its neighbours
    "name", ["../../etc/passwd", "/etc", "%2e%2e", "a\\b", "~", "CON", "-rf", "é", "e\u0301", "A", "a"]
)
def test_an_id_that_looks_like_a_path_is_kept_as_data(name, tmp_path):
    assert read(written(tmp_path, jsonl({"id": name, "text": "a", "label": "b"})))[0][0].id == name


@pytest.mark.parametrize("name", ["x" * 300, "a\x1b[31mb", "a\u202eb", "line\nbreak"])
def test_an_id_with_odd_characters_or_of_great_length_is_cleaned_and_stays_unique(name, tmp_path):
    rows = [{"id": name + end, "text": end, "label": "b"} for end in ("1", "2")]
    ids = [example.id for example in read(written(tmp_path, jsonl(*rows)))[0]]
    assert len(set(ids)) == 2
    assert all(found.isprintable() and len(found) <= 128 for found in ids)


def test_a_fields_answer_is_compact_and_has_one_order_of_keys(tmp_path):
    chosen = Settings(task=TaskSettings(kind="fields"))
    rows = [{"prompt": "a", "completion": '{"x": 1, "y": "é"}'}, {"prompt": "b", "completion": '{"y": null, "x": 2}'}]
    good, _ = read(written(tmp_path, jsonl(*rows)), chosen)
    assert [example.answer for example in good] == ['{"x":1,"y":"é"}', '{"x":2,"y":null}']
    named = Settings(task=TaskSettings(kind="fields", fields={"y": "exact", "x": "number"}))
    assert read(tmp_path / "rows.jsonl", named)[0][0].answer == '{"y":"é","x":1}'


def test_the_settings_name_the_columns_of_a_table(tmp_path):
    path = written(tmp_path, jsonl({"text": "a", "label": "b", "action": "c", "note": "d"}))
    good, _ = read(path, Settings(data=DataSettings(answer="action", text="note")))
    assert dialog(good[0]) == [("user", "d"), ("assistant", "c")]
    assert good[0].slices == {"text": "a", "label": "b"}


def test_columns_that_are_in_no_prompt_are_told_of(tmp_path):
    rows = [
        {
            "message": "hi",
            "label": "a",
            "knowledge": "long " * 30,
            "table": [["1", "2"]],
            "channel": "web",
            "facts": {"a": 1},
        }
        for _ in range(20)
    ]
    use = ColumnUse()
    list(
        read_rows(written(tmp_path, jsonl(*rows, {"text": "hi", "label": "b", "rare": "long " * 30})), Settings(), use)
    )
    assert "made of 'message', 'label', 'text' alone" in use.warning()
    assert "in no prompt: 'knowledge', 'table'." in use.warning()

    whole = ColumnUse()
    list(read_rows(written(tmp_path, jsonl({"messages": TURNS, "about": {"a": 1}})), Settings(), whole))
    assert whole.warning() == ""


@pytest.mark.parametrize(
    ("rows", "chosen", "told", "hint"),
    [
        ([{"question": "a", "final": "b"}] * 3, DataSettings(), "'question', 'final'", "data.answer=COLUMN"),
        ([{"a": "x", "b": "y", "label": "z"}] * 30, DataSettings(), "'a', 'b'", "data.text=COLUMN"),
        ([{"text": "a", "label": "b"}], DataSettings(answer="intent"), "no column 'intent'", "mend the name"),
    ],
)
def test_a_file_whose_columns_say_nothing_is_refused_with_the_setting_to_write(rows, chosen, told, hint, tmp_path):
    with pytest.raises(DataError) as caught:
        read(written(tmp_path, jsonl(*rows)), Settings(data=chosen))
    assert told in caught.value.message
    assert hint in caught.value.hint


# D1, D2, D3 -----------------------------------------------------------------------------------------------------------

ROWS = [jsonl({"text": f"what about ünit {number}", "label": "x"}).encode() for number in range(4)]
ROWS += [json.dumps({"messages": TURNS, "note": "a \u2028 b"}, ensure_ascii=False).encode() + b"\n"]


def test_a_file_cut_at_every_byte_keeps_its_whole_rows_and_reports_the_cut_one(tmp_path):
    for cut in range(sum(map(len, ROWS)) + 1):
        _assert_cut_is_told(ROWS, cut, tmp_path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=4), part=st.floats(0, 1))
def test_a_file_of_any_texts_cut_anywhere_keeps_its_whole_rows(texts, part, tmp_path):
    rows = [json.dumps({"text": f".{text}".replace("\0", ""), "label": "x"}, ensure_ascii=False) for text in texts]
    whole = [row.encode() + b"\n" for row in rows]
    _assert_cut_is_told(whole, int(part * sum(map(len, whole))), tmp_path)


def _assert_cut_is_told(rows, cut, tmp_path):
    ends = [sum(map(len, rows[: number + 1])) for number in range(len(rows))]
    whole = sum(end - 1 <= cut for end in ends)  # a row is whole without its line end
    start = 0 if whole == 0 else ends[whole - 1]
    rest = b"".join(rows)[start:cut]
    good, bad = read(written(tmp_path, b"".join(rows)[:cut]))
    assert len(good) == whole
    assert [(row.row, row.offset_bytes) for row in bad] == ([(whole + 1, start)] if rest.strip() else [])
    for row in bad:
        assert row.reason.split(":")[0] in ("json", "utf-8")


ZOO = {  # D2: the name of what is wrong, the bytes of the row, what the reason tells
    "NaN": (b'{"text": "a", "label": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"text": "a", "label": -Infinity}', "-Infinity is not JSON"),
    "overflow": (b'{"text": "a", "label": 1e999}', "beyond what a double can hold"),
    "twin keys": (b'{"text": "a", "text": "b", "label": "c"}', "'text' stands twice"),
    "lone surrogate": (b'{"text": "\\ud800", "label": "c"}', "lone surrogate"),
    "surrogate in a key": (b'{"\\uDC00": 1, "text": "a", "label": "c"}', "lone surrogate"),
    "huge integer": (b'{"text": "a", "label": ' + b"9" * 5000 + b"}", "5,000 digits"),
    "deep nesting": (b'{"text": "a", "label": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 64"),
    "deep and unclosed": (b"[" * 100_000, "nested deeper than 64"),
    "NUL escaped": (b'{"text": "a\\u0000", "label": "c"}', "NUL"),
    "NUL raw": (b'{"text": "a\x00", "label": "c"}', "Invalid control character"),
    "Latin-1": ('{"text": "café", "label": "c"}'.encode("latin-1"), "utf-8: byte 0xe9 at position 14"),
    "surrogate bytes": (b'{"text": "\xed\xa0\x80", "label": "c"}', "utf-8: byte 0xed"),
    "two values": (b'{"text": "a", "label": "b"} {"text": "a", "label": "b"}', "Extra data"),
    "a list": (b"[1, 2]", "a row must be an object"),
    "a text": (b'"text"', "a row must be an object"),
    "no JSON": (b"text,label", "Expecting value"),
}


@pytest.mark.parametrize("name", ZOO)
def test_what_python_would_let_through_is_rejected_and_the_next_row_is_read(name, tmp_path):
    data, told = ZOO[name]
    good, bad = read(written(tmp_path, ROWS[0] + data + b"\n" + ROWS[1]))
    assert len(good) == 2
    assert len(bad) == 1
    assert told in bad[0].reason
    assert (bad[0].row, bad[0].offset_bytes) == (2, len(ROWS[0]))
    assert bad[0].snippet.isprintable()
    assert len(bad[0].snippet) <= 120


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(middle=st.binary(max_size=200).filter(lambda data: b"\n" not in data))
def test_any_bytes_in_a_row_cost_at_most_that_row(middle, tmp_path):
    good, bad = read(written(tmp_path, ROWS[0] + middle + b"\n" + ROWS[1]))
    assert len(good) == 2
    assert len(bad) == (1 if middle.strip() else 0)
    json.dumps([row.reason + row.snippet for row in bad], ensure_ascii=False).encode()


def test_nesting_inside_the_limit_and_brackets_inside_texts_are_read(tmp_path):
    rows = [{"text": "[" * 500 + '\\"' * 50, "label": "b"}, {"text": "a", "label": "b", "more": [[[[1]]]] * 40}]
    assert len(read(written(tmp_path, jsonl(*rows)))[0]) == 2


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_byte_order_mark_line_ends_and_empty_lines_do_not_matter(start, end, tmp_path):
    data = start + end.join([ROWS[0].strip(), b"", b"  ", ROWS[1].strip()])
    good, bad = read(written(tmp_path, data))
    assert [example.source for example in good] == ["rows.jsonl:1", "rows.jsonl:4"]
    assert not bad
    assert not any("\r" in turn.content for example in good for turn in example.messages)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows", "rows.json"])
def test_an_empty_file_has_no_rows(data, name, tmp_path):
    assert read(written(tmp_path, data, name)) == ([], [])


def test_a_snippet_is_masked_and_holds_no_control_characters(tmp_path):
    row = b'{"text": "key AKIAIOSFODNN7EXAMPLE \x1b[31m", "label": '
    bad = read(written(tmp_path, ROWS[0] + row))[1][0]
    assert "AKIA" not in bad.snippet
    assert "[aws-key]" in bad.snippet
    assert "\x1b" not in bad.snippet


# Where rows come from -------------------------------------------------------------------------------------------------


def test_a_json_array_is_read_and_a_bad_element_costs_only_itself(tmp_path):
    text = '[\n{"text": "a", "label": "b"},\n{"text": "a", "text": "c"}, 5,\n {"text": "d", "label": "e"}]\n'
    good, bad = read(written(tmp_path, text, "rows.json"))
    assert [example.source for example in good] == ["rows.json:1", "rows.json:4"]
    assert [row.row for row in bad] == [2, 3]


@pytest.mark.parametrize("cut", [28, 30, 45])
def test_a_cut_json_array_tells_where_it_ends(cut, tmp_path):
    text = '[{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]'
    good, bad = read(written(tmp_path, text[:cut], "rows.json"))
    assert len(good) == 1
    assert [row.row for row in bad] == [2]


def test_json_lines_in_a_json_file_are_read_and_one_pretty_object_is_refused(tmp_path):
    assert len(read(written(tmp_path, b"".join(ROWS), "rows.json"))[0]) == len(ROWS)
    with pytest.raises(DataError, match="one JSON object over several lines") as caught:
        read(written(tmp_path, json.dumps({"data": [{"text": "a", "label": "b"}]}, indent=1), "one.json"))
    assert "jq" in caught.value.hint


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(ROWS))))
    good, _ = read("-")
    assert [example.source for example in good] == [f"stdin:{number}" for number in range(1, 6)]


def test_a_gzip_file_is_read_whatever_its_name(tmp_path):
    packed = gzip.compress(b"".join(ROWS[:2])) + gzip.compress(b"".join(ROWS[2:]))
    for name in ("rows.jsonl.gz", "rows.data"):
        assert len(read(written(tmp_path, packed, name))[0]) == len(ROWS)
    assert read(tmp_path / "rows.jsonl.gz")[0][0].source == "rows.jsonl:1"


def test_a_cut_gzip_file_keeps_its_whole_rows_and_tells(tmp_path):
    rows = b"".join(
        jsonl({"text": f"{n * 7919 % 1000003} {n * 104729 % 999983}", "label": "x"}).encode() for n in range(3000)
    )
    packed = gzip.compress(rows)
    good, bad = read(written(tmp_path, packed[: len(packed) // 2], "rows.jsonl.gz"))
    assert 100 < len(good) < 3000
    assert bad[-1].reason.startswith("gzip: the compressed data is damaged or cut")


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (b"PK\x03\x04 more", "rows.xlsx", "damaged zip archive or workbook"),
        (b"\x80\x04\x95 more", "rows.dat", "pickle"),
        (b"{}", "rows.pkl", "run code"),
        (b"{}", "rows.py", "never runs code"),
        (b"\x00\x01\x02\x03" * 9, "rows", "no text file"),
        (b"BZh9", "rows.bz2", "bzip2"),
    ],
)
def test_what_is_no_data_file_is_refused_with_a_way_out(data, name, told, tmp_path):
    with pytest.raises(DataError, match=told) as caught:
        read(written(tmp_path, data, name))
    assert caught.value.hint


def test_an_absent_file_and_a_device_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match="is a device"):
        read("/dev/zero")
