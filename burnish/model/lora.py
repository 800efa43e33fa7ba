"""LoRA as a bank: K adapters stacked on one frozen base, so that one forward pass trains or serves all of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from burnish.errors import ModelError
from burnish.model.lora_linear import LoraLinear, Switch
from burnish.model.route import Route, route_of

PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """Shape and first weights of one adapter; the update is scaled by alpha / rank."""

    name: str
    rank: int
    alpha: float
    seed: int


class BankEntry(NamedTuple):
    """The stacked factors on one linear layer: A_KRI and B_KOR, float32."""

    module: str
    A: nn.Parameter
    B: nn.Parameter


class LoraBank:
    """K adapters attached to a model. Attach with `attach`; outside `use` the model answers as the plain base."""

    def __init__(self, model: nn.Module, specs: Sequence[AdapterSpec], layers: dict[str, LoraLinear], switch: Switch):
        self.model = model
        self.specs = tuple(specs)
        self._layers = layers
        self._switch = switch

    @property
    def num_slots(self) -> int:
        """K, the number of adapters."""
        return len(self.specs)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the adapted layers, in the model's order."""
        return tuple(self._layers)

    @contextmanager
    def use(self, slots: Tensor | Sequence[int] | int | None) -> Iterator[None]:
        """Sends each row of the forward passes inside to a slot: one for all rows, or one a row; -1 or None: the base.

        Rows of one slot that stand together in groups of equal size go the fast way, one batched product for all
        slots; it is the only way worth training in. Any other order is right too, and slower: few rows a slot go into
        one batched product with some zeros, many in a product for each slot.
        """
        before = self._switch.route
        self._switch.route = self._route(slots)
        try:
            yield
        finally:
            self._switch.route = before

    def _route(self, slots: Tensor | Sequence[int] | int | None) -> Route | None:
        if slots is None:
            return None
        chosen = slots if isinstance(slots, int) else [int(slot) for slot in slots]
        row_slots = [chosen] if isinstance(chosen, int) else chosen
        assert row_slots, "no rows"
        assert all(-1 <= slot < self.num_slots for slot in row_slots), (row_slots, self.num_slots)
        return route_of(chosen, self.num_slots, next(iter(self._layers.values())).A.device)

    def parameters_of_bank(self) -> list[BankEntry]:
        """The stacked trainable factors of every adapted layer, in the model's order."""
        return [BankEntry(name, layer.A, layer.B) for name, layer in self._layers.items()]

    def num_parameters(self, slot: int) -> int:
        """Trainable numbers of one adapter, its own rank only."""
        rank = self.specs[slot].rank
        return sum(rank * (layer.A.shape[2] + layer.B.shape[1]) for layer in self._layers.values())

    def state(self, slot: int) -> dict[str, Tensor]:
        """A copy of one adapter's weights under PEFT's names, float32 on the CPU: lora_A [r, I] and lora_B [O, r]."""
        rank = self.specs[slot].rank
        state = {}
        for name, layer in self._layers.items():
            state[f"{PEFT_PREFIX}{name}.lora_A.weight"] = layer.A.detach()[slot, :rank].cpu().clone()
            state[f"{PEFT_PREFIX}{name}.lora_B.weight"] = layer.B.detach()[slot, :, :rank].cpu().clone()
        return state

    @torch.no_grad()
    def load(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Puts an adapter's weights, as `state` gives them, into a slot.

        Raises ModelError when a name or a shape does not fit; then the slot is unchanged.
        """
        rank = self.specs[slot].rank
        for name, expected in self.state(slot).items():
            found = tuple(state[name].shape) if name in state else None
            if found != tuple(expected.shape):
                raise ModelError(
                    f"the adapter does not fit: {name} should be {tuple(expected.shape)}, found {found or 'nothing'}",
                    hint="Use the base model, rank and target layers with which the adapter was trained.",
                )
        extra = sorted(set(state) - set(self.state(slot)))
        if extra:
            raise ModelError(
                f"the adapter has {len(extra)} weights for layers that carry no adapter here, such as {extra[0]}",
                hint="Attach the bank with the adapter's own target layers.",
            )
        for name, layer in self._layers.items():
            layer.A[slot, :rank] = state[f"{PEFT_PREFIX}{name}.lora_A.weight"].to(layer.A)
            layer.B[slot, :, :rank] = state[f"{PEFT_PREFIX}{name}.lora_B.weight"].to(layer.B)

    def bytes_with(self, num_slots: int, rank: int) -> int:
        """Memory of the bank if it held so many adapters, the widest of at least this rank.

        What rows of many adapters read counts: both factors rounded to the weights' type, or B laid otherwise.
        """
        layers = self._layers.values()
        size_A, size_B = (6, 6) if any(x.linear.weight.element_size() == 2 for x in layers) else (4, 8)
        numbers = ((max(rank, x.A.shape[1]), x.A.shape[2] * size_A + x.B.shape[1] * size_B) for x in layers)
        return num_slots * sum(ranks * size for ranks, size in numbers)

    @torch.no_grad()
    def put(self, slot: int, spec: AdapterSpec, state: Mapping[str, Tensor]) -> None:
        """Puts another adapter into a slot, or into the next new one; of any rank and on any of the adapted layers.

        The bank grows in place where it has to: every slot gets the widest rank. Raises ModelError for weights of
        layers that carry no adapter here; then the slot is unchanged.
        """
        known = {f"{PEFT_PREFIX}{name}.lora_{part}.weight" for name in self._layers for part in "AB"}
        if extra := sorted(set(state) - known):
            raise ModelError(
                f"the adapter {spec.name} has weights for layers that carry no adapter here, such as {extra[0]}",
                hint="Attach the bank to all linear layers.",
            )
        assert 0 <= slot <= self.num_slots, (slot, self.num_slots)
        self.specs = (*self.specs[:slot], spec, *self.specs[slot + 1 :])
        for name, layer in self._layers.items():
            layer.grow_(self.num_slots, spec.rank)
            layer.A[slot], layer.B[slot] = 0.0, 0.0
            layer.scale[slot] = spec.alpha / spec.rank
            if (key := f"{PEFT_PREFIX}{name}.lora_A.weight") in state:
                layer.A[slot, : spec.rank] = state[key].to(layer.A)
                layer.B[slot, :, : spec.rank] = state[key.replace("lora_A", "lora_B")].to(layer.B)

    def detach(self) -> nn.Module:
        """The plain model again: every layer that `attach` replaced is put back. The bank is of no use afterwards."""
        for name, layer in self._layers.items():
            _replace(self.model, name, layer.linear)
        self._switch.route = None
        return self.model

    @torch.no_grad()
    def merge(self, slot: int) -> nn.Module:
        """The plain model with one adapter added into its weights for good; float32 sum, then the weights' own type."""
        for layer in self._layers.values():
            weight = layer.linear.weight
            update = layer.scale[slot] * (layer.B[slot] @ layer.A[slot])
            weight.copy_(weight.float() + update)
        return self.detach()


def attach(model: nn.Module, specs: Sequence[AdapterSpec], targets: Sequence[str] = ("all-linear",)) -> LoraBank:
    """Puts a bank of new adapters on the model, in place; all other weights of the model are frozen.

    A starts uniform in +-1/sqrt(I), drawn for each adapter from its own seed whatever the company, and B at zero, so
    a new adapter changes nothing (Hu et al. 2021, arXiv 2106.09685). Raises ModelError when a target names no layer.
    """
    assert specs, "a bank needs at least one adapter"
    for spec in specs:
        if not 1 <= spec.rank <= 4096 or not math.isfinite(spec.alpha):
            raise ModelError(
                f"adapter {spec.name!r} has rank {spec.rank} and alpha {spec.alpha}",
                hint="Ranks from 8 to 64 are useful; alpha is a small positive number such as 32.",
            )
    switch = Switch()
    found = target_layers(model, targets)
    model.requires_grad_(False)
    rank, scales = max(spec.rank for spec in specs), [spec.alpha / spec.rank for spec in specs]
    layers = {name: LoraLinear(linear, rank, scales, switch) for name, linear in found.items()}
    for slot, spec in enumerate(specs):
        _draw(layers, slot, spec)
    for name, layer in layers.items():
        _replace(model, name, layer)
    return LoraBank(model, specs, layers, switch)


def target_layers(model: nn.Module, targets: Sequence[str]) -> dict[str, nn.Linear]:
    """The linear layers that get an adapter, by name. all-linear: every one but the output head."""
    head = cast(Any, model).get_output_embeddings()
    linears = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head
    }
    if any(isinstance(module, LoraLinear) for module in model.modules()):
        raise ModelError("the model carries a bank of adapters already", hint="Detach it first.")
    if "all-linear" in targets:
        return linears
    chosen = {name: module for name, module in linears.items() if name.endswith(tuple(f".{t}" for t in targets))}
    missing = [t for t in targets if not any(name.endswith(f".{t}") for name in chosen)]
    if missing or not chosen:
        known = sorted({name.rsplit(".", 1)[-1] for name in linears})
        raise ModelError(
            f"no linear layer is called {', '.join(missing) or 'anything'}",
            hint=f"Layers of this base: {', '.join(known)}; or all-linear for every one.",
        )
    return chosen


@torch.no_grad()
def _draw(layers: Mapping[str, LoraLinear], slot: int, spec: AdapterSpec) -> None:
    generator = torch.Generator().manual_seed(spec.seed)
    for layer in layers.values():
        size_in = layer.A.shape[2]
        values = torch.rand(spec.rank, size_in, generator=generator) * 2 - 1
        layer.A[slot, : spec.rank] = (values / math.sqrt(size_in)).to(layer.A)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
