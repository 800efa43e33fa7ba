"""Which example may be used for what: roles by group, never by row, the same whatever order the rows came in.

A group is what shares a group key or nearly the same prompt, transitively. Within a stratum (the answer of a label
task, else the first reported column) groups go, in an order that only seed and content decide, to the role that is
furthest below its share; what a stratum leaves over is carried to the next one, so that many small strata add up.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from burnish.config import RoleSettings, Settings
from burnish.data.dedup import near_duplicate_groups, prompt_text
from burnish.data.slices import slice_columns
from burnish.fingerprint import fingerprint
from burnish.records import Example, Role

ASIDE = "aside"
"""Left out of everything: nearly the same as rows of different roles, or as one of a vault that no row may join."""

MARGIN = 0.1
"""Roles are kept apart from this much below the threshold at which the checker calls two prompts a leak: similarity
shifts a little when rows are added, because runs that most rows share do not count."""

LARGE_SHARE = 0.05
"""Groups with a larger share of the rows are placed first, largest first: later they would fit nowhere."""


class Block(NamedTuple):
    """Examples that must share a role, and where they stand in the order of their stratum."""

    order: str
    """A hash of seed and contents."""
    stratum: str
    ids: tuple[str, ...]


def assign_roles(
    examples: Sequence[Example],
    settings: Settings,
    known: Mapping[str, Role],
    *,
    open_vaults: Sequence[str] | None = None,
) -> dict[str, Role]:
    """The role of every example by id: train, dev_a, dev_b, a vault, audit, or aside.

    Known roles are kept. A new example that belongs to a group with a role follows it, unless that is a vault outside
    `open_vaults`, whose rows must not change, or the group has several roles: then it is put aside. All other groups
    are split by `settings.roles`, the vaults' share evenly over `open_vaults` (default: vault_1 ... vault_K). Where all
    roles are known, nothing is compared.
    """
    if all(example.id in known for example in examples):
        return {example.id: known[example.id] for example in examples}
    vaults = tuple(open_vaults or (f"vault_{number + 1}" for number in range(settings.roles.vaults)))
    in_use = {role for role in known.values() if role.startswith("vault_")}
    closed = set() if open_vaults is None else in_use - set(open_vaults)
    roles: dict[str, Role] = {}
    fresh: list[Block] = []
    for block in blocks_of(examples, settings):
        follows = _followed({known[name] for name in block.ids if name in known})
        for name in block.ids:
            if name in known:
                roles[name] = known[name]
            elif follows:
                roles[name] = ASIDE if follows in closed else follows
        if not follows:
            fresh.append(block)
    for block, role in _spread(fresh, _shares(settings.roles, vaults)):
        roles |= dict.fromkeys(block.ids, role)
    return {example.id: roles[example.id] for example in examples}


def blocks_of(examples: Sequence[Example], settings: Settings) -> list[Block]:
    """The examples in blocks that must not be split, in an order that does not depend on theirs."""
    ordered = sorted(examples, key=lambda example: (example.content_hash, example.id))
    threshold = max(0.0, settings.data.near_duplicate - MARGIN)
    near = near_duplicate_groups([prompt_text(example) for example in ordered], threshold).group_of
    joined = _joined([(f"n{near[row]}", f"g{example.group}", f"i{example.id}") for row, example in enumerate(ordered)])
    members: dict[int, list[Example]] = defaultdict(list)
    for place, example in zip(joined, ordered, strict=True):
        members[place].append(example)
    stratum_of = _strata(ordered, settings)
    return [
        Block(
            order=fingerprint([settings.seed, *(example.content_hash for example in block)]),
            stratum=min(_most_common(stratum_of[example.id] for example in block)),
            ids=tuple(example.id for example in block),
        )
        for block in members.values()
    ]


def _joined(keys: Sequence[tuple[str, ...]]) -> list[int]:
    """For each row the earliest row that it is tied to, by any of its keys, over any number of steps."""
    parent = list(range(len(keys)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[str, int] = {}
    for row, pair in enumerate(keys):
        for key in pair:
            low, high = sorted((root(first.setdefault(key, row)), root(row)))
            parent[high] = low
    return [root(row) for row in range(len(keys))]


def _strata(examples: Sequence[Example], settings: Settings) -> dict[str, str]:
    """Stratum by id. Only what every order of the rows agrees on decides."""
    if settings.task.kind == "label":
        return {example.id: example.answer for example in examples}
    named = settings.data.slices or slice_columns(examples, settings)
    return {example.id: example.slices.get(named[0], "") if named else "" for example in examples}


def _most_common(values: Iterable[str]) -> list[str]:
    counts = Counter(values)
    most = max(counts.values())
    return [value for value, count in counts.items() if count == most]


def _followed(roles: set[Role]) -> Role:
    """The role that new members of a group take, "" when it has none yet; on either of two sides they would leak."""
    sides = roles - {ASIDE}
    return ASIDE if len(sides) > 1 else min(sides or roles, default="")


def _shares(roles: RoleSettings, vaults: Sequence[str]) -> dict[Role, float]:
    shares: dict[Role, float] = {"train": roles.train, "dev_a": roles.dev_a, "dev_b": roles.dev_b}
    shares |= dict.fromkeys(vaults, roles.vault / len(vaults))
    return {role: share for role, share in {**shares, "audit": roles.audit}.items() if share > 0}


def _spread(blocks: Sequence[Block], shares: Mapping[Role, float]) -> list[tuple[Block, Role]]:
    """A role for every block, each role as near to its share as whole blocks allow, over all and within strata."""
    num_rows = sum(len(block.ids) for block in blocks)
    strata: dict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        strata[block.stratum].append(block)
    can_all_be_learned = "train" in shares and 4 * len(strata) <= num_rows
    owed = dict.fromkeys(shares, 0.0)
    placed: list[tuple[Block, Role]] = []
    for name in sorted(strata, key=lambda name: min(block.order for block in strata[name])):
        owned = sum(len(block.ids) for block in strata[name])
        owed = {role: owed[role] + share * owned for role, share in shares.items()}
        for number, block in enumerate(sorted(strata[name], key=lambda block: _place(block, num_rows))):
            first_for_train = number == 0 and can_all_be_learned
            role = "train" if first_for_train else max(owed, key=lambda role: owed[role])
            owed[role] -= len(block.ids)
            placed.append((block, role))
    return placed


def _place(block: Block, num_rows: int) -> tuple[int, str]:
    size = len(block.ids)
    return (-size if size > LARGE_SHARE * num_rows else 0, block.order)
