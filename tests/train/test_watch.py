"""When a candidate stops, and when its training counts as no learning."""

import json
import math

from burnish.records import CurvePoint
from burnish.train.watch import Watch, lesson


def observed(*losses: float, patience: int = 2) -> Watch:
    watch = Watch()
    for number, loss in enumerate(losses, start=1):
        watch = watch.after_epoch(step=10 * number, dev_loss=loss, patience=patience)
    return watch


def point(step: int, dev_loss: float | None, train_loss: float | None = None) -> CurvePoint:
    return CurvePoint(step=step, epoch=step / 10, train_loss=train_loss, dev_loss=dev_loss, lr=1e-3)


def test_the_best_step_is_the_one_with_the_lowest_dev_loss() -> None:
    watch = observed(3.0, 2.0, 2.5)
    assert (watch.best_step, watch.best_loss, watch.is_running) == (20, 2.0, True)


def test_patience_counts_epochs_since_the_best() -> None:
    assert observed(3.0, 2.0, 2.5, 2.4).stopped == "early"
    assert observed(3.0, 2.0, 2.5, 1.9, 2.0).is_running


def test_a_dev_loss_that_is_no_number_means_diverged() -> None:
    assert observed(3.0, math.nan).stopped == "diverged"
    assert observed(math.inf).stopped == "diverged"


def test_a_watch_survives_json_unchanged() -> None:
    watch = observed(3.0, 1 / 3).after_step(0.1).after_step(0.2).mark(step=30, epoch=3.0, lr=1e-3, dev_loss=None)
    assert Watch.from_state(json.loads(json.dumps(watch.after_step(1 / 7).as_state()))) == watch.after_step(1 / 7)


def test_a_point_of_the_curve_is_the_mean_since_the_last_one() -> None:
    watch = Watch().after_step(4.0).after_step(2.0).mark(step=2, epoch=0.5, lr=1e-3, dev_loss=None)
    watch = watch.after_step(1.0).mark(step=3, epoch=1.0, lr=1e-3, dev_loss=0.9)
    assert [(p.step, p.train_loss, p.dev_loss) for p in watch.curve] == [(2, 3.0, None), (3, 1.0, 0.9)]


def test_a_loss_like_guessing_is_called_no_learning() -> None:
    verdict = lesson([point(0, 8.6), point(10, 8.12)], 8.12, vocab_size=4096)
    assert not verdict.learned
    assert verdict.sentence == "no learning: loss 8.12 against 8.32 for guessing"


def test_a_loss_that_did_not_fall_is_called_no_learning() -> None:
    verdict = lesson([point(0, 2.00), point(10, 1.99)], 1.99, vocab_size=4096)
    assert (verdict.learned, verdict.sentence) == (False, "no learning: loss 1.99 against 2.00 before training")


def test_a_loss_that_fell_is_called_learned() -> None:
    assert lesson([point(0, 5.0), point(10, 0.4)], 0.4, vocab_size=4096).learned


def test_without_dev_rows_the_train_loss_decides() -> None:
    assert lesson([point(1, None, 5.0), point(9, None, 0.5)], None, vocab_size=4096).learned
    assert not lesson([point(1, None, 5.0), point(9, None, 5.1)], None, vocab_size=4096).learned
