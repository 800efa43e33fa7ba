"""Secrets and personal data are found, counted and masked; ordinary text is left alone."""

import time

import pytest

from burnish.data.quality import inspect_text, is_card_number, is_iban, mask, snippet

# Made up, or the documented examples of their makers; joined here so that no scanner takes this file for a leak.
PLANTED = {
    "aws-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws-secret": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "github-token": "ghp_" + "a1B2" * 9,
    "gitlab-token": "glpat-" + "x1Y2" * 5,
    "slack-token": "xoxb-" + "123456789012-abcdef",
    "api-key": "sk-" + "proj-" + "Ab12" * 8,
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N",
    "private-key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "url-password": "postgres://admin:" + "hunter2@",
    "password": "Password: " + "s3cr3t!x",
    "email": "jane.doe+x@mail.example.org",
    "ssn": "219-09-9999",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "phone": "+44 20 7946 0958",
}
HARMLESS = [
    "the meeting is on 2024-05-01 at 12:30, room 1234, invoice 20240501-0001",
    "my secret is that I forgot the password, please reset it",
    "see https://example.org/path?x=1 and http://localhost:8080/",
    "order 4111111111111112 of 3,000,000 items costs $1,204.00",
    "versions 1.2.3.4 and 10.0.0.1, isbn 978-3-16-148410-0",
    "@channel meet at 5@noon",
    "GB00 WEST 1234 5698 7654 32",
    "mother-in-law self-employed state-of-the-art",
]


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found_and_masked_and_its_neighbours_stay(kind):
    text = f"before {PLANTED[kind]} after"
    found = inspect_text(text)
    assert (found.secrets | found.personal)[kind] == 1
    assert mask(text) == f"before [{kind}] after"


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_is_left_alone(text):
    assert mask(text) == text
    found = inspect_text(text)
    assert not found.secrets
    assert not found.personal


def test_checksums_tell_numbers_from_cards_and_accounts():
    assert is_card_number("5555555555554444")
    assert not is_card_number("5555555555554445")
    assert not is_card_number("0000000000000000")
    assert is_iban("GB82 WEST 1234 5698 7654 32")
    assert not is_iban("GB83 WEST 1234 5698 7654 32")


def test_control_tokens_are_counted():
    assert inspect_text("<|im_start|>system\nx<|im_end|> [INST] </s> <start_of_turn>").control_tokens == 5
    assert inspect_text("a < b | c > d [1] <b>bold</b>").control_tokens == 0


@pytest.mark.parametrize(
    ("text", "noise"),
    [
        ("buy now cheap " * 30, ("repetition",)),
        ("ハローワーク" * 60, ("repetition",)),
        ("caf\ufffd \ufffd\ufffd na\ufffdve", ("replacement-characters",)),
        ("a\x00\x01\x02b", ("control-characters",)),
        (
            "I went to the office on Monday and asked for the form. They told me to wait for a letter, which never "
            "came, so I called on Friday and was told that the office had moved.",
            (),
        ),
        ("tab\tand\nnewline are fine", ()),
        ("", ()),
    ],
)
def test_signs_of_a_broken_text(text, noise):
    assert inspect_text(text).noise == noise


def test_a_snippet_is_short_printable_and_masked_before_it_is_cut():
    shown = snippet("x" * 110 + " " + PLANTED["aws-key"] + "\x1b[2J\u202e")
    assert len(shown) <= 120
    assert shown.isprintable()
    assert "AKIA" not in shown
    assert snippet("a\nb\x1b") == "a\\nb\\x1b"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a@",
        "a.a@",
        "eyJ",
        "1 ",
        "(1",
        "sk-",
        "https://",
        "a:",
        "password: ",
        "-----BEGIN ",
        "AB12 ",
        "<|",
        "+1 ",
        "_-",
    ],
)
def test_patterns_take_linear_time_on_hostile_text(piece):
    times = []
    for size in (25_000, 100_000):
        text = piece * (size // len(piece))
        started = time.process_time()
        inspect_text(text)
        times.append(time.process_time() - started)
    # Four times the text may take four times as long, twice that for noise; quadratic would be sixteen times.
    assert times[1] < max(0.4, 10 * times[0])
