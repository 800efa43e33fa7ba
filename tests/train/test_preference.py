"""Pairs and thumbs: the losses by hand, the gradient's direction, the bank, the reference, and what is learned."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from burnish.errors import ConfigError, DataError
from burnish.fakes import small_examples
from burnish.model.base import Base
from burnish.records import Message, Preference, Task, Thumb
from burnish.train.batch import Row, hash_rows, target_weight
from burnish.train.course import cohorts_of, courses_of, rivals_of, turns_of
from burnish.train.goal import Pairs, Thumbs, Whole
from burnish.train.job import TrainJob, pair_rows, thumb_rows
from burnish.train.preference import balanced, dpo_losses, kl_estimate, kto_losses, mismatch, sequence
from burnish.train.reference import Reference, sequences_of
from burnish.train.run import train
from burnish.train.trainee import trainee_of
from tests.child import KILLED, in_child
from tests.train.conftest import LABELS, THREE, MakeJob, candidate, preferred
from tests.train.test_resume import files_of

OWN = (replace(THREE[0], beta=0.3), replace(THREE[1], sft_weight=0.0), THREE[2])
RARE = {"checkpoint_every_s": 1e9}


def ratio(policy: list[float], reference: list[float]) -> torch.Tensor:
    """The log-ratio of an answer, from the probabilities of its tokens."""
    return torch.tensor([[sum(map(math.log, policy)) - sum(map(math.log, reference))]])


def test_the_loss_of_a_pair_of_two_tokens_is_the_one_computed_by_hand() -> None:
    chosen = ratio([1 / 2, 1 / 4], [1 / 4, 1 / 4])  # log 2
    rejected = ratio([1 / 8, 1 / 2], [1 / 4, 1 / 2])  # -log 2
    loss = dpo_losses(chosen, rejected, torch.tensor([0.5]))  # -log sigmoid(log 2) = log(1 + 1 / 2)
    assert loss.item() == pytest.approx(math.log(1.5), abs=1e-6)
    assert dpo_losses(chosen, chosen, torch.tensor([0.5])).item() == pytest.approx(math.log(2), abs=1e-6)


def test_the_loss_of_a_thumb_of_two_tokens_is_the_one_computed_by_hand() -> None:
    moved = ratio([1 / 2, 1 / 2], [1 / 4, 1 / 4]).repeat(1, 2)  # log 4, less an estimate of log 2
    kl, beta = kl_estimate(torch.tensor([[math.log(2), math.log(4), 0.0]])), torch.tensor([1.0])
    losses = kto_losses(moved, torch.tensor([True, False]), kl, beta)
    assert losses.tolist() == [pytest.approx([1 / 3, 2 / 3], abs=1e-6)]  # sigmoid(log 2) = 2 / 3
    assert kl_estimate(torch.tensor([[-1.0, 0.5]])).item() == 0


def row(name: str, tokens: list[int], learned: list[int]) -> Row:
    return Row(id=name, tokens=tokens, learned=[place in learned for place in range(len(tokens))], is_good=True)


def test_mismatched_answers_are_those_of_the_batch_one_place_on() -> None:
    rows = [row("a", [1, 2, 3, 4], [2]), row("b", [5, 6, 7], [1, 2]), row("c", [8, 9], [1])]
    found = [one.mismatched for one in mismatch(rows, [[2, 0], [1]])]
    assert [(one.tokens, one.learned) for one in found if one] == [
        ([1, 2, 9], [False, False, True]),
        ([5, 6, 7], [False, True, True]),  # alone in its batch
        ([8, 3], [False, True]),
    ]


def test_batches_of_thumbs_stay_together_and_change_their_order(preference_job: MakeJob) -> None:
    asked = preference_job("kto", batch_size=4)
    cohorts = cohorts_of(asked)
    epochs = [[tuple(row.id for row in turn.rows) for turn in turns_of(asked, cohorts, epoch)] for epoch in range(3)]
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert epochs[0] != epochs[1] != epochs[2]
    for turn in turns_of(asked, cohorts, 1):
        answers = [[t for t, mark in zip(r.tokens, r.learned, strict=True) if mark] for r in turn.rows]
        others = [[t for t, m in zip(r.tokens, r.learned, strict=True) if m] for r in map(other, turn.rows)]
        assert others == [answers[-1], *answers[:-1]]


def other(row: Row) -> Row:
    assert row.mismatched is not None
    return row.mismatched


def test_earlier_answers_of_a_conversation_are_not_scored(base: Base) -> None:
    turns = [("user", "Where?"), ("assistant", "address"), ("user", "And how?")]
    prompt = tuple(Message(role=role, content=text) for role, text in turns)  # type: ignore[arg-type]
    pair = Preference(id="p", prompt=prompt, chosen="payment", rejected="appeal", weight=2.0)
    thumb = Thumb(id="t", prompt=prompt, answer="payment", is_good=False)
    (chosen,), (found,) = pair_rows(base, Task(), [pair]), thumb_rows(base, Task(), [thumb])
    assert (chosen.weight, found.is_good, found.rejected) == (2.0, False, None)
    answers = [
        base.chat.answer_text([token for token, mark in zip(one.tokens, one.learned, strict=True) if mark])
        for one in (chosen, chosen.rejected, found)
        if one
    ]
    assert answers == ["payment", "appeal", "payment"]


def test_what_an_objective_cannot_learn_from_is_refused_by_name(preference_job: MakeJob, job: MakeJob) -> None:
    pairs, examples = preference_job("dpo"), job()
    with pytest.raises(DataError, match="row-0 is an example, but dpo learns from a pair"):
        train(replace(pairs, rows=examples.rows))
    with pytest.raises(DataError, match="row-0 is a pair, but sft learns from an example"):
        train(replace(examples, rows=pairs.rows))
    same = replace(pairs.rows[3], rejected=sequence(pairs.rows[3]))
    with pytest.raises(DataError, match="row-3: the chosen and the rejected answer are the same"):
        train(replace(pairs, rows=[same]))
    with pytest.raises(ConfigError, match="cannot leave out tokens"):
        train(replace(pairs, token_dropout=0.1))
    with pytest.raises(ConfigError, match=r"'a' has beta 0\.0"):
        train(replace(pairs, candidates=[replace(THREE[0], beta=0.0)]))


def test_the_identity_sees_what_was_preferred(preference_job: MakeJob, job: MakeJob) -> None:
    pair = preference_job("dpo").rows[0]
    assert pair.rejected is not None
    turned = replace(pair.rejected, rejected=sequence(pair))
    thumb = replace(pair, rejected=None, is_good=True)
    found = {hash_rows([one]) for one in (pair, turned, sequence(pair), thumb, replace(thumb, is_good=False))}
    assert len(found) == 5
    assert not {"objective", "beta", "sft_weight"} & {*job().identity()["train"], *job().identity()["candidates"]["a"]}


def test_weights_of_the_rarer_verdict_are_raised() -> None:
    thumbs = [Thumb(id=str(n), prompt=(), answer="x", is_good=n == 0) for n in range(4)]
    assert [thumb.weight for thumb in balanced(thumbs)] == [3.0, 1.0, 1.0, 1.0]
    assert balanced(thumbs[1:]) == tuple(thumbs[1:])


def test_at_the_start_the_gradient_of_dpo_points_from_rejected_to_chosen(preference_job: MakeJob) -> None:
    asked = preference_job("dpo", (candidate("a"),), sft_weight=0.0)
    rows = asked.rows[:4]
    with trainee_of(asked) as trainee:
        trainee.flat.theta_KP.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
        sequences = sequences_of(rows)
        with torch.no_grad():
            reference = Reference(sequences, -trainee.row_losses(sequences, [0]))
        goal = Pairs(trainee, reference, courses_of(asked, cohorts_of(asked)))
        gradients = []
        chosen, rejected = [sequence(row) for row in rows], [row.rejected for row in rows if row.rejected]
        whole = goal.whole(rows, [0], lambda rows: trainee.row_losses(rows, [0]))
        # the slope of -log sigmoid(z) is -1/2 at z = 0, so it is -beta/2 (grad log p(chosen) - grad log p(rejected))
        by_hand = trainee.row_losses(chosen, [0]).mean() - trainee.row_losses(rejected, [0]).mean()
        for loss in (goal.losses(rows, [0], whole).sum(), asked.train.beta / 2 * by_hand):
            trainee.flat.grad_KP.zero_()
            trainee.flat.add_gradients_(loss)
            gradients.append(trainee.flat.grad_KP.clone())
        assert gradients[0].abs().max() > 1e-3
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
        before = margins(asked, trainee, rows)
        with torch.no_grad():
            trainee.flat.theta_KP.sub_(gradients[0], alpha=1e-2 / float(gradients[0].norm()))
        assert (margins(asked, trainee, rows).mean() > before.mean()).item()


@torch.no_grad()
def margins(asked: TrainJob, trainee: object, rows: object) -> torch.Tensor:
    """log p(chosen) - log p(rejected) of each pair under the first slot."""
    nll = trainee.row_losses  # type: ignore[attr-defined]
    return (nll([row.rejected for row in rows], [0]) - nll([sequence(row) for row in rows], [0]))[0]  # type: ignore[attr-defined, no-any-return]


def test_portions_change_nothing_but_rounding_here_either(preference_job: MakeJob) -> None:
    for objective in ("dpo", "kto"):
        asked = preference_job(objective)
        rows = cohorts_of(asked)[0].rows[:9]
        with trainee_of(asked) as trainee, torch.no_grad():
            sequences = sequences_of(rows)
            reference = Reference(sequences, -trainee.row_losses(sequences, [0, 1, 2]))
            trainee.flat.theta_KP.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
            goal = (Pairs if objective == "dpo" else Thumbs)(trainee, reference, courses_of(asked, cohorts_of(asked)))
            whole: Whole = goal.whole(rows, [0, 1, 2], lambda rows: trainee.row_losses(rows, [0, 1, 2]))
            at_once = goal.losses(rows, [0, 1, 2], whole)
            parts = sum(goal.losses(part, [0, 1, 2], whole) for part in (rows[:4], rows[4:]))
            torch.testing.assert_close(at_once, parts)
            torch.testing.assert_close(goal.row_losses(rows, [0, 1, 2], whole).sum(1).float() / 9, at_once)


def test_trained_on_pairs_an_adapter_prefers_the_chosen_answer_to_new_prompts(
    base: Base, preference_job: MakeJob
) -> None:
    asked = preference_job("dpo", (candidate("a", lr=2e-2),), epochs=16, patience=16, **RARE)
    (trial,) = train(asked)
    assert (trial.learned, trial.stopped) == (True, "done")
    new = pair_rows(base, Task(labels=LABELS), preferred(small_examples(30, seed=7)))
    with trainee_of(asked) as trainee:
        untuned = margins(asked, trainee, new)
    with trainee_of(replace(asked, starts={"a": asked.folder / "a"})) as trainee:
        tuned = margins(asked, trainee, new)
    assert (untuned > 0).double().mean() < 0.7  # the three labels share what an untuned base prefers
    assert (tuned > 0).double().mean() > 0.9
    assert (tuned > untuned).all()


def test_trained_on_thumbs_an_adapter_raises_good_answers_over_bad_ones(base: Base, preference_job: MakeJob) -> None:
    asked = preference_job("kto", (candidate("a"),), epochs=6, **RARE)
    (trial,) = train(asked)
    assert trial.learned
    assert trial.curve[0].dev_loss == pytest.approx(0.5, abs=1e-5)  # before training every answer is its reference
    new = pair_rows(base, Task(labels=LABELS), preferred(small_examples(30, seed=7)))
    with trainee_of(asked) as trainee:
        untuned = margins(asked, trainee, new)
    with trainee_of(replace(asked, starts={"a": asked.folder / "a"})) as trainee:
        assert (margins(asked, trainee, new) > untuned).double().mean() > 0.9


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_adapters_with_strengths_of_their_own_each_equal_their_solo_run(
    preference_job: MakeJob, objective: str
) -> None:
    together = train(preference_job(objective, OWN, folder="together", epochs=2, **RARE))
    for trial in together:
        (alone,) = train(
            preference_job(objective, (trial.candidate,), folder=f"alone-{trial.folder}", epochs=2, **RARE)
        )
        for ours, solo in zip(trial.curve, alone.curve, strict=True):
            assert ours.dev_loss is None or ours.dev_loss == pytest.approx(solo.dev_loss, rel=1e-4)
            assert ours.train_loss is None or ours.train_loss == pytest.approx(solo.train_loss, rel=1e-4)


def test_only_losses_of_equal_strength_are_compared(preference_job: MakeJob) -> None:
    asked = preference_job("dpo", (*OWN, replace(OWN[2], name="d")))
    cohorts = cohorts_of(asked)
    assert rivals_of(cohorts, courses_of(asked, cohorts)) == [(0,), (1,), (2, 3)]


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_a_killed_run_on_preferences_ends_with_the_same_bytes(preference_job: MakeJob, objective: str) -> None:
    expected = train(preference_job(objective, OWN, epochs=2, folder="undisturbed"))
    for number, place in enumerate(
        ["train.ckpt.rename=kill@1", "train.step=kill@6"]
    ):  # the reference, the second epoch
        asked = preference_job(objective, OWN, epochs=2, folder=f"work{number}")
        assert in_child(lambda: train(asked), place) == KILLED  # noqa: B023
        assert train(asked) == expected
        kept = shutil.copytree(preference_job(objective, OWN, folder="undisturbed").folder, asked.folder / "../copy")
        assert files_of(asked.folder) == files_of(kept)
        shutil.rmtree(kept)


def test_a_damaged_reference_is_measured_anew_to_the_same_bits(preference_job: MakeJob) -> None:
    expected = train(preference_job("dpo", epochs=1, folder="undisturbed"))
    asked = preference_job("dpo", epochs=1)
    assert in_child(lambda: train(asked), "train.step=kill@3") == KILLED
    path: Path = asked.folder / "scratch" / "reference" / "step-000000" / "reference.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 16
    path.write_bytes(content)
    assert train(asked) == expected


def test_the_reference_is_the_adapter_as_it_was_at_the_start(preference_job: MakeJob, job: MakeJob) -> None:
    (taught,) = train(job((candidate("a"),), folder="taught", epochs=2))
    start = job(folder="taught").folder / "a"
    asked = replace(preference_job("dpo", (candidate("a"), candidate("b")), sft_weight=0.0), starts={"a": start})
    trials = train(asked)
    for trial in trials:
        assert trial.curve[0].dev_loss == pytest.approx(math.log(2), abs=1e-5)
    with trainee_of(asked) as trainee, torch.no_grad():
        nll = trainee.row_losses(sequences_of(asked.rows), [0, 1])
    assert (nll[0] - nll[1]).abs().max() > 0.1  # the two references differ
    again = replace(job((candidate("a"),), folder="again", epochs=1), starts={"a": start})
    (more,) = train(again)
    assert more.curve[0].dev_loss == pytest.approx(taught.dev_loss, rel=1e-5)
    assert target_weight(asked.rows) == len(asked.rows)
    with pytest.raises(ConfigError, match="starts from an adapter of rank 4"):
        train(replace(again, candidates=(candidate("a", rank=2),)))
