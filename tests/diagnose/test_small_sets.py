"""However small or odd the sets are, a diagnosis ends without a fault and claims nothing that it cannot."""

from itertools import product

import numpy as np
import pytest

from burnish.diagnose.diagnosis import diagnose
from burnish.diagnose.gold import check_gold, gold_queue
from burnish.records import Task
from tests.diagnose.rows import columns_at_random, evaluation, sentences, texts_of

TASK = Task(kind="label", labels=("a", "b", "c"))


@pytest.mark.parametrize(("n", "grouped"), list(product((0, 1, 2, 4, 9, 10, 11, 25, 45), (False, True))))
def test_a_set_of_any_size_is_diagnosed(n, grouped):
    for seed, values in product(range(3), ((0.0, 1.0), (0.0, 0.3, 0.5, 1.0))):
        random = np.random.default_rng(seed)
        sets = []
        for prefix in ("a", "b"):
            columns = columns_at_random(random, n, ("x", "y"), 2)
            groups = [f"{prefix}{at // 3}" for at in range(n)] if grouped else ()
            gold = [TASK.labels[value] for value in random.integers(3, size=n)]
            scores = random.choice(values, size=n)
            one = evaluation(scores, columns, prefix=prefix, groups=groups, metric="accuracy", expected=gold)
            sets.append((one, texts_of(one, sentences(random, n))))
        (a, a_texts), (b, b_texts) = sets
        declared = ("x",) if n else ()
        found = diagnose(a, b, a_texts, b_texts, task=TASK, train=(), declared=declared, seed=seed)
        for one in found.weaknesses:
            assert one.p_holm is None or (one.checked.n >= 5 and n - one.checked.n >= 5)
            assert one.confirmed == (one.p_holm is not None and one.p_holm <= 0.05)
        assert found.as_text()


@pytest.mark.parametrize("n", [0, 1, 3, 10, 30])
def test_gold_answers_of_a_set_of_any_size_are_judged_or_said_not_to_be(n):
    random = np.random.default_rng(n)
    ids = [f"r{at}" for at in range(n)]
    answers = [TASK.labels[value] for value in random.integers(3, size=n)]
    check = check_gold(ids, sentences(random, n), answers, ids)
    told = [*(suspect.example for suspect in check.suspects), *check.agreements, *check.not_judged]
    assert sorted(told) == sorted(ids)
    assert set(gold_queue(check)) <= set(ids)
    check_gold(ids, [""] * n, answers, ids)
