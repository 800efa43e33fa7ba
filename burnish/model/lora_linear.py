"""A frozen linear layer with K adapters beside it: y = x W' + scale (x A') B', each row with the factors of its slot.

Shapes: K slots of the bank, G groups of rows in a batch, N tokens of a group, R widest rank, I and O the sizes of the
layer. Slots with a smaller rank keep zeros in the rest of R; both factors are zero there, so their gradients are too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from burnish.model.route import Grouped, Lines, Pieces, Route


class Switch:
    """What the next forward passes use; shared by all layers of a bank."""

    route: Route | None = None


class _Mixed(NamedTuple):
    """Factors as rows of many slots read them, and what they were made of: to round a factor takes six bytes of memory
    traffic for each token, to use it two, and with B as it lies 32 slots on 32 rows take twice as long."""

    exact: tuple[Tensor, Tensor, Tensor]
    versions: tuple[int, ...]
    A_KRI: Tensor
    B_KRO: Tensor

    def is_of(self, exact: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype) -> bool:
        """Whether these are the same tensors, unchanged since: every change in place counts their version up."""
        same = all(one is other for one, other in zip(self.exact, exact, strict=True))
        return same and self.B_KRO.dtype == dtype and self.versions == tuple(part._version for part in exact)


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

    def __init__(self, linear: nn.Linear, rank: int, scales: Sequence[float], switch: Switch) -> None:
        super().__init__()
        device = linear.weight.device
        self.linear = linear
        self.A = nn.Parameter(torch.zeros(len(scales), rank, linear.in_features, device=device))
        self.B = nn.Parameter(torch.zeros(len(scales), linear.out_features, rank, device=device))
        self.register_buffer("scale", torch.tensor(scales, device=device), persistent=False)
        self.scale: Tensor
        self._switch = switch
        self._mixed: _Mixed | None = None

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
        if isinstance(route, Pieces):
            return self._piece_by_piece(x, route)
        if isinstance(route, Lines):
            return self._by_line(x, route)
        if len(route.slots) == 1 and not torch.is_grad_enabled():
            return self._alone(x, route.slots[0])
        return self._grouped(x, route)

    def _alone(self, x: Tensor, slot: int) -> Tensor:
        y: Tensor = self.linear(x)
        A, B, scale = (part[slot].to(x.dtype) for part in (self.A, self.B, self.scale))
        y.view(-1, y.shape[-1]).addmm_((x.reshape(-1, x.shape[-1]) @ A.T).mul_(scale), B.T)
        return y

    def _grouped(self, x: Tensor, route: Grouped) -> Tensor:
        A: Tensor = self.A
        B: Tensor = self.B
        scale, slots = self.scale, route.slots
        if slots != tuple(range(len(A))):
            picked = slice(slots[0], slots[0] + 1) if len(slots) == 1 else torch.tensor(slots, device=A.device)
            A, B, scale = A[picked], B[picked], scale[picked]
        assert x.shape[0] % len(slots) == 0, (x.shape, slots)
        x_GNI = x.reshape(len(slots), -1, x.shape[-1])
        y_GNO = _LoraFunction.apply(x_GNI, self.linear.weight, self.linear.bias, A, B, scale)
        return y_GNO.view(*x.shape[:-1], -1)  # type: ignore[no-any-return]

    def _piece_by_piece(self, x: Tensor, route: Pieces) -> Tensor:
        y: Tensor = self.linear(x)
        A_KRI, B_KRO = self._factors(x.dtype)
        for slot, rows in route.rows_of:
            s = x[rows].reshape(-1, x.shape[-1]) @ A_KRI[slot].T
            if isinstance(rows, slice):
                y[rows].view(-1, y.shape[-1]).addmm_(s, B_KRO[slot])
            else:
                y.index_add_(0, rows, (s @ B_KRO[slot]).view(-1, *y.shape[1:]))
        return y

    def _by_line(self, x: Tensor, route: Lines) -> Tensor:
        y: Tensor = self.linear(x)
        A_LRI, B_LRO = self._factors(x.dtype)
        if route.slot_L is not None:
            A_LRI, B_LRO = (part.index_select(0, route.slot_L) for part in (A_LRI, B_LRO))
        laid = route.grid.lay(x)
        s = torch.bmm(laid.flatten(1, -2), A_LRI.mT)
        update = route.grid.take(torch.bmm(s, B_LRO).view(*laid.shape[:-1], -1))
        return y.add_(update) if route.rows_N is None else y.index_add_(0, route.rows_N, update)

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """A and the scaled B of every slot in a number type; where nothing is learned, made once for many passes."""
        exact = (self.A, self.B, self.scale)
        if torch.is_grad_enabled() or any(part.is_inference() for part in exact):
            return self.A.to(dtype), (self.B * self.scale[:, None, None]).mT.to(dtype)
        if self._mixed is None or not self._mixed.is_of(exact, dtype):
            B_KRO = (self.B * self.scale[:, None, None]).to(dtype).mT.contiguous()
            self._mixed = _Mixed(exact, tuple(part._version for part in exact), self.A.to(dtype), B_KRO)
        return self._mixed.A_KRI, self._mixed.B_KRO
