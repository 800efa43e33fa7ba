"""What can be wrong with a set of examples, found one kind at a time; `check` asks for all of them."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from burnish.data.answers import parse_fields
from burnish.data.ingest import encoding_hint
from burnish.data.problem import NUM_SAMPLES, CheckedRows, Problem
from burnish.data.quality import counted, inspect_text, snippet
from burnish.data.slices import slices_of
from burnish.grammar import agree
from burnish.records import Example, Rejection, Role

TINY_SLICE = 30
"""Rows outside train below which a slice's score says next to nothing: 27 of 30 is 74% to 97%."""
EMOJI_STYLES = "\ufe0e\ufe0f"
"""Characters that ask for a letter or a picture."""
COMMA = re.compile(r"\s*([,;/|])\s*")
JOINT = re.compile(r"(?<=\w)[\s_-]+(?=\w)|_")


def rejected_problems(rejected: Sequence[Rejection]) -> Iterable[Problem]:
    """Rows that could not be read."""
    if rejected:
        reasons = Counter(row.reason.split(":")[0] for row in rejected)
        todo = encoding_hint(rejected[0].source, rejected)
        samples = [f"{row.source}:{row.row}  {row.reason}  {row.snippet}" for row in rejected[:NUM_SAMPLES]]
        yield Problem(
            name="rejected",
            severity="error",
            count=len(rejected),
            message=f"{agree(len(rejected), 'row', 'rows')} cannot be read: {counted(dict(reasons.most_common()))}"
            + (f". {todo[0].upper()}{todo[1:]}" if todo else ""),
            samples=tuple(samples),
        )


def leak_problems(rows: CheckedRows) -> Iterable[Problem]:
    """Near duplicates and groups on both sides of a test; aside is on no side."""
    crossing: dict[bool, list[str]] = {True: [], False: []}
    for first, second, similarity in rows.near.pairs:
        pair = rows.examples[first], rows.examples[second]
        if _are_apart({rows.role(example) for example in pair}):
            crossing[similarity == 1.0].append(_pair_text(rows, *pair, similarity))
    for is_exact, found in crossing.items():
        if found:
            kind = "the same prompt" if is_exact else "nearly the same prompt"
            yield Problem(
                name="leak-exact" if is_exact else "leak-near",
                severity="error",
                count=len(found),
                message=f"{agree(len(found), 'pair of examples has', 'pairs of examples have')} {kind} and different "
                "roles: scores would flatter",
                samples=tuple(found[:NUM_SAMPLES]),
            )
    roles_of: dict[str, set[Role]] = defaultdict(set)
    for example in rows.examples:
        roles_of[example.group].add(rows.role(example))
    split = [group for group, roles in roles_of.items() if _are_apart(roles)]
    if split:
        yield Problem(
            name="leak-group",
            severity="error",
            count=len(split),
            message=f"{agree(len(split), 'group is', 'groups are')} split between roles",
            samples=tuple(snippet(group) for group in split[:NUM_SAMPLES]),
        )


def _are_apart(roles: set[Role]) -> bool:
    return len(roles - {"", "aside"}) > 1


def _pair_text(rows: CheckedRows, first: Example, second: Example, similarity: float) -> str:
    sides = [f"{rows.role(example)} {rows.place(example)}: {rows.text(example, 60)}" for example in (first, second)]
    return f"{similarity:.2f}  {'  ~  '.join(sides)}"


def answer_problems(rows: CheckedRows) -> Iterable[Problem]:
    """Labels and fields that do not fit the task, or cannot be learned."""
    if rows.task.kind == "label":
        yield from _label_problems(rows)
    if rows.task.kind == "fields":
        yield from _field_problems(rows)


def _label_problems(rows: CheckedRows) -> Iterable[Problem]:
    labels = Counter(example.answer for example in rows.examples)
    if len(labels) == 1:
        message = f"every example has the same answer, {snippet(next(iter(labels)), 40)!r}: there is nothing to learn"
        yield Problem(name="one-label", severity="error", count=len(rows.examples), message=message)
    unknown = [example for example in rows.examples if example.answer not in set(rows.task.labels)]
    if unknown:
        rest = "an answer that is none of the task's labels"
        yield rows.problem("unknown-label", "error", unknown, "example has", "examples have", rest)
    learned = {example.answer for example in rows.examples if rows.role(example) == "train"}
    unlearned = [label for label in labels if label not in learned]
    if rows.roles and unlearned:
        shown = ", ".join(repr(snippet(label, 40)) for label in sorted(unlearned)[:5])
        found = agree(len(unlearned), "label has", "labels have")
        message = f"{found} no example in train, so nothing can learn it: {shown}"
        yield Problem(name="label-not-in-train", severity="warning", count=len(unlearned), message=message)
    twins = defaultdict(set)
    for label in labels:
        twins[_bare(label)].add(label)
    alike = [sorted(found) for found in twins.values() if len(found) > 1]
    if alike:
        message = f"{agree(len(alike), 'label is', 'labels are')} written in more than one way: {_either(alike[0])}"
        yield Problem(name="label-spelling", severity="warning", count=len(alike), message=message)


def _bare(label: str) -> str:
    """A label without what a reader hardly sees: capitals, joints, spaces at commas, invisible characters."""
    letters = unicodedata.normalize("NFKC", label)
    seen = "".join(char for char in letters if unicodedata.category(char) != "Cf" and char not in EMOJI_STYLES)
    return COMMA.sub(r"\1 ", JOINT.sub(" ", seen.casefold())).strip()


def _either(labels: Sequence[str]) -> str:
    return " or ".join(repr(snippet(label, 40)) for label in labels)


def _field_problems(rows: CheckedRows) -> Iterable[Problem]:
    wanted = set(rows.task.fields)
    broken, odd = [], []
    for example in rows.examples:
        found = parse_fields(example.answer)
        if found is None:
            broken.append(example)
        elif set(found) != wanted:
            odd.append(example)
    if broken:
        yield rows.problem("broken-fields", "error", broken, "answer is", "answers are", "no flat JSON object")
    if odd:
        rest = f"not have exactly the fields {', '.join(sorted(wanted))[:200]}; a missing one is learned as empty"
        yield rows.problem("odd-fields", "warning", odd, "answer does", "answers do", rest)


def double_problems(rows: CheckedRows) -> Iterable[Problem]:
    """Duplicates, near duplicates, and those of them that are answered differently."""
    num_exact = len(rows.examples) - len({example.content_hash for example in rows.examples})
    if num_exact:
        message = f"{agree(num_exact, 'example is', 'examples are')} there twice, word for word"
        yield Problem(name="duplicate", severity="warning", count=num_exact, message=message)
    members: dict[int, list[Example]] = defaultdict(list)
    for group, example in zip(rows.near.group_of, rows.examples, strict=True):
        members[group].append(example)
    largest = max(members.values(), key=len)
    if len(largest) > max(10, len(rows.examples) // 4):
        message = f"{len(largest):,} examples ask nearly the same and therefore share one role"
        yield Problem(
            name="one-text", severity="warning", count=len(largest), message=message, samples=rows.samples(largest)
        )
    if rows.near.num_joined:
        asked = agree(rows.near.num_joined, "example asks", "examples ask")
        message = f"{asked} nearly the same as another one, whose role is shared"
        yield Problem(name="near-duplicate", severity="note", count=rows.near.num_joined, message=message)
    if rows.task.kind == "label":
        disputed = [group for group in members.values() if len({example.answer for example in group}) > 1]
        if disputed:
            told = agree(len(disputed), "prompt is", "prompts are")
            message = f"{told} answered differently in near duplicates: is one of them wrong?"
            samples = tuple(_dispute(rows, group) for group in disputed[:NUM_SAMPLES])
            yield Problem(name="conflict", severity="warning", count=len(disputed), message=message, samples=samples)


def _dispute(rows: CheckedRows, group: Sequence[Example]) -> str:
    first = group[0]
    other = next(example for example in group if example.answer != first.answer)
    if any(rows.role(example).startswith("vault") for example in group):
        return f"{rows.place(first)} and {rows.place(other)}  (sealed)"
    sides = [f"{rows.place(example)} {snippet(example.answer, 40)!r}" for example in (first, other)]
    return f"{' or '.join(sides)}: {rows.text(first, 80)}"


class TextCounts(NamedTuple):
    """Rows with secrets or personal data by kind, and rows with control tokens."""

    secrets: dict[str, int]
    control_tokens: int


def text_problems(rows: CheckedRows) -> tuple[TextCounts, list[Problem]]:
    """What stands in the texts that should not. Samples of secrets are not shown at all, only where they are."""
    secrets: Counter[str] = Counter()
    holders: dict[str, list[Example]] = defaultdict(list)
    for example in rows.examples:
        found = inspect_text("\n".join(turn.content for turn in example.messages))
        kinds = {*found.secrets, *found.personal}
        secrets.update(kinds)
        for name, is_found in (
            ("secret", bool(found.secrets)),
            ("personal", bool(found.personal)),
            ("control-token", found.control_tokens > 0),
            *((noise, True) for noise in found.noise),
        ):
            if is_found:
                holders[name].append(example)
    told = {
        "secret": "what looks like a password or a key: a model can learn it by heart",
        "personal": "what looks like personal data: a model can learn it by heart",
        "control-token": "control tokens of a chat format; they are read as plain text",
    }
    problems = []
    for name, found_in in holders.items():
        kinds_text = f" ({counted(dict(secrets.most_common()))})" if name in ("secret", "personal") else ""
        rest = f"{told.get(name, f'{name}: a sign of a broken text')}{kinds_text}"
        problems.append(rows.problem(name, "warning", found_in, "example holds", "examples hold", rest))
    return TextCounts(dict(sorted(secrets.items())), len(holders["control-token"])), problems


def small_slice_problems(rows: CheckedRows, columns: Sequence[str]) -> Iterable[Problem]:
    """Slices on which a score will say next to nothing."""
    held_out = [example for example in rows.examples if rows.role(example) not in ("train", "aside")]
    counts = Counter(name for example in held_out for name in slices_of(example, columns, rows.task))
    small = sorted((count, name) for name, count in counts.items() if count < TINY_SLICE)
    if small and rows.roles:
        shown = ", ".join(f"{snippet(name, 50)} {count}" for count, name in small[:5])
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        few = agree(len(small), "slice has", "slices have")
        message = f"{few} fewer than {TINY_SLICE} examples to test on: {shown}{more}"
        yield Problem(name="tiny-slice", severity="note", count=len(small), message=message)
