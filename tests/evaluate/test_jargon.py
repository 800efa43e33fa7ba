"""Terms proposed from seeds, the file that people edit, and what answers are measured by, counted by hand."""

import pytest

from burnish.errors import ConfigError
from burnish.evaluate.jargon import Vocabulary, jargon
from burnish.evaluate.terms import Term, load_terms, propose_terms, save_terms, stem
from burnish.records import Task
from tests.evaluate.measured_rows import evaluation, example

TEXT = Task(kind="text", metric="token_f1")
TERMS = (
    Term(term="claim form", preferred="claim form", forbidden=("application sheet",), approved=True),
    Term(term="claimant", preferred="claimant", forbidden=("customer", "user"), approved=True),
    Term(term="e-mail", preferred="email", forbidden=("e-mail", "electronic mail"), approved=True),
    Term(term="IT", preferred="IT", forbidden=("computer people",), approved=True),
    Term(term="unread", preferred="unread", forbidden=("message",)),
)


def _uses(text):
    return [(use.term, use.is_preferred, use.text) for use in Vocabulary(TERMS).uses(text)]


def test_forms_are_found_in_any_inflection_and_case_the_longest_first():
    assert _uses("Claimants file Claim Forms; a customer's application sheets.") == [
        ("claimant", True, "Claimants"),
        ("claim form", True, "Claim Forms"),
        ("claimant", False, "customer's"),
        ("claim form", False, "application sheets"),
    ]


def test_a_word_inside_another_and_an_acronym_in_lower_case_are_no_use():
    assert _uses("It is customary; users' IT.") == [("claimant", False, "users"), ("IT", True, "IT")]


def test_forms_that_differ_in_inflection_alone_are_told_by_their_letters():
    words = Vocabulary([Term(term="x", preferred="filing", forbidden=("filed", "file-ing"), approved=True)])
    assert [(use.form, use.is_preferred) for use in words.uses("Filing it was filed, and it files.")] == [
        ("filing", True),
        ("filed", False),
        ("filing", True),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("claim", "claims", "claimed", "claiming", "claim's"),
        ("policy", "policies"),
        ("file", "files", "filed", "filing"),
        ("stop", "stops", "stopped", "stopping"),
        ("box", "boxes"),
        ("ATM", "ATMs"),
    ],
)
def test_inflections_share_a_stem(words):
    assert len({stem(word) for word in words}) == 1


@pytest.mark.parametrize(("one", "other"), [("status", "stat"), ("IT", "it"), ("process", "proces"), ("red", "r")])
def test_other_words_do_not(one, other):
    assert stem(one) != stem(other)


def test_the_four_measures_are_counted_by_hand():
    rows = [example("q", "The claimant sends the claim form.", f"r{at}", channel="web") for at in range(4)]
    rows[3] = example("q", "Fine.", "r3", channel="phone")
    said = [
        "The claimant sends the claim form. Claimants sign it.",
        "The customer sends the claim form; the claimant signs.",
        "Send an e-mail, then another email.",
        "All good.",
    ]
    preferred, forbidden, required, consistent = jargon(TEXT, rows, evaluation(TEXT, rows, said), TERMS)
    assert preferred.value_of() == {"r0": 1.0, "r1": pytest.approx(2 / 3), "r2": 0.5, "r3": None}
    assert forbidden.value_of() == {"r0": 0.0, "r1": 1.0, "r2": 1.0, "r3": 0.0}
    assert required.value_of() == {"r0": 1.0, "r1": 1.0, "r2": 0.0, "r3": None}
    assert consistent.value_of() == {"r0": 1.0, "r1": 0.0, "r2": 0.0, "r3": None}
    assert forbidden.slices["channel=web"].value == pytest.approx(2 / 3)
    assert [(one.kind, one.text, one.start) for one in forbidden.rows[1].findings] == [
        ("forbidden for claimant", "customer", 4)
    ]
    assert [one.text for one in required.rows[2].findings] == ["claim form", "claimant"]
    assert [one.is_pairable for one in (preferred, forbidden, required, consistent)] == [False, True, True, False]


def test_fields_are_read_value_by_value():
    task = Task(kind="fields", fields={"note": "exact"}, metric="field_accuracy")
    rows = [example("q", '{"note":"claimant"}', "r0")]
    _, forbidden, required, _ = jargon(task, rows, evaluation(task, rows, ['{"note":"customer"}']), TERMS)
    assert (forbidden.overall.value, required.overall.value) == (1.0, 0.0)
    assert forbidden.rows[0].findings[0].where == "note"


def test_label_tasks_and_term_bases_without_approval_have_no_measure():
    rows = [example("q", "a", "r0")]
    label = Task(labels=("a", "b"))
    for task, terms, why in ((label, TERMS, "label"), (TEXT, TERMS[4:], "no-terms")):
        found = jargon(task, rows, evaluation(task, rows, ["a"]), terms)
        assert [one.why_missing.split(":")[0] for one in found] == [why] * 4
        assert all(one.overall.value is None for one in found)


CLASSES = {
    "pay": [f"My benefit payment for week {at} did not arrive, the direct deposit is late" for at in range(12)],
    "form": [
        f"Where is the claim form for week {at}? My claim-form and the cover sheet did arrive" for at in range(12)
    ],
}


def test_terms_are_proposed_from_what_tells_the_classes_apart_and_variants_come_along():
    found = propose_terms(CLASSES)
    names = [term.preferred for term in found]
    assert "benefit payment" in names
    assert "direct deposit" in names
    assert not any(word in names for word in ("late", "my", "week", "number"))
    (form,) = (term for term in found if "form" in term.preferred)
    assert {form.preferred, *form.forbidden} == {"claim form", "claim-form"}
    assert not any(term.approved for term in found)
    assert propose_terms(CLASSES) == found


def test_terms_are_proposed_against_general_text_where_there_is_one_class():
    one = {"": [text for texts in CLASSES.values() for text in texts]}
    general = [f"The weather in week {at} was fine and the link was broken on my page" for at in range(40)]
    assert propose_terms(one) == ()
    names = [term.preferred for term in propose_terms(one, general=general)]
    assert "direct deposit" in names
    assert not any("link" in name for name in names)


def test_a_term_base_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "terms.yaml"
    awkward = Term(term="no", preferred="yes: 'it' #1", forbidden=("1e4", "null", ""), definition='a "b"\nc', seen=3)
    save_terms(path, [*TERMS, awkward])
    assert load_terms(path) == (*TERMS, awkward)
    save_terms(path, ())
    assert load_terms(path) == ()


def test_what_a_person_leaves_out_has_a_meaning(tmp_path):
    path = tmp_path / "terms.yaml"
    path.write_text("terms:\n  - term: claimant\n    approved: true\n")
    assert load_terms(path) == (Term(term="claimant", preferred="claimant", approved=True),)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("claimant", "no list of terms"),
        ("terms:\n  - preferred: x", "line 2: an entry without a term"),
        ("terms:\n  - term: x\n  - term: y\n    colour: red", "line 3: colour is no part"),
        ("terms:\n  - term: x\n    approved: maybe", "line 2: approved has another type"),
        ("terms:\n  - term: x\n    forbidden: [3]", "line 2: forbidden has another type"),
        ("terms:\n  - term: x\n  - term: x", "stands there twice"),
    ],
)
def test_a_file_that_is_no_term_base_is_refused_with_its_line(tmp_path, text, found):
    path = tmp_path / "terms.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=found) as caught:
        load_terms(path)
    assert caught.value.hint
