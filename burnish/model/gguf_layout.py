"""How llama.cpp lays out a model: names of weights, order of rows, scaling of positions, for the families we write.

Rows of query and key projections of the Llama kind stand in another order there, the pairs that rotate together side by
side.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gguf
import torch
from torch import Tensor

from burnish.errors import ModelError
from burnish.model.base import Base
from burnish.model.vocabulary import Vocabulary, vocabulary_of
from burnish.model.whole import weights_of

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}


class Layout(NamedTuple):
    """What is written, before anything is."""

    arch: gguf.MODEL_ARCH
    names: Mapping[str, str]
    """A weight's name in the base to its name in the file."""
    vocabulary: Vocabulary
    rope: "Rope"


class Rope(NamedTuple):
    """How positions rotate: a plain base, scaled evenly, or with a factor for each frequency."""

    linear: float
    factors_E: Tensor | None


def demand_gguf(base: Base) -> tuple[str, ...]:
    """What differs in a reader of GGUF, in words. Raises ModelError for a base that cannot be written."""
    plan = layout_of(base)
    window = window_of(base)
    short = (f"it reads {window} tokens, the width of its attention window",) if window < base.max_tokens else ()
    return (*plan.vocabulary.warnings, *short)


def layout_of(base: Base) -> Layout:
    """The layout of a base. Raises ModelError for one that llama.cpp would read otherwise, or not at all."""
    config: Any = base.model.config
    arch = ARCHITECTURES.get(config.model_type)
    if arch is None:
        raise ModelError(
            f"a base of the family {config.model_type} cannot be written as GGUF",
            hint=f"supported: {', '.join(ARCHITECTURES)}; take --format merged or peft for others",
        )
    if config.hidden_act != "silu" or getattr(config, "use_sliding_window", False):
        raise ModelError(
            f"this {config.model_type} has the activation {config.hidden_act} or an attention window in some layers "
            "only, which llama.cpp does not know of its family",
            hint="take --format merged or peft",
        )
    known = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    names = {own: known.get_name(own, try_suffixes=(".weight", ".bias")) for own in weights_of(base)}
    if lost := [own for own, name in names.items() if name is None]:
        raise ModelError(f"GGUF has no name for the weight {lost[0]}", hint="take --format merged or peft")
    return Layout(arch, {own: str(name) for own, name in names.items()}, vocabulary_of(base), _rope(config))


def _rope(config: Any) -> Rope:
    """Scaling of positions. Raises ModelError for a kind that cannot be written."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    given = dict(config.rope_parameters or {})
    kind = given.get("rope_type", "default")
    if kind == "default":
        return Rope(1.0, None)
    if kind == "linear":
        return Rope(float(given["factor"]), None)
    if kind == "llama3":
        scaled_E, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
        size = head_size(config)
        plain_E = 1.0 / given["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
        return Rope(1.0, (plain_E / scaled_E.float()).contiguous())
    raise ModelError(
        f"positions of this base are scaled by {kind}, which GGUF export does not write",
        hint="supported: default, linear and llama3; take --format merged or peft",
    )


def head_size(config: Any) -> int:
    """Width of one head of attention."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def window_of(base: Base) -> int:
    """Positions up to which llama.cpp, which sees all of them, and the base, which may see a window, are the same."""
    window = getattr(base.model.config, "sliding_window", None)
    return min(base.max_tokens, window) if window else base.max_tokens


def rotated(base: Base, own: str, tensor: Tensor, *, back: bool) -> Tensor:
    """Query and key rows of the Llama kind in llama.cpp's order, or back in the base's."""
    config: Any = base.model.config
    layer = own.rpartition(".")[0].rpartition(".")[2]
    if ARCHITECTURES[config.model_type] != gguf.MODEL_ARCH.LLAMA or layer not in ("q_proj", "k_proj"):
        return tensor
    heads = config.num_attention_heads if layer == "q_proj" else config.num_key_value_heads
    halves = (tensor.shape[0] // heads // 2, 2) if back else (2, tensor.shape[0] // heads // 2)
    return tensor.reshape(heads, *halves, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)
