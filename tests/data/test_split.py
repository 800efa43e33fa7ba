"""Roles are given by group, decided by seed and content alone, near their shares, and never change."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.config import DataSettings, RoleSettings, Settings, TaskSettings
from burnish.data.dedup import near_duplicate_groups, prompt_text, similarity
from burnish.data.split import ASIDE, assign_roles
from burnish.records import Example, Message

LABELS = ["payment", "appeal", "login", "rare"]


def example(text, answer="payment", *, group="", name="", **slices):
    turns = (Message(role="user", content=text), Message(role="assistant", content=answer))
    made = Example(id="", messages=turns, group="", slices=slices)
    identity = name or made.content_hash[:12]
    return Example(id=identity, messages=turns, group=group or identity, slices=slices)


def many(count, start=0, num_labels=3):
    return [
        example(f"q{number} x{number} y{number} z{number}", LABELS[number % num_labels])
        for number in range(start, start + count)
    ]


def members(roles):
    found = defaultdict(set)
    for name, role in roles.items():
        found[role].add(name)
    return found


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.integers(0, 25), min_size=1, max_size=80),
    words=st.lists(st.integers(0, 30), min_size=80, max_size=80),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_groups_never_straddle_roles_and_order_does_not_matter(groups, words, seed, order):
    rows = [
        example(f"is {words[n]} or {words[n]} it {words[n]}", LABELS[words[n] % 3], group=f"g{group}", name=f"r{n}")
        for n, group in enumerate(groups)
    ]
    chosen = Settings(seed=seed)
    roles = assign_roles(rows, chosen, {})
    shuffled = rows.copy()
    order.shuffle(shuffled)
    assert assign_roles(shuffled, chosen, {}) == roles
    for key in (lambda row: row.group, prompt_text):
        sides = defaultdict(set)
        for row in rows:
            sides[key(row)].add(roles[row.id])
        assert all(len(found) == 1 for found in sides.values())


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 200), more=st.integers(0, 100), vaults=st.integers(1, 4))
def test_known_roles_never_change_and_shares_are_met_within_a_row(count, more, vaults):
    chosen = Settings(roles=RoleSettings(vaults=vaults))
    first = many(count)
    known = assign_roles(first, chosen, {})
    later = assign_roles([*many(more, start=1000), *first], chosen, known)
    assert {name: later[name] for name in known} == known
    for rows, base in ((known, {}), (later, known)):
        fresh = Counter(role for name, role in rows.items() if name not in base)
        total = sum(fresh.values())
        for role, share in {
            "train": 0.5,
            "dev_a": 0.13,
            "dev_b": 0.13,
            "vault_1": 0.18 / vaults,
            "audit": 0.06,
        }.items():
            # Carried from stratum to stratum, so a role is off by what one greedy step leaves, not by one per stratum.
            assert abs(fresh[role] - share * total) <= 3


def test_every_label_has_its_shares_and_many_rare_labels_add_up():
    rows = many(600)
    roles = assign_roles(rows, Settings(), {})
    by_label = Counter((row.answer, roles[row.id]) for row in rows)
    for label in LABELS[:3]:
        assert by_label[label, "train"] == pytest.approx(100, abs=4)
        assert by_label[label, "dev_a"] == pytest.approx(26, abs=4)
    rare = [example(f"q{n} x{n} y{n} z{n}", f"label {n // 4}") for n in range(400)]
    roles = assign_roles(rare, Settings(), {})
    counts = Counter(roles.values())
    assert counts["vault_1"] + counts["vault_2"] == pytest.approx(72, abs=3)
    assert {row.answer for row in rare if roles[row.id] == "train"} == {f"label {n}" for n in range(100)}


def test_free_text_is_stratified_by_the_first_reported_column():
    chosen = Settings(task=TaskSettings(kind="text"), data=DataSettings(slices=("channel",)))
    rows = [example(f"q{n} x{n} y{n}", f"a{n}", channel="web" if n % 4 else "post") for n in range(400)]
    roles = assign_roles(rows, chosen, {})
    assert Counter(roles[row.id] for row in rows if row.slices["channel"] == "post")["train"] == pytest.approx(
        50, abs=3
    )


def test_another_seed_gives_other_roles():
    rows = many(100)
    assert assign_roles(rows, Settings(seed=1), {}) != assign_roles(rows, Settings(seed=2), {})


@pytest.mark.parametrize("role", ["train", "dev_a", "dev_b", "vault_1", "audit"])
def test_a_new_row_follows_its_near_duplicate_and_its_group(role):
    old = example("could you please put a stop on my bank account today", group="g")
    twin = example("could you please put a stop on my bank account today please", "appeal")
    friend = example("something else entirely", group="g")
    roles = assign_roles([twin, friend, old, *many(50)], Settings(), {old.id: role})
    assert roles[twin.id] == roles[friend.id] == role


def test_new_rows_share_the_vaults_that_are_open():
    first = many(300)
    known = assign_roles(first, Settings(), {})
    fresh = many(300, start=1000)
    later = assign_roles([*first, *fresh], Settings(), known, open_vaults=["vault_2", "vault_3"])
    counts = Counter(later[row.id] for row in fresh)
    assert counts["vault_1"] == 0
    assert counts["vault_2"] == pytest.approx(27, abs=2)
    assert counts["vault_3"] == pytest.approx(27, abs=2)


def test_a_near_duplicate_of_a_closed_vault_goes_aside_so_that_the_vault_stays_the_same():
    old = example("could you please put a stop on my bank account today")
    twin = example("could you please put a stop on my bank account today please")
    roles = assign_roles([old, twin, *many(50)], Settings(), {old.id: "vault_1"}, open_vaults=["vault_2"])
    assert roles[old.id] == "vault_1"
    assert roles[twin.id] == ASIDE


def test_rows_with_one_id_share_a_role():
    rows = [example(f"q{n} x{n} y{n}", name=f"id{n % 30}") for n in range(90)]
    assert len(assign_roles(rows, Settings(), {})) == 30


def test_no_two_near_duplicates_are_apart_after_the_split():
    rows = [
        example(f"where is payment number {n % 40} of week {n % 7} please and thank you", LABELS[n % 3])
        for n in range(280)
    ]
    roles = assign_roles(rows, Settings(), {})
    ordered = sorted(rows, key=lambda row: (row.content_hash, row.id))
    near = near_duplicate_groups([prompt_text(row) for row in ordered], 0.8)
    for pair in near.pairs:
        assert roles[ordered[pair.first].id] == roles[ordered[pair.second].id]


@pytest.mark.parametrize(
    "sides", [("train", "dev_a"), ("train", "vault_1"), ("dev_b", "audit"), ("vault_1", "vault_2")]
)
def test_a_new_row_between_two_sides_goes_aside_so_that_neither_leaks(sides):  # D8
    words = [f"word{n}" for n in range(40)]
    first, bridge, second = (" ".join(words[start : start + 24]) for start in (0, 2, 4))
    assert similarity(first, bridge) >= 0.8 > 0.7 > similarity(first, second)
    old = [example(first), example(second)]
    known = dict(zip([row.id for row in old], sides, strict=True))
    roles = assign_roles([*old, example(bridge), *many(50)], Settings(), known)
    assert roles[example(bridge).id] == ASIDE
    assert [roles[row.id] for row in old] == list(sides)
    later = assign_roles([*old, example(bridge), example(first + " now")], Settings(), roles)
    assert later[example(first + " now").id] == ASIDE
