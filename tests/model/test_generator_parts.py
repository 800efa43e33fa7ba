"""The parts of the generator by themselves: drawing, common beginnings, attention over two parts, exact logits."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from burnish.errors import DataError
from burnish.fakes import tiny_base
from burnish.model.cache import COLUMN_STEP, KeyValues, Prefix
from burnish.model.prefixes import LEAST_SAVED, SHORTEST, common_beginnings
from burnish.model.sample import GREEDY, Ask, Sampling, pick, uniform
from burnish.model.session import Session
from burnish.model.stacks import Stack, Stacks
from burnish.model.step import attend

P = torch.tensor([0.02, 0.4, 0.08, 0.3, 0.2])


def drawn(sampling: Sampling, count: int = 4000) -> Counter[int]:
    logits_BV = P.log().expand(count, -1)
    return Counter(one.token for one in pick(logits_BV, [Ask(sampling, at, None) for at in range(count)]))


def test_tokens_come_as_often_as_the_model_says() -> None:
    found = drawn(Sampling(temperature=1.0, seed=1))
    for token, share in enumerate(P.tolist()):
        # 4 standard deviations of a binomial share
        assert found[token] / 4000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))


def test_what_top_p_and_min_p_cut_off_never_comes() -> None:
    assert set(drawn(Sampling(temperature=1.0, top_p=0.65))) == {1, 3}
    assert set(drawn(Sampling(temperature=1.0, top_p=0.75))) == {1, 3, 4}
    assert set(drawn(Sampling(temperature=1.0, top_p=0.01))) == {1}
    assert set(drawn(Sampling(temperature=1.0, min_p=0.45))) == {1, 3, 4}
    assert set(drawn(Sampling(temperature=1.0, min_p=1.0))) == {1}
    assert set(drawn(Sampling(temperature=1.0, top_p=0.65, min_p=0.8))) == {1}
    squared = drawn(Sampling(temperature=0.5))
    assert squared[1] / squared[3] == pytest.approx(0.16 / 0.09, rel=0.15)


def test_a_mask_forbids_and_the_log_probability_is_the_models() -> None:
    allowed = torch.tensor([True, False, True, False, False])
    logits_BV = P.log()[None].expand(3, -1) + 7
    greedy, wild, free = pick(
        logits_BV, [Ask(GREEDY, 0, allowed), Ask(Sampling(temperature=9.0), 0, allowed), Ask(GREEDY, 0, None)]
    )
    assert greedy.token == 2
    assert greedy.logprob == pytest.approx(math.log(0.08), abs=1e-5)
    assert wild.token in (0, 2)
    assert free.token == 1


@pytest.mark.parametrize("wish", [{"temperature": -1.0}, {"temperature": math.nan}, {"top_p": 0.0}, {"min_p": 1.5}])
def test_what_cannot_be_drawn_with_is_refused(wish: dict[str, float]) -> None:
    with pytest.raises(DataError):
        Sampling(**wish)


def test_random_streams_are_even_and_their_own() -> None:
    numbers = [uniform(seed, at) for seed in range(40) for at in range(50)]
    assert len(set(numbers)) == 2000
    assert all(0 <= number < 1 for number in numbers)
    # mean of 2000 even numbers: standard deviation 1 / sqrt(12 * 2000)
    assert sum(numbers) / 2000 == pytest.approx(0.5, abs=4 / math.sqrt(24_000))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 12), st.lists(st.integers(0, 2), min_size=1, max_size=6)),
        max_size=12,
    )
)
def test_common_beginnings_are_common_worth_it_and_leave_a_token(rows: list[tuple[int, int, list[int]]]) -> None:
    prompts = sorted((kind,) * (4 * length) + tuple(rest) for kind, length, rest in rows)
    covered: set[int] = set()
    for length, first, last in common_beginnings(prompts):
        assert length >= SHORTEST
        assert length * (last - first) >= LEAST_SAVED
        assert len({prompt[:length] for prompt in prompts[first : last + 1]}) == 1
        assert all(len(prompt) > length for prompt in prompts[first : last + 1])
        assert covered.isdisjoint(range(first, last + 1))
        covered |= set(range(first, last + 1))


def test_one_odd_prompt_does_not_shorten_what_the_others_share() -> None:
    rules = tuple(range(400))
    prompts = sorted([(*rules, 500 + at) for at in range(9)] + [(*rules[:10], 999, *rules[11:], 7)])
    assert common_beginnings(prompts)[0][0] == 400


@pytest.mark.parametrize(
    "lengths",
    [(5, 5, 5), (5, 0, 5), (5, 6, 5), (5, 6, 40), (0, 6, 40), (0, 0, 0)],
    ids=["one prefix", "not for all", "alike", "unlike", "unlike and not for all", "none"],
)
def test_attention_over_prefix_and_own_columns_is_attention_over_both(lengths: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    rows, heads, repeats, width, columns, size = 3, 2, 3, 4, 7, 8
    q = draw(rows, heads * repeats, width, size)
    k, v = draw(rows, heads, columns, size), draw(rows, heads, columns, size)
    known = {n: Prefix(tuple(range(n)), ((draw(heads, n, size), draw(heads, n, size)),)) for n in (5, 6, 40)}
    visible = torch.rand(rows, width, columns, generator=generator) < 0.5
    visible[..., 0] = True
    hidden = torch.zeros(rows, width, columns).masked_fill_(~visible, torch.finfo(torch.float32).min)
    shared = Stacks().of([known.get(length) for length in lengths], is_all=True)
    found = attend(q.view(rows, heads, -1, size), k, v, hidden, shared, layer=0, scale=0.3).view_as(q)
    for row, length in enumerate(lengths):
        first = known[length].layers[0] if length else (k[row, :, :0], v[row, :, :0])
        keys, values = torch.cat([first[0], k[row]], 1), torch.cat([first[1], v[row]], 1)
        mask = torch.cat([torch.ones(width, length, dtype=torch.bool), visible[row]], 1)
        expected = functional.scaled_dot_product_attention(
            q[row], keys.repeat_interleave(repeats, 0), values.repeat_interleave(repeats, 0), attn_mask=mask, scale=0.3
        )
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)  # float32, another order of sums


def test_prefixes_stay_stacked_while_others_come_and_go_and_not_for_long() -> None:
    known = [Prefix((1,) * 8, ((torch.full((1, 8, 1), float(n)), torch.zeros(1, 8, 1)),)) for n in range(4)]
    stacks = Stacks()

    def stacked(*wanted: int, is_all: bool = True) -> Stack:
        (shared,) = stacks.of([known[n] for n in wanted], is_all=is_all)
        key_F = shared.stack.layers[0][0][:, 0, 0, 0]
        assert shared.grid.take(shared.grid.lay(torch.zeros(len(wanted))) + key_F[:, None]).tolist() == list(wanted)
        return shared.stack

    first = stacked(2, 0, 1, 0)
    assert stacked(0, 2) is first
    assert len(stacked(3, is_all=False).prefixes) == 1
    assert stacked(0, 2, 2, 1) is first
    assert [int(prefix.layers[0][0][0, 0, 0]) for prefix in stacked(3, 0).prefixes] == [3, 0, 2]
    assert len(stacked(3).prefixes) == 1


def test_logits_of_a_bfloat16_base_are_not_rounded_to_bfloat16() -> None:
    base = tiny_base(precision="bfloat16")
    session = Session(base)
    hidden = torch.randn(5, base.hidden_size, generator=torch.Generator().manual_seed(0)).bfloat16()
    weight = base.model.get_output_embeddings().weight
    exact = hidden.double() @ weight.double().T
    # float32 sums of 32 products of size 1; bfloat16 logits would be off by up to 1e-2
    torch.testing.assert_close(session.logits(hidden).double(), exact, rtol=1e-5, atol=1e-5)
    before = torch.backends.mkldnn.matmul.fp32_precision
    session.logits(hidden)
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_buffers_grow_and_shrink_and_keep_what_is_in_them() -> None:
    store = KeyValues(1)
    store.make_room(2, 5)
    assert store.num_columns == COLUMN_STEP
    parts = (torch.ones(2, 3, 4), 2 * torch.ones(2, 3, 4))
    store.write(0, parts, torch.tensor([0, 1]), torch.tensor([4, 1]))
    store.make_room(20, 3 * COLUMN_STEP)
    store.move(0, 1)
    keys, values = store.rows(0, 1, 2)
    assert keys.shape == (1, 3, 3 * COLUMN_STEP, 4)
    assert keys[0, :, 4].eq(1).all()
    assert values[0, :, 4].eq(2).all()
    assert keys.sum() == 12
    store.trim(2, 5)
    assert (store.num_rows, store.num_columns) == (2, COLUMN_STEP)
    assert store.rows(0, 1, 2)[0].sum() == 12
