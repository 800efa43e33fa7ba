"""The run: steps from the last checkpoint to the end; killed at any point it goes on and, on a CPU, ends bit for bit.

CUDA computes in bfloat16 by autocast over float32 weights, compiled; a CPU in float32.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from burnish.errors import Interrupted, TrainingError
from burnish.talk import Talk
from burnish.train.checkpoint import Checkpoint, last_good_checkpoint, save_checkpoint
from recipes.base.documents import Data
from recipes.base.feed import Feed, Place
from recipes.base.held_out import measure, nats_of_llama
from recipes.base.llama import Llama
from recipes.base.optimizer import load_state_, make_optimizers, set_rate_, state_of, step_
from recipes.base.packing import IGNORED, Batch
from recipes.base.plan import Plan
from recipes.base.schedule import Schedule
from recipes.base.shards import from_shards, into_shards

MAX_NORM = 1.0
READ_EVERY = 10
"""Steps between readings of the loss: each makes an accelerator wait for the CPU."""
CHECKPOINT_EVERY_S = 120.0
FIRST_TIMED = 3
"""Steps of a process that are not timed: they compile and fill caches."""
TIMED = 17
SPARE = 0.95
"""Share of the minutes that is planned with; the rest is for checkpoints and looks."""
LOOKS = 10
"""How often the held-out loss is looked at on the way."""
LOOK_TEXTS = 50


class Point(NamedTuple):
    """A point of the learning curve."""

    step: int
    nats: float
    """Per token, of the step's own rows."""
    held_out: float | None
    """Per token on a few held-out texts; None where nobody looked."""


class Run:
    """A model on its way, with everything that decides how it goes on."""

    def __init__(self, plan: Plan, data: Data, folder: Path, *, device: str, talk: Talk) -> None:
        self.plan, self.data, self.folder, self.talk = plan, data, folder, talk
        self.device = torch.device(device)
        self.model = Llama(plan.shape, dropout=plan.dropout, seed=plan.seed).to(self.device)
        self.optimizers = make_optimizers(self.model, plan)
        self.feed = Feed(data.documents, plan)
        self.step = 0
        self.total_steps: int | None = plan.max_steps if plan.minutes is None else None
        """None until the speed is known."""
        self.seconds = 0.0
        """Of training, over all processes that took part."""
        self.curve: list[Point] = []
        self._loss: Callable[[Batch], Tensor] = self.model.loss
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            self._loss = torch.compile(self.model.loss)
        self._resume()
        self._from = self.step
        self._timed_from = self._saved = self._clock = 0.0

    @property
    def schedule(self) -> Schedule:
        """The phases, as far as they are known: before the length is settled, those of the longest run."""
        total = self.plan.max_steps if self.total_steps is None else self.total_steps
        return Schedule(total, self.plan.warmup_steps, self.plan.decay_share)

    def go(
        self, *, should_stop: Callable[[], bool] = lambda: False, checkpoint_every_s: float = CHECKPOINT_EVERY_S
    ) -> None:
        """Takes the steps that are left. Raises Interrupted after saving when asked to stop, TrainingError on nan."""
        self.model.train()
        self._saved = self._clock = time.monotonic()
        while self.step < self.schedule.total_steps:
            if self.total_steps is None:
                self._leg("speed", self._from + FIRST_TIMED + TIMED, should_stop, checkpoint_every_s)
            else:
                self._leg("pre-train", self.total_steps, should_stop, checkpoint_every_s)

    def _leg(self, name: str, end: int, should_stop: Callable[[], bool], checkpoint_every_s: float) -> None:
        """Steps up to `end`, or to the end of the run, under a bar of their own."""
        end = min(end, self.schedule.total_steps)
        with self.talk.track(name, (end - self.step) * self.plan.tokens_per_step, "tokens") as advance:
            while self.step < end:
                nats = self._learn()
                self._time(nats)
                self._note(nats)
                self._keep(nats, should_stop(), checkpoint_every_s)
                advance(self.plan.tokens_per_step, f"loss {self.curve[-1].nats:.3f}" if self.curve else "")

    def _keep(self, nats: Tensor, is_stopped: bool, checkpoint_every_s: float) -> None:
        """A checkpoint at the end, when it is time, or before the stop that was asked for."""
        is_last = self.step == self.schedule.total_steps
        if not (is_last or is_stopped or time.monotonic() - self._saved >= checkpoint_every_s):
            return
        self._check(nats)
        self._save()
        self._saved = time.monotonic()
        if is_stopped and not is_last:
            where = f"step {self.step:,} of {self.schedule.total_steps:,}"
            raise Interrupted(f"stopped at {where}", hint="run the same command again to go on from there")

    def _learn(self) -> Tensor:
        """One step; returns the mean nats of its targets, still on the device."""
        torch.manual_seed(self.plan.seed + 1_000_003 * self.step)  # what dropout draws follows from the step
        batch = self.feed.next(is_decaying=self.schedule.is_decaying(self.step))
        num_targets = int((batch.target_BT != IGNORED).sum())
        nats = torch.zeros((), device=self.device)
        for part in batch.split(self.plan.micro_rows):
            with self._precision():
                loss = self._loss(part.to(self.device)) / num_targets
            loss.backward()
            nats += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        set_rate_(self.optimizers, self.plan.lr * self.schedule.scale(self.step))
        step_(self.optimizers)
        self.step += 1
        return nats

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()

    def _time(self, nats: Tensor) -> None:
        """Counts the step's seconds; where minutes are given, the first steps settle once how many there will be."""
        if self.total_steps is None and self.step - self._from in (FIRST_TIMED, FIRST_TIMED + TIMED):
            nats.item()  # waits for the device
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        if self.total_steps is None and self.step - self._from == FIRST_TIMED:
            self._timed_from = now
        if self.total_steps is None and self.step - self._from == FIRST_TIMED + TIMED:
            self._settle((now - self._timed_from) / TIMED)

    def _settle(self, step_s: float) -> None:
        assert self.plan.minutes is not None
        left = int((self.plan.minutes * 60 * SPARE - self.seconds) / step_s)
        self.total_steps = max(self.step + 1, min(self.plan.max_steps, self.step + left))
        speed = self.plan.tokens_per_step / step_s
        self.talk.say(f"{speed:,.0f} tokens/s: {self.total_steps:,} steps in {self.plan.minutes:g} minutes")

    def _note(self, nats: Tensor) -> None:
        """A point of the curve, now and then with a look at held-out texts."""
        is_last = self.step == self.schedule.total_steps
        looks = is_last or self.step % max(1, self.schedule.total_steps // LOOKS) == 0
        if looks or self.step % READ_EVERY == 0:
            self._check(nats)
            self.curve.append(Point(self.step, nats.item(), self.look() if looks else None))

    def look(self) -> float:
        """Nats per token on the first few held-out texts."""
        self.model.eval()
        with self._precision():
            found = measure(
                nats_of_llama(self.model),
                lambda text: self.data.tokenizer.encode(text).ids,
                self.data.held_out[:LOOK_TEXTS],
                context=self.plan.context,
                device=str(self.device),
            )
        self.model.train()
        value = found.per_token.value
        assert value is not None
        return value

    def _check(self, nats: Tensor) -> None:
        if not torch.isfinite(nats):
            raise TrainingError(
                f"the loss of step {self.step} is {nats.item()}",
                hint=f"Take a lower --lr than {self.plan.lr:g}, in a new folder.",
            )

    def _save(self) -> None:
        weights = into_shards(self.model.state_dict(), "model")
        memory = into_shards(state_of(self.model, self.optimizers), "optimizer")
        state = {
            "place": list(self.feed.place),
            "total_steps": self.total_steps,
            "seconds": self.seconds,
            "curve": [list(point) for point in self.curve],
        }
        save_checkpoint(self.folder, Checkpoint(self.step, {**weights, **memory}, state))

    def _resume(self) -> None:
        found = last_good_checkpoint(self.folder, self.talk)
        if found is None:
            return
        self.model.load_state_dict(from_shards(found.tensors, "model"))
        load_state_(self.model, self.optimizers, from_shards(found.tensors, "optimizer"))
        self.feed.place = Place(*found.state["place"])
        self.step, self.total_steps = found.step, found.state["total_steps"]
        self.seconds = found.state["seconds"]
        self.curve = [Point(*point) for point in found.state["curve"]]
        self.talk.say(f"going on from step {self.step:,} of {self.schedule.total_steps:,}")
