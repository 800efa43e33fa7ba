"""The whole wheel in one sitting: from labelled messages to a promoted adapter, twice. No network, about a minute.

`burnish round` does the same with every stage sealed, resumable, paid for and reported; the parts are the same ones.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from burnish.config import Settings
from burnish.data.ingest import read_rows
from burnish.data.split import assign_roles
from burnish.data.task import task_of
from burnish.evaluate.compare import compare
from burnish.evaluate.prompt import pick_shots
from burnish.evaluate.run import evaluate
from burnish.gate.decide import decide, precheck, public_view
from burnish.model.adapter import load_adapter
from burnish.model.base import Base, load_base
from burnish.model.lora import attach
from burnish.records import Evaluation, Example, Interval, Task
from burnish.talk import Silence
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.search import candidates

MESSAGES = Path(__file__).parent / "claims" / "claims.jsonl"
INTENTS = ("weekly_certification", "login_help", "overpayment")
MAX_LETTERS = 160
"""Few intents and short messages keep this under a minute on two cores."""

SETTINGS = Settings.model_validate(
    {
        "roles": {"train": 0.42, "dev_a": 0.13, "dev_b": 0.13, "vault": 0.32, "audit": 0.0},
        "train": {"epochs": 5, "batch_size": 8, "search": [1.0, 2.0]},
    }
)


class Model(NamedTuple):
    """A name, and the adapter that makes the base into this model; none for the untuned base."""

    name: str
    adapter: Path | None = None
    shots: Sequence[Example] = ()
    """Solved examples that the untuned base is shown, so that it is no straw man."""


class Bench(NamedTuple):
    """What every step of a round works with."""

    base: Base
    task: Task
    rows: dict[str, list[Example]]
    """Examples by role."""
    folder: Path

    def score(self, model: Model, role: str) -> Evaluation:
        """The one way in which anything is measured here."""
        with wearing(self.base, model.adapter):
            return evaluate(
                self.base,
                self.task,
                self.rows[role],
                model_name=model.name,
                model_hash=model.name,
                shots=model.shots,
                slice_columns=("channel",),
                talk=Silence(),
            )


@contextmanager
def wearing(base: Base, adapter: Path | None) -> Iterator[None]:
    """The base answers with this adapter inside the block, and as itself again after it."""
    if adapter is None:
        yield
        return
    spec, state = load_adapter(adapter, base)
    bank = attach(base.model, [spec])
    try:
        bank.load(0, state)
        with bank.use(0):
            yield
    finally:
        bank.detach()


def read_seeds() -> list[Example]:
    """Short messages of three intents; each is a question whose answer is the name of its intent."""
    rows = [row for row in read_rows(MESSAGES, SETTINGS) if isinstance(row, Example)]
    return [row for row in rows if row.answer in INTENTS and len(row.prompt[-1].content) <= MAX_LETTERS]


def by_role(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """To learn from, to look at, to choose by, and two vaults that only the gate opens; split by group."""
    roles = assign_roles(examples, SETTINGS, {})
    found: dict[str, list[Example]] = {role: [] for role in sorted(set(roles.values()))}
    for example in examples:
        found[roles[example.id]].append(example)
    return found


def learn(bench: Bench, number: int) -> Model:
    """Trains two adapters as one bank, and takes the one with the better score on the rows to choose by."""
    job = TrainJob(
        base=bench.base,
        rows=rows_of(bench.base, bench.task, bench.rows["train"]),
        dev=rows_of(bench.base, bench.task, bench.rows["dev_b"]),
        candidates=candidates(SETTINGS, bench.base),
        train=SETTINGS.train,
        lora=SETTINGS.lora,
        seed=SETTINGS.seed,
        folder=bench.folder / f"round-{number}",
    )
    tried = [Model(f"r{number}-{trial.candidate.name}", job.folder / trial.folder) for trial in train(job)]
    return max(tried, key=lambda model: bench.score(model, "dev_b").overall.value or 0.0)


def ask_gate(bench: Bench, champion: Model, challenger: Model, vault: str) -> str:
    """PROMOTE, HOLD or INCONCLUSIVE; the vault is opened only for a challenger that has a fair chance."""
    chance = precheck(compare(bench.score(champion, "dev_b"), bench.score(challenger, "dev_b")), SETTINGS.gate)
    if not chance.go:
        print(f"  gate      {chance.decision}: {chance.reason}")
        return chance.decision
    seen = compare(bench.score(champion, vault), bench.score(challenger, vault))
    verdict = public_view(decide(seen, SETTINGS.gate, attempt=1, vault=vault, vault_hash=vault), retired=False)
    print(f"  gate      {verdict.decision}: {verdict.reason}")
    return verdict.decision


def turn_the_wheel(bench: Bench, champion: Model, number: int, vault: str) -> Model:
    """One round: measure, learn, measure again on the same rows, let the gate decide. Returns the champion after it."""
    print(f"round {number}: {len(bench.rows['train'])} messages to learn from")
    challenger = learn(bench, number)
    before, after = bench.score(champion, "dev_a"), bench.score(challenger, "dev_a")
    seen = compare(before, after)
    print(f"  champion  {champion.name:<6} {percent(before.overall)}")
    print(f"  challenger {challenger.name:<5} {percent(after.overall)}")
    pairs = seen.overall
    print(f"  paired    {pairs.wins} won, {pairs.losses} lost, {pairs.ties} same: {pairs.verdict}")
    if ask_gate(bench, champion, challenger, vault) != "PROMOTE":
        return champion
    bench.rows["train"] += bench.rows.pop(vault)  # an opened vault proves nothing any more, but it can teach
    return challenger


def percent(score: Interval) -> str:
    """ "61.2% [54.0, 68.0] of 180"."""
    assert score.value is not None, score
    spread = (
        f" [{100 * score.low:.1f}, {100 * score.high:.1f}]" if score.low is not None and score.high is not None else ""
    )
    return f"{100 * score.value:.1f}%{spread} of {score.n}"


def main() -> None:
    """Two rounds: the second has more to learn from, and a champion to beat."""
    seeds = read_seeds()
    rows = by_role(seeds)
    print(f"seeds: {len(seeds)} messages, " + ", ".join(f"{len(held)} {role}" for role, held in rows.items()))
    later = rows["train"][len(rows["train"]) // 2 :]
    rows["train"] = rows["train"][: len(rows["train"]) // 2]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(load_base(SETTINGS.base), task_of(seeds, SETTINGS), rows, Path(folder))
        champion = Model("base", shots=pick_shots(rows["train"], 3, SETTINGS.seed))
        champion = turn_the_wheel(bench, champion, 1, "vault_1")
        bench.rows["train"] += later
        champion = turn_the_wheel(bench, champion, 2, "vault_2")
    print(f"champion: {champion.name}")


if __name__ == "__main__":
    main()
