"""Personal data in texts of users: what the patterns know is gone, what they do not know is left alone."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from burnish.data.redact import redact

GONE = {
    "jane.doe+x@mail.example.org": "email",
    "+49 171 2345678": "phone",
    "(030) 123 45 67": "phone",
    "0171 2345678": "phone",
    "01 42 68 53 00": "phone",
    "0044 20 7946 0958": "phone",
    "212-555-0187": "phone",
    "DE89 3704 0044 0532 0130 00": "iban",
    "de89370400440532013000": "iban",
    "GB82-WEST-1234-5698-7654-32": "iban",
    "4111 1111 1111 1111": "card",
    "378282246310005": "card",
    "192.168.10.7": "ip",
    "2001:db8::8a2e:370:7334": "ip",
    "::ffff:10.1.2.3": "ip",
    "078-05-1120": "ssn",
    "born on 12.03.1980": "birth-date",
    "DOB: 1980-03-12": "birth-date",
    "geboren am 3. April 1971": "birth-date",
    "AKIAIOSFODNN7EXAMPLE": "aws-key",
}
STAYS = (
    "order 12345678 of 12.03.2024, 3 pieces",
    "version 1.2.3 at 10:30:15, 09.04.2024",
    "4111 1111 1111 1112 fails its check",
    "DE88 3704 0044 0532 0130 00",
    "the ratio 2:1, section 4.2.1.9.7, std::vector",
    "My name is Jane Doe and I live at 5 High Street",
    "999.999.999.999",
    "0.5 to 0.75 and 1,000.00",
)


@pytest.mark.parametrize(("planted", "kind"), GONE.items())
def test_what_the_patterns_know_is_replaced_by_its_kind(planted, kind):
    for text in ("write {} today", "{}", "({})", "to {}.", "{}, please", '"{}"', "one\n{}\ntwo"):
        assert redact(text.format(planted)) == text.format(f"[{kind}]")


@pytest.mark.parametrize("text", STAYS)
def test_numbers_that_are_nobodys_and_names_stay(text):
    assert redact(text) == text


PIECES = st.sampled_from([*GONE, *STAYS, " ", "\n", ", ", "]", "-", "0", "1", "+", ".", "@", ":", "ü", "[email]"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=12).map("".join))
@example("1.2.3.4" * 9)
def test_what_is_redacted_stays_as_it_is(text):
    once = redact(text)
    assert redact(once) == once


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(list(GONE)), st.text(alphabet="abc XYZ\n,;!?", max_size=40))
def test_nothing_planted_between_words_survives(planted, around):
    assert planted not in redact(f"{around} {planted} {around}")


@pytest.mark.parametrize("char", ["0", "1", "a", ":", ".", "0 ", "1-", "a@", "DE89 ", "1.1", "(0", "born 1"])
def test_no_text_takes_long(char):
    """Bounded repetitions make it linear; a hundred thousand characters took at most 1 s on a slow core."""
    text = (char * 100_000)[:100_000]
    before = time.process_time()
    redact(text)
    assert time.process_time() - before < 10
