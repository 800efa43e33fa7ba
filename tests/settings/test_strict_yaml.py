"""The YAML reader takes plain values and refuses, with a line, everything that hides something."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from burnish.errors import ConfigError
from burnish.strict_yaml import dump, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALAR = st.one_of(
    TEXT,
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.sampled_from(
        ["no", "1e-4", "0x1F", "12:30", "2020-01-01", "<<", "=", "~", "", "---", "...", "- a", "#a", "a: b"]
    ),
)


def kind_of(value):
    return [kind_of(item) for item in value] if isinstance(value, list) else type(value)


@settings(max_examples=200, deadline=None)
@given(value=st.one_of(SCALAR, st.lists(SCALAR, max_size=4)))
@example(value="a\nb\u2028c\x85")
def test_every_value_comes_back_as_it_was_written_on_one_line_or_several(value):
    line = dump(value)
    assert len(line.splitlines()) == 1
    for text in (f"key: {line}", dump({"key": value}, flow=False)):
        back = parse(text, "f").data["key"]
        assert back == value
        assert kind_of(back) == kind_of(value)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text("ab:-[]{}&*!|>'\"#%@ \n\t,?~0.1e", max_size=60))
def test_any_text_is_read_or_refused_and_never_crashes(text):
    refused = ConfigError("f line 0", hint="none")
    try:
        parse(text, "f")
    except ConfigError as error:
        refused = error
    assert refused.message.startswith("f line ")
    assert refused.hint


@settings(max_examples=100, deadline=None)
@given(st.text("ab:-[]{}'\"# \n,", max_size=40))
def test_what_is_read_from_words_alone_is_what_pyyaml_reads(text):
    try:
        data = parse(text, "f").data
    except ConfigError:
        return
    assert data == (yaml.safe_load(text) if yaml.safe_load(text) is not None or data is None else {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f line 4: b.c is set twice, here and on line 3"),
        ("a: 1\nb:\n\tc: 1\n", "f line 3: a tab"),
        ("a: !!python/object/apply:os.system [id]", "f line 1: found the tag !!python/object/apply:os.system"),
        ("a: !mine 1", "f line 1: found the tag !mine"),
        ("\na: !!binary aGk=", "f line 2: found the tag !!binary"),
        ("a: !!int foo", "f line 1: found 'foo' tagged as int"),
        ("a: &x [*x]", "f line 1: found an alias that contains itself"),
        ("a: &x 1\nb:\n" + "- *x\n" * 17, "f line 19: found more than 16 aliases"),
        ("a: " + "[" * 100_000, "f line 1: found values nested more than 32 deep"),
        ("a: .nan", "f line 1: found .nan, which is no finite number"),
        ("a: 1e999", "f line 1: found 1e999, which is no finite number"),
        ("a: " + "9" * 5000, "f line 1: found a number of more than 300 characters"),
        ("no: 1", "f line 1: found the key 'no', which YAML reads as bool"),
        ("1: 1", "f line 1: found the key '1', which YAML reads as int"),
        ("? [a]\n: 1", "f line 1: found a key that is no plain word"),
        ("<<: {a: 1}", "f line 1: found a merge key (<<)"),
        ('a: "\\ud800"', "f line 1: found half of a surrogate pair"),
        ("a: 1\n---\nb: 2", "f line 2, column 1: but found another document"),
        ("a: [1", "f line 1, column 6: expected ',' or ']'"),
        ("a: \0", "f line 1: special characters are not allowed"),
        ("a: *b", "f line 1, column 4: found undefined alias 'b'"),
    ],
)
def test_what_hides_something_is_refused_with_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_an_alias_bomb_under_the_alias_limit_stays_small():
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 8))]
    assert len(str(parse("\n".join(lines), "f").data)) < 5000


def test_each_value_has_its_line_and_words_keep_their_spelling():
    document = parse("a: no\nb:\n  - x\n  - 0x1\n  - 1e-4\n", "f")
    assert document.data == {"a": False, "b": ["x", "0x1", 1e-4]}
    assert document.words == {("a",): "no", ("b", 2): "1e-4"}
    assert document.lines[("b",)] == 2
    assert document.lines[("b", 1)] == 4
