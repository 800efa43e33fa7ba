"""Evaluation of a small real model: what it is shown, what is kept, and when no number is given."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from burnish.errors import EvaluationError
from burnish.evaluate.prompt import pick_shots
from burnish.evaluate.run import evaluate
from burnish.evaluate.suspicion import demand_measurement
from burnish.fakes import tiny_base
from burnish.model.base import Base
from burnish.model.generate import target_logprobs
from burnish.model.lora import AdapterSpec, attach
from burnish.records import Evaluation, Example, Message, Task
from burnish.talk import Silence
from burnish.train.job import rows_of

LABELS = ("card_lost", "pay_bill", "book_a_table", "weather")
TASK = Task(kind="label", labels=LABELS)
ASKED = {
    "card_lost": "I cannot find my card anywhere, can you block it?",
    "pay_bill": "Please pay the electricity bill from my account.",
    "book_a_table": "I would like a table for two at an Italian restaurant tonight.",
    "weather": "Will it rain in Boston tomorrow?",
}


def _example(at: int, ask: str, answer: str, **slices: str) -> Example:
    turns = (Message(role="user", content=ask), Message(role="assistant", content=answer))
    return Example(id=f"r{at}", messages=turns, group=f"g{at}", slices=slices)


EXAMPLES = [
    _example(at, f"{'Hello. ' * (at % 3)}{ASKED[label]}", label, channel="web" if at % 2 else "phone")
    for at, label in enumerate([*LABELS[:2] * 5, *LABELS[2:]])
]


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base()


def _evaluate(base: Base, task: Task = TASK, examples: list[Example] = EXAMPLES, **options: Any) -> Evaluation:
    return evaluate(base, task, examples, model_name="base", model_hash="h", talk=Silence(), **options)


@pytest.fixture(scope="module")
def plain(base: Base) -> Evaluation:
    return _evaluate(base, slice_columns=("channel",))


def test_the_likeliest_label_is_chosen_by_its_summed_log_probability(base: Base, plain: Evaluation) -> None:
    for example, row in zip(EXAMPLES, plain.rows, strict=True):
        tried = [_example(0, example.messages[0].content, label) for label in LABELS]
        rendered = [base.chat.render(one.messages) for one in tried]
        sums = [float(logprobs.sum()) for logprobs in target_logprobs(base, rendered)]
        assert row.output == LABELS[sums.index(max(sums))]
        assert row.logprob == pytest.approx(max(sums), abs=1e-3)  # float32 sums over other batch shapes
        assert row.score == float(row.output == example.answer)


def test_every_row_is_kept_and_the_numbers_follow_from_the_rows(base: Base, plain: Evaluation) -> None:
    scores = [row.score for row in plain.rows if row.score is not None]
    assert [row.example for row in plain.rows] == [example.id for example in EXAMPLES]
    assert plain.overall.value == pytest.approx(sum(scores) / 12)
    assert plain.overall.n == 12
    # The other two labels have one row each, too few for a slice of their own.
    assert list(plain.slices) == ["channel=phone", "channel=web", "answer=card_lost", "answer=pay_bill"]
    assert plain.slices["channel=web"].n == 6
    assert plain.template_hash == base.chat.template_hash
    assert all(row.stop_reason == "choice" and "<|im_start|>user" in row.prompt for row in plain.rows)


def test_what_a_model_is_asked_is_what_it_was_trained_on(base: Base) -> None:
    for task in (TASK, Task(kind="label", labels=LABELS, instruction="Name the intent.")):
        trained = rows_of(base, task, EXAMPLES[:1])[0]
        asked = base.tokenizer.decode(trained.tokens[: trained.learned.index(True)])
        (row,) = _evaluate(base, task, EXAMPLES[:1]).rows
        assert asked == row.prompt
        assert ("system" in row.prompt) == bool(task.instruction)


def test_shots_are_earlier_turns_of_the_same_conversation(base: Base) -> None:
    shots = pick_shots(EXAMPLES[4:], 2, seed=0)
    found = _evaluate(base, examples=EXAMPLES[:4], shots=shots)
    for row in found.rows:
        assert row.prompt.count("<|im_start|>user") == 3
        assert row.prompt.index(shots[0].answer) < row.prompt.index(shots[1].messages[0].content)
    assert found.shots == 2


def test_shots_show_the_frequent_answers_once_each_whatever_the_order() -> None:
    rows = [_example(at, f"ask {at}", label) for at, label in enumerate(["rare"] * 2 + ["often"] * 9 + ["mid"] * 5)]
    picked = pick_shots(rows, 4, seed=3)
    assert [shot.answer for shot in picked] == ["often", "mid", "rare", "often"]
    assert pick_shots(list(reversed(rows)), 4, seed=3) == picked
    assert len({shot.id for shot in picked}) == 4
    assert pick_shots(rows, 0, seed=3) == pick_shots([], 4, seed=3) == ()
    assert any(pick_shots(rows, 4, seed=seed) != picked for seed in range(5))


def test_a_prompt_without_room_is_not_scored_and_says_so(base: Base) -> None:
    long = _example(99, "word " * base.max_tokens, "weather")
    found = _evaluate(base, examples=[*EXAMPLES[:4], long])
    assert found.rows[-1].score is None
    assert found.rows[-1].why_missing.startswith("too-long: the prompt has")
    assert found.overall.n == 4
    assert any(warning.startswith("not-scored: 1 of 5 rows (r99:") for warning in found.warnings)


def test_the_adapter_in_use_answers_and_the_base_is_unchanged_after_it(base: Base, plain: Evaluation) -> None:
    bank = attach(base.model, [AdapterSpec(name="a", rank=4, alpha=8.0, seed=0)])
    try:
        torch.manual_seed(0)
        bank.load(0, {name: 0.1 * torch.randn_like(weight) for name, weight in bank.state(0).items()})
        with bank.use(0):
            adapted = _evaluate(base)
        assert [row.logprob for row in adapted.rows] != [row.logprob for row in plain.rows]
        assert _evaluate(base, slice_columns=("channel",)).rows == plain.rows
    finally:
        bank.detach()


@pytest.fixture
def leaking(base: Base) -> Iterator[Base]:
    """The base with a fault: in company, rows see the mean of all rows."""

    def leak(module: Any, inputs: Any, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + 3.0 * hidden.mean(dim=(0, 1), keepdim=True) if hidden.shape[0] > 1 else hidden

    handle = base.model.get_input_embeddings().register_forward_hook(leak)  # type: ignore[operator]
    yield base
    handle.remove()


def test_an_answer_that_depends_on_the_company_stops_the_evaluation(leaking: Base) -> None:
    with pytest.raises(EvaluationError, match=r"batching changed . of 8 rows"):
        _evaluate(leaking)


@pytest.fixture
def sees_padding() -> Iterator[Base]:
    """A base with the fault that scored 8 of 100 where 70 was right: what pads shorter rows is looked at.

    Of a family whose own forward pass runs: where ours does, there is no padding and nothing to look at.
    """
    base = tiny_base("gemma")

    def unmask(module: Any, inputs: Any, given: dict[str, Any]) -> Any:
        mask = given.get("attention_mask")
        one_new_token = mask is not None and mask.shape[-2] == 1
        return inputs, {**given, "attention_mask": torch.ones_like(mask)} if one_new_token else given

    handle = base.model.get_decoder().register_forward_pre_hook(unmask, with_kwargs=True)  # type: ignore[operator]
    yield base
    handle.remove()


def test_a_base_that_looks_at_padding_stops_the_evaluation(sees_padding: Base) -> None:
    """Alone a row has no padding and the fault is not seen; rows of different lengths in company show it."""
    task = Task(kind="text", metric="token_f1", max_new_tokens=12)
    rows = [_example(at, "Is it late? " * (1 + 3 * (at % 2)) + str(at), "it is so") for at in range(10)]
    with pytest.raises(EvaluationError, match="batching changed") as caught:
        _evaluate(sees_padding, task, rows)
    assert "other rows leak into a row" in caught.value.hint


@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_rows_of_different_lengths_pass_on_a_base_without_that_fault(family: str) -> None:
    base = tiny_base(family)
    task = Task(kind="text", metric="token_f1", max_new_tokens=12)
    rows = [_example(at, "Is it late? " * (1 + 3 * (at % 2)) + str(at), "it is so") for at in range(10)]
    assert _evaluate(base, task, rows).overall.n == 10


def test_a_zero_of_outputs_cut_at_the_limit_is_not_printed_as_a_score(base: Base) -> None:
    task = Task(kind="text", metric="token_f1", max_new_tokens=2)
    rows = [_example(at, f"Tell me about number {at}.", "zyzzyva quokka") for at in range(9)]
    found = _evaluate(base, task, rows)
    assert [warning.split(":")[0] for warning in found.warnings[:2]] == ["zero", "length"]
    with pytest.raises(EvaluationError, match="no measurement"):
        demand_measurement(found)


def test_free_text_is_decoded_and_scored_with_its_parts(base: Base) -> None:
    task = Task(kind="text", metric="token_f1", max_new_tokens=24)
    rows = [
        _example(at, f"What are the symptoms of {name}?", "the signs and symptoms of it")
        for at, name in enumerate(["flu", "gout"])
    ]
    found = _evaluate(base, task, rows)
    assert found.metric == "token_f1"
    assert all(row.output and row.stop_reason in ("end", "length") for row in found.rows)
    assert all("exact" in row.parts for row in found.rows)


def test_fields_come_back_as_an_object_and_each_is_scored(base: Base) -> None:
    task = Task(kind="fields", fields={"city": "exact", "party": "number"}, metric="field_accuracy", max_new_tokens=16)
    rows = [_example(at, f"A table for {at} in Boston.", f'{{"city":"Boston","party":"{at}"}}') for at in range(3)]
    found = _evaluate(base, task, rows)
    assert all(row.output.startswith('{"city":"') for row in found.rows)
    assert all(set(row.parts) == {"city", "party", "all_fields"} for row in found.rows)


def test_nothing_to_evaluate_on_is_refused(base: Base) -> None:
    with pytest.raises(EvaluationError, match="no examples"):
        _evaluate(base, examples=[])
