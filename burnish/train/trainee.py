"""What is being trained: a bank of adapters on the frozen base, or every weight of a copy of it, behind one face.

The loop sees K slots, flat buffers of their numbers, and losses. Shapes: K slots, P numbers of a slot, G slots at work.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from burnish.model.adapter import adapter_hash, load_adapter, save_adapter
from burnish.model.base import Base, quiet_transformers
from burnish.model.decoder import can_decode, decode
from burnish.model.forward import forward_hidden, output_head
from burnish.model.lora import AdapterSpec, LoraBank, attach
from burnish.train.batch import Batch, Row, batch_of
from burnish.train.job import TrainJob
from burnish.train.objective import slot_losses, weighted_nll
from burnish.train.optim import Flat, flatten_


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainee:
    """A model whose trainable numbers lie in flat buffers, one line a slot."""

    base: Base
    model: nn.Module
    bank: LoraBank | None
    """None: every weight is trained, as the only slot."""
    flat: Flat

    @property
    def vocab_size(self) -> int:
        """Number of tokens the output head chooses from."""
        return len(output_head(self.model).weight_VD)

    def losses(self, rows: Sequence[Row], slots: Sequence[int] | None, *, weight_sum: float) -> Tensor:
        """Each slot's weighted target nll over `weight_sum`, [G]; slots None: the base alone, [1]."""
        batch = batch_of(rows, self.base.device)
        hidden_GUD = self._hidden(batch, slots)
        return slot_losses(hidden_GUD, output_head(self.model), batch, weight_sum=weight_sum)

    def row_losses(self, rows: Sequence[Row], slots: Sequence[int] | None) -> Tensor:
        """Each slot's weighted target nll, summed over each row, float64 [G, B] on the CPU; slots None: the base."""
        batch = batch_of(rows, self.base.device)
        nll_GM = weighted_nll(self._hidden(batch, slots), output_head(self.model), batch).double().cpu()
        counts = [sum(map(bool, row.learned[1:])) for row in rows]
        return torch.stack([part.sum(1) for part in nll_GM.split(counts, dim=1)], dim=1)

    def _hidden(self, batch: Batch, slots: Sequence[int] | None) -> Tensor:
        histories, num_slots = batch.histories, 1 if slots is None else len(slots)
        if can_decode(self.model):
            with self._using(slots, 1):
                return decode(self.model, histories, num_slots=num_slots, wanted_U=batch.wanted_U)
        rows_BT = histories.rows_BT.repeat(num_slots, 1)
        with self._using(slots, len(histories.grid_BT)):
            hidden = forward_hidden(self.model, rows_BT)
        home_U = histories.home_N[batch.wanted_U]
        return hidden.reshape(num_slots, -1, hidden.shape[-1]).index_select(1, home_U)

    def _using(self, slots: Sequence[int] | None, rows_per_slot: int) -> AbstractContextManager[None]:
        if self.bank is None:
            return nullcontext()
        return self.bank.use(None if slots is None else [slot for slot in slots for _ in range(rows_per_slot)])

    def save(self, slot: int, folder: Path) -> str:
        """Writes an adapter in PEFT's format, or the whole model, into `folder`; returns the hash of the weights."""
        if self.bank is not None:
            state = self.bank.state(slot)
            save_adapter(folder, spec=self.bank.specs[slot], state=state, base=self.base)
            return adapter_hash(state)
        model: Any = self.model
        for parameter in model.parameters():  # safetensors refuses tensors that are views into one buffer
            parameter.data = parameter.detach().clone()
        with quiet_transformers():
            model.save_pretrained(folder)
            self.base.tokenizer.save_pretrained(folder)
        return adapter_hash(dict(model.named_parameters()))


@contextmanager
def trainee_of(job: TrainJob) -> Iterator[Trainee]:
    """The job's trainee, ready to train; at the end the base is the plain base again, whatever happened."""
    if job.train.method == "full":
        assert len(job.candidates) == 1, [candidate.name for candidate in job.candidates]
        model = copy.deepcopy(job.base.model).float().requires_grad_(True)
        flat = flatten_(list(model.parameters()), num_slots=1, stacked=False)
        yield Trainee(base=job.base, model=model, bank=None, flat=flat)
        return
    specs = [AdapterSpec(name=c.name, rank=c.rank, alpha=c.alpha, seed=c.seed) for c in job.candidates]
    bank = attach(job.base.model, specs, job.lora.targets)
    try:
        for slot, spec in enumerate(specs):
            if spec.name in job.starts:
                bank.load(slot, load_adapter(job.starts[spec.name], job.base)[1])
        factors = [factor for entry in bank.parameters_of_bank() for factor in (entry.A, entry.B)]
        yield Trainee(
            base=job.base,
            model=job.base.model,
            bank=bank,
            flat=flatten_(factors, num_slots=len(specs), stacked=True),
        )
    finally:
        bank.detach()
