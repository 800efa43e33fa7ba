"""LoRA as a bank: K adapters stacked on one frozen base, so that one forward pass trains or serves all of them.

Shapes: K slots of the bank, G groups of rows in a batch, N tokens of a group, R widest rank, I and O the sizes of the
layer. Slots with a smaller rank keep zeros in the rest of R; both factors are zero there, so their gradients are too.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from burnish.errors import ModelError

PEFT_PREFIX = "base_model.model."
GRID_ROWS = 64
"""Mean rows a slot up to which a mixed batch is one batched product: 8 adapters on 64 rows took 0.20 ms in bfloat16 so,
0.54 slot by slot; above, in float32, gathering costs more than it saves (LOG.md, "Rows of different adapters")."""


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


class _Groups(NamedTuple):
    """A batch of equal, contiguous groups of rows, group g on slot slots[g]."""

    slots: tuple[int, ...]
    num_rows: int | None
    """None: any number, all on the one slot."""


class _Rows(NamedTuple):
    """A batch in any order: which rows each slot serves; the other rows get the base alone."""

    rows_of: tuple[tuple[int, Tensor], ...]
    num_rows: int


class _Grid(NamedTuple):
    """The same with few rows a slot: C rows laid into a grid of L lines, each on one slot, the rest of it zeros."""

    rows_C: Tensor
    cells_C: Tensor
    """Line times width plus place in the line, for each of the rows."""
    slot_L: Tensor | None
    """None: line l is on slot l, and there are as many lines as slots."""
    num_lines: int
    num_cells: int
    num_rows: int


class _Rounded(NamedTuple):
    """Factors in another number type, and what they were rounded from: to round a factor takes six bytes of memory
    traffic for each token, to use it two."""

    exact: tuple[Tensor, Tensor, Tensor]
    versions: tuple[int, ...]
    factors: tuple[Tensor, Tensor, Tensor]

    def is_of(self, exact: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype) -> bool:
        """Whether these are the same tensors, unchanged since: every change in place counts their version up."""
        same = all(one is other for one, other in zip(self.exact, exact, strict=True))
        return same and self.factors[0].dtype == dtype and self.versions == tuple(part._version for part in exact)


class _Switch:
    """What the next forward passes use; shared by all layers of a bank."""

    route: _Groups | _Rows | _Grid | None = None


class _LoraFunction(torch.autograd.Function):
    """y = x W' + scale (x A') B' for grouped rows, with no gradient for W and nothing saved but x and x A'."""

    @staticmethod
    def forward(
        ctx: Any, x_GNI: Tensor, weight: Tensor, bias: Tensor | None, A: Tensor, B: Tensor, scale: Tensor
    ) -> Tensor:
        groups, num_rows, _ = x_GNI.shape
        A_GRI, B_GOR = A.to(x_GNI.dtype), B.to(x_GNI.dtype)
        y_GNO = nn.functional.linear(x_GNI.reshape(groups * num_rows, -1), weight, bias).view(groups, num_rows, -1)
        s_GNR = torch.bmm(x_GNI, A_GRI.mT) * scale.to(x_GNI.dtype)[:, None, None]
        y_GNO.baddbmm_(s_GNR, B_GOR.mT)
        ctx.save_for_backward(x_GNI, s_GNR, weight, A_GRI, B_GOR, scale)
        return y_GNO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_GNO: Tensor) -> tuple[Tensor | None, ...]:
        x_GNI, s_GNR, weight, A_GRI, B_GOR, scale = ctx.saved_tensors
        groups, num_rows, _ = x_GNI.shape
        ds_GNR = torch.bmm(dy_GNO, B_GOR) * scale.to(dy_GNO.dtype)[:, None, None]
        dA = torch.bmm(ds_GNR.mT, x_GNI).float() if ctx.needs_input_grad[3] else None
        dB = torch.bmm(dy_GNO.mT, s_GNR).float() if ctx.needs_input_grad[4] else None
        dx = None
        if ctx.needs_input_grad[0]:  # not so in the first layer: the embeddings below it are frozen
            dx = (dy_GNO.reshape(groups * num_rows, -1) @ weight).view(groups, num_rows, -1)
            dx.baddbmm_(ds_GNR, A_GRI)
        return dx, None, None, dA, dB, None


class LoraLinear(nn.Module):
    """A frozen linear layer with K adapters beside it."""

    def __init__(self, linear: nn.Linear, specs: Sequence[AdapterSpec], switch: _Switch) -> None:
        super().__init__()
        rank = max(spec.rank for spec in specs)
        device = linear.weight.device
        self.linear = linear
        self.A = nn.Parameter(torch.zeros(len(specs), rank, linear.in_features, device=device))
        self.B = nn.Parameter(torch.zeros(len(specs), linear.out_features, rank, device=device))
        scale = torch.tensor([spec.alpha / spec.rank for spec in specs], device=device)
        self.register_buffer("scale", scale, persistent=False)
        self.scale: Tensor
        self._switch = switch
        self._rounded: _Rounded | None = None

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """A, B and the scale of every slot in a number type; where nothing is learned, rounded once for many passes."""
        exact = (self.A, self.B, self.scale)
        if dtype == self.A.dtype or torch.is_grad_enabled() or any(part.is_inference() for part in exact):
            return self.A.to(dtype), self.B.to(dtype), self.scale.to(dtype)
        if self._rounded is None or not self._rounded.is_of(exact, dtype):
            rounded = (self.A.to(dtype), self.B.to(dtype), self.scale.to(dtype))
            self._rounded = _Rounded(exact, tuple(part._version for part in exact), rounded)
        return self._rounded.factors

    @torch.no_grad()
    def grow_(self, num_slots: int, rank: int) -> None:
        """Makes room for so many adapters of this rank; those that are here stay as they are."""
        slots, ranks = max(0, num_slots - len(self.A)), max(0, rank - self.A.shape[1])
        if slots or ranks:
            self.A = nn.Parameter(nn.functional.pad(self.A, (0, 0, 0, ranks, 0, slots)))
            self.B = nn.Parameter(nn.functional.pad(self.B, (0, ranks, 0, 0, 0, slots)))
            self.scale = nn.functional.pad(self.scale, (0, slots))

    def forward(self, x: Tensor) -> Tensor:
        """x of shape [rows, ..., I] to [rows, ..., O], each row through the slot that `LoraBank.use` gave it."""
        route = self._switch.route
        if route is None:
            return self.linear(x)  # type: ignore[no-any-return]
        assert route.num_rows in (None, x.shape[0]), f"the bank was told of {route.num_rows} rows, not {x.shape[0]}"
        if isinstance(route, _Rows):
            return self._one_by_one(x, route)
        if isinstance(route, _Grid):
            return self._gridded(x, route)
        return self._grouped(x, route.slots)

    def _grouped(self, x: Tensor, slots: tuple[int, ...]) -> Tensor:
        A: Tensor = self.A
        B: Tensor = self.B
        scale = self.scale
        if slots != tuple(range(len(A))):
            picked = slice(slots[0], slots[0] + 1) if len(slots) == 1 else torch.tensor(slots, device=A.device)
            A, B, scale = A[picked], B[picked], scale[picked]
        assert x.shape[0] % len(slots) == 0, (x.shape, slots)
        x_GNI = x.reshape(len(slots), -1, x.shape[-1])
        y_GNO = _LoraFunction.apply(x_GNI, self.linear.weight, self.linear.bias, A, B, scale)
        return y_GNO.view(*x.shape[:-1], -1)  # type: ignore[no-any-return]

    def _one_by_one(self, x: Tensor, route: _Rows) -> Tensor:
        y: Tensor = self.linear(x)
        A, B, scale = self._factors(x.dtype)
        for slot, rows in route.rows_of:
            s = x[rows] @ A[slot].T * scale[slot]
            y.index_add_(0, rows, s @ B[slot].T)
        return y

    def _gridded(self, x: Tensor, route: _Grid) -> Tensor:
        y: Tensor = self.linear(x)
        factors = self._factors(x.dtype)
        A, B, scale = factors if route.slot_L is None else (part.index_select(0, route.slot_L) for part in factors)
        cells = x.new_zeros(route.num_cells, *x.shape[1:])
        cells = cells.index_copy(0, route.cells_C, x.index_select(0, route.rows_C))
        s = torch.bmm(cells.view(route.num_lines, -1, x.shape[-1]), A.mT) * scale[:, None, None]
        update = torch.bmm(s, B.mT).view(route.num_cells, *y.shape[1:])
        return y.index_add_(0, route.rows_C, update.index_select(0, route.cells_C))


class LoraBank:
    """K adapters attached to a model. Attach with `attach`; outside `use` the model answers as the plain base."""

    def __init__(self, model: nn.Module, specs: Sequence[AdapterSpec], layers: dict[str, LoraLinear], switch: _Switch):
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

    def _route(self, slots: Tensor | Sequence[int] | int | None) -> _Groups | _Rows | _Grid | None:
        if slots is None or (isinstance(slots, int) and slots == -1):
            return None
        row_slots = [slots] if isinstance(slots, int) else [int(slot) for slot in slots]
        assert row_slots, "no rows"
        assert all(-1 <= slot < self.num_slots for slot in row_slots), (row_slots, self.num_slots)
        if isinstance(slots, int):
            return _Groups((slots,), None)
        runs: list[list[int]] = []
        for slot in row_slots:
            if runs and runs[-1][0] == slot:
                runs[-1][1] += 1
            else:
                runs.append([slot, 1])
        order = tuple(slot for slot, _ in runs)
        if -1 not in order and len(set(order)) == len(order) and len({size for _, size in runs}) == 1:
            return _Groups(order, len(row_slots))
        device = next(iter(self._layers.values())).A.device
        rows_of: dict[int, list[int]] = {slot: [] for slot in sorted(set(row_slots) - {-1})}
        for row, slot in enumerate(row_slots):
            if slot != -1:
                rows_of[slot].append(row)
        if not rows_of:
            return None
        if sum(map(len, rows_of.values())) > GRID_ROWS * len(rows_of):
            return _Rows(
                tuple((slot, torch.tensor(rows, device=device)) for slot, rows in rows_of.items()), len(row_slots)
            )
        return _grid(rows_of, len(row_slots), self.num_slots, device)

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
        """Memory of the bank if it held so many adapters, the widest of at least this rank; rounded factors count."""
        layers = self._layers.values()
        size = 6 if any(x.linear.weight.element_size() == 2 for x in layers) else 4
        return size * num_slots * sum(max(rank, x.A.shape[1]) * (x.A.shape[2] + x.B.shape[1]) for x in layers)

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
    switch = _Switch()
    found = target_layers(model, targets)
    model.requires_grad_(False)
    layers = {name: LoraLinear(linear, specs, switch) for name, linear in found.items()}
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


def _grid(rows_of: Mapping[int, Sequence[int]], num_rows: int, num_slots: int, device: torch.device) -> _Grid:
    """Lines as long as most rows of a slot; where that were mostly zeros, of the mean, and long slots take several."""
    longest, count = max(map(len, rows_of.values())), sum(map(len, rows_of.values()))
    width = longest if longest * len(rows_of) <= 2 * count else -(-count // len(rows_of))
    lines: list[int] = []
    cells: list[int] = []
    for slot, rows in rows_of.items():
        cells += [len(lines) * width + place for place in range(len(rows))]
        lines += [slot] * -(-len(rows) // width)
    is_every_slot = lines == list(range(num_slots))
    return _Grid(
        torch.tensor([row for rows in rows_of.values() for row in rows], device=device),
        torch.tensor(cells, device=device),
        None if is_every_slot else torch.tensor(lines, device=device),
        len(lines),
        len(lines) * width,
        num_rows,
    )


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
