"""A whole model as one GGUF file, the format of llama.cpp and Ollama: written, and read back tensor by tensor.

Weights keep the type that was measured, float32 or bfloat16; vectors are float32.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from burnish.errors import ModelError
from burnish.model.adapter import Adapter
from burnish.model.base import Base
from burnish.model.gguf_layout import Layout, head_size, layout_of, rotated, window_of
from burnish.model.vocabulary import Vocabulary
from burnish.model.whole import weights_of, whole_tensors, writing
from burnish.talk import Talk

ROPE_FACTORS = "rope_freqs.weight"


def save_gguf(path: Path, base: Base, adapter: Adapter, name: str, talk: Talk) -> None:
    """Writes the base with the adapter added into its weights, with its tokenizer and chat template, as one file."""
    plan = layout_of(base)
    rope = plan.rope.factors_E
    with writing(path.parent), closing(gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[plan.arch])) as writer:
        _add_facts(writer, base, plan, name)
        _add_vocabulary(writer, base, plan.vocabulary)
        for own, weight in weights_of(base).items():
            _announce(writer, plan.names[own], _spelled(torch.empty_like(weight, device="meta")))
        if rope is not None:
            _announce(writer, ROPE_FACTORS, rope)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        with talk.track("write weights", len(plan.names), "tensors") as advance:
            for own, tensor in whole_tensors(base, adapter):
                writer.write_tensor_data(_numbers(_spelled(rotated(base, own, tensor, back=False))))
                advance(1, own)
        if rope is not None:
            writer.write_tensor_data(_numbers(rope))


def read_gguf(path: Path, base: Base) -> Iterator[tuple[str, Tensor]]:
    """Every weight that a GGUF reader finds in the file, by its name in the base and in the base's order of rows.

    Raises ModelError when tokens, merges or chat template are others than the base's, or a weight is missing.
    """
    reader, plan = gguf.GGUFReader(path), layout_of(base)
    _check_vocabulary(reader, base, plan.vocabulary)
    there = {tensor.name: tensor for tensor in reader.tensors}
    expected = set(plan.names.values()) | ({ROPE_FACTORS} if plan.rope.factors_E is not None else set())
    if there.keys() != expected:
        raise _broken(f"the weights {', '.join(sorted(there.keys() ^ expected)[:3])} are missing or too many")
    for own, name in plan.names.items():
        yield own, rotated(base, own, _tensor(there[name]), back=True)


def compare_gguf(path: Path, base: Base, adapter: Adapter) -> dict[str, Tensor]:
    """The weights of the file, all equal to what was to be written. Raises ModelError for the first that is not."""
    found = {}
    wanted = whole_tensors(base, adapter)
    for (name, read), (own, tensor) in zip(read_gguf(path, base), wanted, strict=True):
        assert name == own, (name, own)
        if not torch.equal(read.float(), tensor.float()):
            raise _broken(f"the weight {name} is another one than was written")
        found[name] = read
    return found


def _add_facts(writer: gguf.GGUFWriter, base: Base, plan: Layout, name: str) -> None:
    config: Any = base.model.config
    is_wide = base.precision == "float32"
    writer.add_name(name)
    writer.add_type("model")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if is_wide else gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(window_of(base))
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size(config))
    writer.add_value_length(head_size(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_size(config))
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if plan.rope.linear != 1.0:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(plan.rope.linear)
    writer.add_vocab_size(base.vocab_size)


def _add_vocabulary(writer: gguf.GGUFWriter, base: Base, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    writer.add_token_merges(vocabulary.merges)
    writer.add_eot_token_id(base.chat.end_ids[0])
    writer.add_eos_token_id(base.chat.end_ids[-1])  # the tokenizer's own, which a chat template may write by name
    writer.add_pad_token_id(base.chat.pad_id)
    if base.tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(base.tokenizer.bos_token_id)
    writer.add_add_bos_token(False)  # the chat template writes it where it belongs
    writer.add_add_eos_token(False)
    writer.add_chat_template(base.chat.source)


def _check_vocabulary(reader: gguf.GGUFReader, base: Base, vocabulary: Vocabulary) -> None:
    keys = gguf.Keys.Tokenizer
    wanted = {
        keys.PRE: vocabulary.pre,
        keys.LIST: list(vocabulary.tokens),
        keys.TOKEN_TYPE: list(vocabulary.kinds),
        keys.MERGES: list(vocabulary.merges),
        keys.CHAT_TEMPLATE: base.chat.source,
    }
    for key, value in wanted.items():
        field = reader.get_field(key)
        if field is None or field.contents() != value:
            raise _broken(f"{key} is another one than was written")


def _spelled(tensor: Tensor) -> Tensor:
    """As it is stored: vectors in float32, matrices as they are."""
    return tensor.float() if tensor.dim() == 1 else tensor


def _announce(writer: gguf.GGUFWriter, name: str, tensor: Tensor) -> None:
    size = tensor.numel() * tensor.element_size()
    if tensor.dtype == torch.bfloat16:
        shape = (*tensor.shape[:-1], 2 * tensor.shape[-1])
        writer.add_tensor_info(name, shape, np.dtype(np.uint8), size, gguf.GGMLQuantizationType.BF16)
    else:
        writer.add_tensor_info(name, tuple(tensor.shape), np.dtype(np.float32), size)


def _numbers(tensor: Tensor) -> "np.ndarray[Any, Any]":
    tensor = tensor.contiguous()
    return (tensor.view(torch.uint8) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _tensor(stored: Any) -> Tensor:
    numbers = torch.from_numpy(np.array(stored.data))
    return numbers.view(torch.bfloat16) if stored.tensor_type == gguf.GGMLQuantizationType.BF16 else numbers


def _broken(what: str) -> ModelError:
    return ModelError(
        f"the GGUF file does not hold what was to be written: {what}",
        hint="check the disk and the version of the library gguf, then run the same command again",
    )
