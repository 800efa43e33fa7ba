"""What a model says does not depend on its company, is the best there is, and parses."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.data.conversation import conversation
from burnish.errors import DataError
from burnish.fakes import FAMILIES, small_examples
from burnish.model.choose import MOST_NODES, MOST_ROWS, Search, choose
from burnish.model.fields import FieldsGrammar, FieldsWalk
from burnish.model.generate import (
    BATCH_ROWS,
    BATCH_TOKENS,
    batches,
    generate,
    generate_fields,
    loss_of,
    target_logprobs,
)
from burnish.model.lora import AdapterSpec, attach
from burnish.model.prefixes import common_beginnings
from burnish.model.rendered import Rendered
from burnish.model.trie import Trie
from burnish.records import Example, Message, Task

LABELS = ("payment", "pay", "appeal", "address", "other", "address other")


def prompts_of(base, count=9):
    return [base.chat.render_prompt(example.prompt) for example in small_examples(count)]


def joined(prompt, answer):
    return Rendered(tokens=(*prompt, *answer), learned=(False,) * len(prompt) + (True,) * len(answer), pieces=())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_is_the_same_alone_and_in_company(tiny, family):
    base = tiny(family)
    prompts = [*prompts_of(base), base.chat.render_prompt([Message(role="user", content="Please " * 12)])]
    for answer, prompt in zip(generate(base, prompts, max_new_tokens=10), prompts, strict=True):
        (alone,) = generate(base, [prompt], max_new_tokens=10)
        assert answer.tokens == alone.tokens
        assert answer.text == alone.text
        assert answer.stop_reason == alone.stop_reason
        assert answer.logprob == pytest.approx(alone.logprob, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_equal_those_of_transformers(tiny, family):
    base = tiny(family)
    for prompt, answer in zip(prompts := prompts_of(base, 3), generate(base, prompts, max_new_tokens=8), strict=True):
        reference = base.model.generate(
            torch.tensor([prompt]),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=list(base.chat.end_ids),
            pad_token_id=1,
        )[0, len(prompt) :].tolist()
        assert list(answer.tokens) == [token for token in reference if token not in base.chat.end_ids]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_choice_is_the_one_that_brute_force_finds(tiny, family):
    base = tiny(family)
    choices = [base.chat.answer_tokens(label) for label in LABELS]
    prompts = prompts_of(base)
    for prompt, chosen in zip(prompts, choose(base, prompts, choices), strict=True):
        sums = [float(row.sum()) for row in target_logprobs(base, [joined(prompt, choice) for choice in choices])]
        best, second = sorted(sums, reverse=True)[:2]
        assert chosen.index == sums.index(best)
        assert chosen.logprob == pytest.approx(best, abs=1e-3)
        assert chosen.margin is None or chosen.margin == pytest.approx(best - second, abs=2e-3)


def test_a_choice_is_the_same_alone_and_in_company_with_an_adapter(tiny):
    base = tiny("llama")
    bank = attach(base.model, [AdapterSpec(name="a", rank=4, alpha=8, seed=0)] * 2)
    bank.load(1, {name: torch.full_like(tensor, 0.1).cumsum(0) for name, tensor in bank.state(1).items()})
    choices, prompts = [base.chat.answer_tokens(label) for label in LABELS], prompts_of(base, 20)
    with bank.use(1):
        together = choose(base, prompts, choices)
        alone = [choose(base, [prompt], choices)[0] for prompt in prompts]
    plain = choose(base, prompts, choices)
    bank.detach()
    assert [row.index for row in together] == [row.index for row in alone]
    assert [row.logprob for row in together] == pytest.approx([row.logprob for row in alone], abs=1e-3)
    assert [row.logprob for row in together] != pytest.approx([row.logprob for row in plain], abs=1e-2)


def test_many_choices_in_many_batches_are_still_exact(tiny):
    base = tiny("qwen3")
    choices = [base.chat.answer_tokens(f"{a}_{b}") for a in ("pay", "claim", "x", "where") for b in "abcdefgh"]
    prompts = prompts_of(base, MOST_ROWS + 12)
    chosen = choose(base, prompts, choices)
    for row in range(0, len(prompts), 15):
        rows = [joined(prompts[row], choice) for choice in choices]
        sums = [float(logprobs.sum()) for logprobs in target_logprobs(base, rows)]
        assert chosen[row].index == sums.index(max(sums))


def test_batches_hold_every_prompt_once_and_stay_small():
    lengths = [(7 * place) % 900 + 1 for place in range(300)]
    found = list(batches([[0] * length for length in lengths]))
    assert sorted(index for batch in found for index in batch) == list(range(300))
    assert all(len(batch) <= BATCH_ROWS for batch in found)
    assert all(len(batch) * max(lengths[index] for index in batch) <= BATCH_TOKENS for batch in found)


def test_a_shared_beginning_changes_no_choice(tiny):
    base = tiny("mistral")
    shots = [Message(role="user", content="When is it paid?"), Message(role="assistant", content="payment")] * 3
    prompts = [base.chat.render_prompt([*shots, *example.prompt]) for example in small_examples(6)]
    assert common_beginnings(sorted(map(tuple, prompts)))
    choices = [base.chat.answer_tokens(label) for label in LABELS]
    together = choose(base, prompts, choices)
    for row, prompt in zip(together, prompts, strict=True):
        (alone,) = choose(base, [prompt], choices)
        assert row.index == alone.index
        assert row.logprob == pytest.approx(alone.logprob, abs=1e-3)


def test_of_equal_choices_the_first_wins_and_a_missing_end_is_added(tiny):
    base = tiny("llama")
    with_end = base.chat.answer_tokens("payment")
    (chosen,) = choose(base, prompts_of(base, 1), [with_end[:-1], with_end])
    assert chosen.index == 0
    assert chosen.margin is None


def test_choosing_from_nothing_is_refused(tiny):
    with pytest.raises(DataError):
        choose(tiny("llama"), [[5, 6]], [])


def test_a_prompt_that_leaves_no_room_is_refused(tiny):
    base = tiny("llama")
    with pytest.raises(DataError, match="512"):
        generate(base, [[20] * 512], max_new_tokens=4)


def test_generation_stops_where_the_positions_end(tiny):
    base = tiny("llama")
    (answer,) = generate(base, [[20] * 505], max_new_tokens=64)
    assert len(answer.tokens) <= 7
    assert answer.stop_reason == "length" or len(answer.tokens) < 7


def test_losses_are_those_of_transformers(tiny):
    base = tiny("gemma2")
    rows = [base.chat.render(example.messages) for example in small_examples(5)]
    for row, loss in zip(rows, loss_of(base, rows), strict=True):
        labels = torch.tensor([[t if learned else -100 for t, learned in zip(row.tokens, row.learned, strict=True)]])
        reference = base.model(torch.tensor([row.tokens]), labels=labels).loss
        assert loss == pytest.approx(float(reference), abs=1e-4)
    assert 0 < loss_of(base, rows)[0] < 10 * math.log(base.vocab_size)


@settings(max_examples=15, deadline=None)
@given(
    keys=st.lists(
        st.text(min_size=1, max_size=8).filter(lambda k: k.isprintable()), min_size=1, max_size=3, unique=True
    ),
    seed=st.integers(0, 3),
    budget=st.integers(1, 12),
    text=st.text(max_size=10),
)
def test_fields_always_parse_whatever_the_model(tiny, keys, seed, budget, text):
    base = tiny("llama", seed)
    prompt = base.chat.render_prompt([Message(role="user", content=text)])
    (answer,) = generate_fields(base, [prompt], keys, max_new_tokens=budget)
    parsed = json.loads(answer.text)
    assert list(parsed) == keys
    assert all(isinstance(value, str) for value in parsed.values())
    assert answer.text == base.chat.answer_text(answer.tokens)
    answer.text.encode()


@pytest.mark.parametrize("template", ["mistral", "thinking"])
def test_fields_parse_under_templates_that_write_before_the_answer(tiny, template):
    base = tiny("llama", template=template)
    for answer in generate_fields(base, prompts_of(base, 3), ["amount", "date"], max_new_tokens=12):
        assert list(json.loads(answer.text)) == ["amount", "date"]


def test_a_row_that_is_nearly_alone_looks_further_ahead():
    choices = [[2 + number, 40, 1] for number in range(20)]
    searches = [Search(Trie(choices, (1,), "cpu"), 0) for _ in range(2)]
    for search in searches:
        search.reach(0, 0.0, [-0.2 * number for number in range(20)])
    crowded, alone = searches[0].next_nodes(), searches[1].next_nodes(1)
    assert len(crowded) == MOST_NODES
    assert len(alone) > len(crowded)
    assert alone[: len(crowded)] == crowded


@pytest.mark.parametrize(
    "answer",
    [
        '{"amount":12,"paid":true,"date":null,"note":"a \\"quote\\" and ü"}',
        '{"note":"one value may be much longer than an equal share of the tokens is","amount":"1"}',
    ],
)
def test_what_a_fields_task_learns_can_be_written_by_decoding(tiny, answer):
    base, names = tiny("llama"), ["amount", "paid", "date", "note"]
    asked, said = Message(role="user", content="hello"), Message(role="assistant", content=answer)
    learned = conversation(
        Task(kind="fields", fields=dict.fromkeys(names, "exact")), Example(id="1", messages=(asked, said), group="1")
    )
    tokens = base.chat.answer_tokens(learned[-1].content)
    walk = FieldsWalk(FieldsGrammar(base, names, before="", max_new_tokens=64))
    for token in tokens[: tokens.index(base.chat.end_ids[0])]:
        allowed = walk.allowed()
        assert allowed is not None
        assert allowed[token]
        walk.push(token)
    assert walk.stop == "end"
