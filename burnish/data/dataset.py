"""The examples of a project: batches that came in together, each a sealed artifact that is never changed."""

import json
from collections.abc import Iterable, Iterator

from burnish.data.batch_files import REJECTS, ROWS, example_of
from burnish.data.provenance import PROVENANCE_FILE
from burnish.fingerprint import fingerprint
from burnish.records import Example, Rejection, from_json
from burnish.store.barred import barred
from burnish.store.batches import Batch, batches
from burnish.store.manifest import verify
from burnish.store.store import Store


def load_examples(store: Store) -> Iterator[Example]:
    """Every example that came from outside and is not barred, in the order in which they came. Raises DamagedError."""
    return (example for _, example in _in_use(store, made=False))


def load_made(store: Store) -> Iterator[tuple[Batch, Example]]:
    """Every row that burnish made itself and that is not barred, with its batch. Raises DamagedError."""
    return _in_use(store, made=True)


def is_made(store: Store, batch: Batch) -> bool:
    """Whether burnish made a batch itself: then it says where each of its rows is from."""
    return (store.path_of(batch.artifact) / PROVENANCE_FILE).exists()


def _in_use(store: Store, *, made: bool) -> Iterator[tuple[Batch, Example]]:
    """Rows of the one kind of batch; files of the other are not read."""
    left_out = {one.example for one in barred(store)}
    wanted = (batch for batch in batches(store) if is_made(store, batch) == made)
    rows = (pair for batch in wanted for pair in _rows_of(store, batch))
    return ((batch, example) for batch, example in rows if example.id not in left_out)


def every_row(store: Store) -> Iterator[tuple[Batch, Example]]:
    """Every row that was ever added, barred ones too, each with its batch: for erasure and for finding twins."""
    return (pair for batch in batches(store) for pair in _rows_of(store, batch))


def _rows_of(store: Store, batch: Batch) -> Iterator[tuple[Batch, Example]]:
    folder = store.path_of(batch.artifact)
    verify(folder)
    with (folder / ROWS).open("rb") as file:
        for line in file:
            yield batch, example_of(line)


def rejects(store: Store) -> Iterator[Rejection]:
    """Every row that was not taken, with its reason; of batches that came from outside and had a new example."""
    for batch in (one for one in batches(store) if not is_made(store, one)):
        with (store.path_of(batch.artifact) / REJECTS).open("rb") as file:
            for line in file:
                yield from_json(Rejection, json.loads(line))


def set_hash(examples: Iterable[Example]) -> str:
    """Identity of a set of examples, whatever their order, names and files."""
    return fingerprint(sorted(example.content_hash for example in examples))
