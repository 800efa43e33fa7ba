"""Failpoints act as planned and do nothing otherwise."""

import errno

import pytest

from burnish.store.failpoints import failpoint, forget_hits


@pytest.fixture(autouse=True)
def _no_hits():
    forget_hits()


def hits_that_fail(names: str) -> list[int]:
    failed = []
    for number, name in enumerate(names.split(), start=1):
        try:
            failpoint(name)
        except OSError:
            failed.append(number)
    return failed


def test_without_a_plan_nothing_happens():
    assert hits_that_fail("a b a") == []


def test_a_fault_without_a_number_acts_at_every_hit_of_its_name(monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", "a=enospc")
    assert hits_that_fail("a b a") == [1, 3]


def test_a_numbered_fault_acts_at_that_hit_only(monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", "a=eio@2, b=enospc@1")
    assert hits_that_fail("a b a a b") == [2, 3]


def test_the_star_counts_hits_of_all_names_together(monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", "*=enospc@3")
    assert hits_that_fail("a b c a b c") == [3]


@pytest.mark.parametrize(("action", "code"), [("enospc", errno.ENOSPC), ("eio", errno.EIO)])
def test_a_fault_of_the_disk_has_its_code(action, code, monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", f"a={action}")
    with pytest.raises(OSError, match="failpoint a") as caught:
        failpoint("a")
    assert caught.value.errno == code


@pytest.mark.usefixtures("on_a_terminal")
def test_int_arrives_as_a_keyboard_interrupt(monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", "a=int")
    with pytest.raises(KeyboardInterrupt):
        failpoint("a")


@pytest.mark.parametrize("plan", ["a", "a=explode", "=kill", "a=kill@x"])
def test_a_plan_that_cannot_be_read_is_refused(plan, monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", plan)
    with pytest.raises(AssertionError):
        failpoint("b")
