"""BBSE by its closed form, and the test on answers that goes with it."""

import numpy as np
import pytest

from burnish.monitor.label_shift import label_shift, solve_shares


def answers(yes_right: int, yes: int, no_right: int, no: int) -> tuple[list[str], list[str]]:
    expected = ["yes"] * yes + ["no"] * no
    said = ["yes"] * yes_right + ["no"] * (yes - yes_right) + ["no"] * no_right + ["yes"] * (no - no_right)
    return expected, said


def test_two_labels_give_the_closed_form_of_rogan_and_gladen():
    expected, said = answers(45, 50, 160, 200)
    window = ["yes"] * 120 + ["no"] * 80
    found = label_shift(expected, said, window, 0.01, np.random.default_rng(0))
    share = dict(zip(found.labels, found.shares, strict=True))["yes"]
    # (p + specificity - 1) / (sensitivity + specificity - 1) = (0.6 + 0.8 - 1) / (0.9 + 0.8 - 1)
    assert share.value == pytest.approx(0.4 / 0.7)
    assert share.low < 0.4 / 0.7 < share.high


def test_shares_that_have_not_moved_are_found_again_and_do_not_alarm():
    random = np.random.default_rng(1)
    expected, said = answers(45, 50, 40, 50)
    hits = 0
    for _ in range(40):
        window = [said[at] for at in random.integers(0, 100, 60)]
        hits += label_shift(expected, said, window, 0.05, random).p <= 0.05
    assert hits <= 8  # binomial(40, 0.05): above 8 with chance 2e-4


def test_answers_that_no_dev_row_got_count_as_moved_but_are_no_label():
    expected, said = answers(45, 50, 45, 50)
    found = label_shift(expected, said, ["yes"] * 25 + ["no"] * 25 + ["?"] * 50, 0.001, np.random.default_rng(2))
    assert found.labels == ("no", "yes")
    assert found.p <= 0.001
    assert found.distance.value == pytest.approx(0.5)
    assert sum(share.value for share in found.shares) == pytest.approx(1.0)


def test_a_model_that_guesses_gives_no_shares_but_a_reason():
    assert solve_shares(np.array([[50.0, 50.0], [0.0, 0.0]]), np.array([10.0, 0.0]))[1].startswith("confused:")
    assert solve_shares(np.array([[50.0, 0.0], [0.0, 0.0]]), np.array([10.0, 0.0]))[1].startswith("unseen:")
