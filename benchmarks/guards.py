"""Filters, decontamination and coverage of many rows: seconds and memory; and how often the collapse alarms are false.

python -m benchmarks.guards [--rows N] [--json]     100,000 rows by default; results are in guards.md
python -m benchmarks.guards --alarms [SEEDS]        five rounds with and without fresh rows, over seeds
"""

import argparse
import math
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from benchmarks.line import Timed, line, tell
from benchmarks.machine import peak_mb, progress
from burnish.records import Example, Message, Task
from burnish.synthesize.collapse import RoundHealth, collapse_alarms
from burnish.synthesize.coverage import measure_coverage
from burnish.synthesize.decontaminate import Decontaminator
from burnish.synthesize.guards import guard

NUM_LABELS = 40
NUM_SEEDS, NUM_PROTECTED, NUM_REAL = 1000, 2000, 500
ROUNDS, PER_ROUND = 5, 200
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeiou"]


class Source:
    """A made-up language of messages: common words, words by label and a long tail, all with Zipf's frequencies."""

    def __init__(self, seed: int = 0) -> None:
        words = random.Random(seed)
        fresh = list(dict.fromkeys("".join(words.choices(SYLLABLES, k=words.randint(1, 4))) for _ in range(20_000)))
        self.common, self.tail = fresh[:80], fresh[2000:8000]
        self.own = [fresh[100 + 40 * at : 140 + 40 * at] for at in range(NUM_LABELS)]

    def text(self, draw: random.Random, label: int) -> str:
        """A message of 8 to 24 words."""
        lists = draw.choices((self.common, self.own[label], self.tail), (0.5, 0.35, 0.15), k=draw.randint(8, 24))
        return " ".join(_zipf(draw, words) for words in lists)

    def examples(self, count: int, seed: int, name: str) -> list[Example]:
        """So many rows, labels in turn."""
        draw = random.Random(seed)
        return [_example(f"{name}{at}", self.text(draw, at % NUM_LABELS), at % NUM_LABELS) for at in range(count)]


def _zipf(draw: random.Random, words: Sequence[str]) -> str:
    return words[int(math.exp(draw.random() * math.log(len(words) + 1))) - 1]


def _example(name: str, text: str, label: int) -> Example:
    turns = (Message(role="user", content=text), Message(role="assistant", content=f"label{label}"))
    return Example(id=name, messages=turns, group=name)


# Speed ----------------------------------------------------------------------------------------------------------------


def synthetic_rows(source: Source, seeds: Sequence[Example], protected: Sequence[Example], count: int) -> list[Example]:
    """Fresh rows; every tenth is an earlier one, a seed or a protected one, with one word changed."""
    draw = random.Random(1)
    rows = source.examples(count, 2, "row")
    for at in range(10, count, 10):
        model = draw.choice((rows[draw.randrange(at)], draw.choice(seeds), draw.choice(protected)))
        words = model.messages[0].content.split()
        words[draw.randrange(len(words))] = draw.choice(source.common)
        rows[at] = _example(f"row{at}", " ".join(words), int(model.answer.removeprefix("label")))
    return rows


def measure(num_rows: int) -> dict:
    """One pass over so many rows, as a line of findings."""
    source = Source()
    seeds, protected = source.examples(NUM_SEEDS, 3, "seed"), source.examples(NUM_PROTECTED, 4, "protected")
    real = [row.messages[0].content for row in source.examples(NUM_REAL, 5, "real")]
    rows = synthetic_rows(source, seeds, protected, num_rows)
    start_mb = peak_mb()
    task = Task(kind="label", labels=tuple(f"label{at}" for at in range(NUM_LABELS)))
    seconds: dict[str, float] = {}

    def timed(part: str, work: Callable[[], object]) -> object:
        progress(part)
        begin = time.perf_counter()
        found = work()
        seconds[part] = time.perf_counter() - begin
        return found

    wall, cpu = time.perf_counter(), time.process_time()
    kept = timed("filters and duplicates", lambda: guard(rows, seeds, task))
    texts = [row.messages[0].content for row in kept.kept]
    service = Decontaminator([row.messages[0].content for row in protected], key=b"benchmark", most_rows=num_rows)
    keep = timed("decontamination", lambda: service.keep(texts))
    texts = [text for text, one in zip(texts, keep, strict=True) if one]
    covered = timed("coverage", lambda: measure_coverage(real, texts))
    ours = Timed(
        seconds=[time.perf_counter() - wall],
        work=num_rows,
        peak_mb=peak_mb(),
        cpu_seconds=[time.process_time() - cpu],
    )
    checks = [
        f"{kept.as_text()}",
        f"{len(keep) - sum(keep):,} dropped by decontamination",
        f"recall {covered.recall.value:.2f}, at equal n {covered.recall_equal.value:.2f}, Vendi ratio "
        f"{covered.vendi_ratio:.2f}, AUC {covered.auc.value:.2f}",
        *(f"{part}: {one:.1f} s" for part, one in seconds.items()),
        f"memory before the first part: {start_mb:,.0f} MB",
    ]
    return line("guards", {"burnish": ours}, unit="rows", checks=checks, parts_s=seconds, start_mb=start_mb)


# Alarms ---------------------------------------------------------------------------------------------------------------


class Bigrams:
    """A model of texts: each word by the one before it, as often as it was seen. The smallest generator there is."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.after: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            words = ["", *text.split(), ""]
            for before, word in pairwise(words):
                self.after[before][word] += 1
        self.single = Counter(word for counts in self.after.values() for word in counts.elements())

    def text(self, draw: random.Random) -> str:
        """A text of at most 40 words."""
        words: list[str] = []
        while len(words) < 40:
            counts = self.after[words[-1] if words else ""]
            word = draw.choices(list(counts), list(counts.values()))[0]
            if not word and words:
                break
            words += [word] if word else []
        return " ".join(words)

    def loss(self, texts: Sequence[str]) -> float:
        """Nats per word of the model without context, a word that was never seen counting a hundredth."""
        words = [word for text in texts for word in text.split()]
        return -sum(math.log((self.single[word] + 0.01) / self.single.total()) for word in words) / len(words)


def five_rounds(seed: int, *, verified: bool) -> list[RoundHealth]:
    """Five rounds: fresh rows of the real source in each, or rows of a model of the previous round's own output."""
    source, draw = Source(), random.Random(f"{seed} {verified}")
    real = [source.text(draw, at % NUM_LABELS) for at in range(PER_ROUND)]
    rows = [source.text(draw, at % NUM_LABELS) for at in range(PER_ROUND)]
    history = []
    for number in range(1, ROUNDS + 1):
        model = Bigrams(rows)
        if verified:
            rows = [source.text(draw, at % NUM_LABELS) for at in range(PER_ROUND)]
        else:
            rows = [model.text(draw) for _ in range(PER_ROUND)]
        found = measure_coverage(real, rows, seed=seed, classify=False)
        history.append(
            RoundHealth(
                round=number,
                vendi_ratio=found.vendi_ratio,
                vendi_rare_ratio=found.vendi_rare_ratio,
                recall=found.recall_equal,
                dev_nll=Bigrams(rows).loss(real),
            )
        )
    return history


def alarms_of(history: Sequence[RoundHealth]) -> set[str]:
    """The kinds of alarm that any of the rounds raised."""
    return {alarm.kind for upto in range(2, len(history) + 1) for alarm in collapse_alarms(history[:upto])}


def count_alarms(num_seeds: int) -> dict:
    """In how many of so many runs of five rounds any alarm fired, and which, with and without fresh rows."""
    told: dict[str, dict] = {}
    for verified in (True, False):
        runs = [alarms_of(five_rounds(seed, verified=verified)) for seed in range(num_seeds)]
        kinds = Counter(kind for run in runs for kind in run)
        told["fresh rows" if verified else "own output"] = {"any": sum(map(bool, runs)), **dict(sorted(kinds.items()))}
    return {"name": "collapse alarms", "runs": num_seeds, "rounds": ROUNDS, "rows": PER_ROUND, **told}


def main() -> None:
    """Speed by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--alarms", type=int, nargs="?", const=100, metavar="SEEDS")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(sys.argv[1:])
    if asked.alarms:
        found = count_alarms(asked.alarms)
        tell(found, as_json=asked.json, text="\n".join(f"{name}: {value}" for name, value in found.items()))
    else:
        tell(measure(asked.rows), as_json=asked.json)


if __name__ == "__main__":
    main()
