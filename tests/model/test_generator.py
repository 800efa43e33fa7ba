"""Texts generated side by side are those generated alone, whatever enters, leaves or shares their beginning."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from burnish.errors import DataError
from burnish.fakes import small_examples
from burnish.model.base import Base
from burnish.model.cache import bytes_per_token
from burnish.model.choose import choose, score
from burnish.model.fields import FieldsGrammar, FieldsWalk
from burnish.model.generate import generate, target_logprobs
from burnish.model.generator import Generated, Generator, Request
from burnish.model.json_grammar import JsonGrammar
from burnish.model.lora import AdapterSpec, LoraBank, attach
from burnish.model.sample import Sampling
from burnish.records import Message
from tests.model.test_generate import joined, prompts_of

Tiny = Callable[..., Base]
WILD = Sampling(temperature=1.3, top_p=0.95, min_p=0.001, seed=5)
LABELS = ("payment", "pay", "appeal", "address", "other", "address other")


def answers(base: Base, requests: Sequence[Request], bank: LoraBank | None = None, **limits: int) -> list[Generated]:
    found = {event.number: event.answer for event in Generator(base, bank, **limits).run(requests) if event.answer}
    return [found[number] for number in range(len(requests))]


def solo(base: Base, request: Request, bank: LoraBank | None = None) -> Generated:
    return answers(base, [request], bank)[0]


def requests_of(base: Base, count: int = 9, **wishes: object) -> list[Request]:
    requests = [Request(prompt=tuple(prompt), max_new_tokens=12) for prompt in prompts_of(base, count)]
    return [replace(request, **wishes) for request in requests]


def drawn_requests(base: Base) -> list[Request]:
    return [replace(request, sampling=replace(WILD, seed=at)) for at, request in enumerate(requests_of(base))]


def filled_bank(base: Base) -> LoraBank:
    specs = [AdapterSpec(name=name, rank=rank, alpha=8, seed=rank) for name, rank in (("a", 4), ("b", 2))]
    bank = attach(base.model, specs)
    generator = torch.Generator().manual_seed(0)
    for slot in range(2):
        state = bank.state(slot)
        bank.load(slot, {name: 0.3 * torch.randn(part.shape, generator=generator) for name, part in state.items()})
    return bank


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "mistral"])
@pytest.mark.parametrize("max_rows", [1, 2, 5, 9])
def test_a_drawn_text_is_the_same_in_any_company(tiny: Tiny, family: str, max_rows: int) -> None:
    base = tiny(family)
    requests = drawn_requests(base)
    alone = [solo(base, request).tokens for request in requests]
    assert [one.tokens for one in answers(base, requests, max_rows=max_rows)] == alone
    assert [one.tokens for one in reversed(answers(base, requests[::-1], max_rows=max_rows))] == alone


def test_seeds_and_greed_decide_and_nothing_else(tiny: Tiny) -> None:
    base = tiny("llama")
    request = requests_of(base, 1)[0]
    texts = [solo(base, replace(request, sampling=replace(WILD, seed=seed))).tokens for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]
    # so cold that only the likeliest token is left
    cold = solo(base, replace(request, sampling=Sampling(temperature=1e-4, seed=3)))
    assert cold == solo(base, request)
    assert [cold] == generate(base, [request.prompt], max_new_tokens=12)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_rows_of_several_adapters_and_the_plain_base_are_as_alone(tiny: Tiny, family: str) -> None:
    base = tiny(family, 1)
    bank = filled_bank(base)
    slots = [0, None, 1, 1, 0, None, 0, 1, None]
    requests = [replace(one, slot=slot) for one, slot in zip(drawn_requests(base), slots, strict=True)]
    together = answers(base, requests, bank, max_rows=4)
    alone = [solo(base, request, bank) for request in requests]
    with bank.use(1):
        in_use = solo(base, replace(requests[2], slot=None))
    bank.detach()
    plain = solo(base, replace(requests[1], slot=None))
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert in_use.tokens == alone[2].tokens
    assert plain.tokens == alone[1].tokens
    assert len({solo_text.tokens for solo_text in alone}) > 6


def test_the_next_that_waits_enters_when_a_row_is_done(tiny: Tiny) -> None:
    base = tiny("llama")
    generator = Generator(base, max_rows=2)
    lengths = [2, 5, 1, 4, 3]
    for length, request in zip(lengths, requests_of(base, 5, end_ids=()), strict=True):
        generator.submit(replace(request, max_new_tokens=length))
    steps = []
    while events := generator.step():
        steps.append({event.number for event in events})
        assert all((event.answer is None) or len(event.answer.tokens) == lengths[event.number] for event in events)
    assert steps == [{0, 1}, {0, 1}, {1, 2}, {1, 3}, {1, 3}, {3, 4}, {3, 4}, {4}]
    assert generator.num_active == generator.num_waiting == 0


def test_a_cancelled_request_leaves_at_once_and_moves_nobody_else(tiny: Tiny) -> None:
    base = tiny("llama")
    requests = [replace(request, end_ids=()) for request in drawn_requests(base)[:5]]
    generator = Generator(base, max_rows=3)
    numbers = [generator.submit(request) for request in requests]
    events = generator.step() + generator.step()
    generator.cancel(numbers[0])
    generator.cancel(numbers[3])  # still waiting
    generator.cancel(99)
    later = generator.step()
    assert {event.number for event in later} == {numbers[1], numbers[2], numbers[4]}
    while more := generator.step():
        later += more
    assert {event.number for event in later}.isdisjoint({numbers[0], numbers[3]})
    found = {event.number: event.answer for event in [*events, *later] if event.answer}
    assert {number: answer.tokens for number, answer in found.items()} == {
        number: solo(base, requests[number]).tokens for number in (1, 2, 4)
    }


@pytest.mark.parametrize("family", ["llama", "phi3"])
def test_a_prefix_that_differs_by_one_token_is_not_shared(tiny: Tiny, family: str) -> None:
    base = tiny(family)
    rules = [Message(role="system", content="The claim is paid on Monday. " * 4)]
    prompts = [tuple(base.chat.render_prompt([*rules, *example.prompt])) for example in small_examples(8)]
    odd = list(prompts[3])
    odd[12] = odd[11]
    prompts[3] = tuple(odd)
    requests = [Request(prompt=prompt, max_new_tokens=10, sampling=WILD) for prompt in prompts]
    together = answers(base, requests, max_rows=3)
    without = [
        next(event.answer for event in Generator(base, prefix_reuse=False).run([request]) if event.answer)
        for request in requests
    ]
    assert [one.tokens for one in together] == [one.tokens for one in without]
    assert [one.logprob for one in together] == pytest.approx([one.logprob for one in without], abs=1e-3)


def test_prompts_that_come_one_by_one_share_and_a_changed_adapter_is_forgotten(tiny: Tiny) -> None:
    base = tiny("llama", 2)
    bank = filled_bank(base)
    rules = [Message(role="system", content="The claim is paid on Monday. " * 4)]
    prompts = [tuple(base.chat.render_prompt([*rules, *example.prompt])) for example in small_examples(3)]
    requests = [Request(prompt=prompt, max_new_tokens=8, slot=0) for prompt in prompts]
    generator = Generator(base, bank)
    for request in requests:
        (answer,) = (event.answer for event in generator.run([request]) if event.answer)
        assert answer.tokens == solo(base, request, bank).tokens
    bank.load(0, {name: -part for name, part in bank.state(0).items()})
    generator.forget(0)
    (changed,) = (event.answer for event in generator.run(requests[:1]) if event.answer)
    fresh = solo(base, requests[0], bank)
    bank.detach()
    assert changed.tokens == fresh.tokens
    assert changed.logprob == pytest.approx(fresh.logprob, abs=1e-3)


def test_a_stop_text_ends_the_answer_and_is_cut_off(tiny: Tiny) -> None:
    base = tiny("llama")
    (request,) = requests_of(base, 1, end_ids=(), max_new_tokens=30)
    whole = solo(base, request)
    text = whole.text
    stop = text[8:11]
    found = solo(base, replace(request, stop=("not there", stop)))
    assert found.text == text[: text.index(stop)]
    assert found.stop_reason == "end"
    assert len(found.tokens) < len(whole.tokens)
    assert whole.stop_reason == "length"
    assert len(whole.tokens) == 30


def test_nothing_asked_is_nothing_answered(tiny: Tiny) -> None:
    base = tiny("llama")
    assert generate(base, [], max_new_tokens=3) == []
    assert choose(base, [], [[5]]) == []
    assert score(base, [], [[5]]) == []
    assert Generator(base).step() == []


@pytest.mark.parametrize("wish", [{"prompt": ()}, {"max_new_tokens": 0}, {"prompt": (20,) * 512}])
def test_a_request_that_cannot_be_served_is_refused(tiny: Tiny, wish: dict[str, object]) -> None:
    base = tiny("llama")
    with pytest.raises(DataError):
        Generator(base).submit(replace(requests_of(base, 1)[0], **wish))


def test_the_cache_bounds_how_many_rows_there_are(tiny: Tiny) -> None:
    base = tiny("llama")
    requests = requests_of(base, 6, end_ids=())
    longest = max(len(request.prompt) for request in requests) + 12
    generator = Generator(base, cache_bytes=2 * longest * bytes_per_token(base.model), prefix_reuse=False)
    for request in requests:
        generator.submit(request)
    most = 0
    while generator.step():
        most = max(most, generator.num_active)
    assert most == 2
    small = Generator(base, cache_bytes=1)
    assert len([event for event in small.run(requests[:2]) if event.answer]) == 2


def test_a_grammar_holds_for_its_request_only(tiny: Tiny) -> None:
    base = tiny("qwen2")
    fields = FieldsGrammar(base, ["name", "date"], before=base.chat.answer_opening[1], max_new_tokens=10)
    labels = JsonGrammar(base).start({"enum": LABELS})
    free, forked, object_ = drawn_requests(base)[:3]
    forked = replace(forked, grammar=labels, max_new_tokens=40)
    object_ = replace(object_, grammar=lambda: FieldsWalk(fields), max_new_tokens=fields.most_tokens)
    found = answers(base, [free, forked, object_])
    assert found[0].tokens == solo(base, free).tokens
    assert json.loads(found[1].text) in LABELS
    assert found[1].stop_reason == "end"
    assert list(json.loads(found[2].text)) == ["name", "date"]
    drawn = [solo(base, replace(forked, sampling=Sampling(temperature=8.0, seed=seed))).text for seed in range(20)]
    assert set(map(json.loads, drawn)) <= set(LABELS)
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("family", ["llama", "gemma2", "phi"])
def test_all_choices_are_scored_as_brute_force_scores_them(tiny: Tiny, family: str) -> None:
    base = tiny(family)
    choices = [base.chat.answer_tokens(label) for label in (*LABELS, "pay")]
    prompts = prompts_of(base, 7)
    for prompt, scores, best in zip(
        prompts, score(base, prompts, choices), choose(base, prompts, choices), strict=True
    ):
        sums = [float(row.sum()) for row in target_logprobs(base, [joined(prompt, choice) for choice in choices])]
        assert scores == pytest.approx(sums, abs=1e-3)  # float32 sums of some ten numbers of size 10, in another order
        assert best.logprob == pytest.approx(max(scores), abs=1e-3)
        assert scores[1] == scores[-1]
